"""Texts that members read, in their language: English in the code, translations in `engage/locale` (gettext).

Numbers and dates are written as the language writes them (Unicode CLDR, by Babel).
"""

from __future__ import annotations

import io
from datetime import date
from functools import cache
from importlib import resources

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

SHIPPED = ("en", "zh-CN")


@cache
def _locale(tag: str) -> Locale:
    """The shipped language nearest to what a member prefers; English where none is."""
    try:
        wanted = str(Locale.parse(tag, sep="-"))
    except (UnknownLocaleError, ValueError, TypeError):
        wanted = "en"
    near = negotiate_locale([wanted, wanted.split("_")[0]], ["en", "zh_CN", "zh"]) or "en"
    return Locale.parse("zh_CN" if near == "zh" else near)


@cache
def _translations(locale: Locale) -> NullTranslations:
    name = "_".join(filter(None, (locale.language, locale.territory)))  # Babel's own name has the script in it too
    file = resources.files("engage") / "locale" / name / "LC_MESSAGES" / "engage.po"
    if not file.is_file():
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(file.read_bytes()), locale=locale))
    compiled.seek(0)
    return Translations(compiled)


def text(tag: str, message: str, **values: object) -> str:
    """`message` in the language `tag`, with its {placeholders} filled in."""
    locale = _locale(tag)
    return _translations(locale).gettext(message).format(**_written(locale, values))


def plural_text(tag: str, one: str, many: str, count: int, **values: object) -> str:
    """The form of a message that fits `count`, in the language `tag`."""
    locale = _locale(tag)
    return _translations(locale).ngettext(one, many, count).format(**_written(locale, values))


def _written(locale: Locale, values: dict[str, object]) -> dict[str, object]:
    return {name: _write(locale, value) for name, value in values.items()}


def _write(locale: Locale, value: object) -> object:
    if isinstance(value, date):
        return format_date(value, "long", locale=locale)
    if isinstance(value, int):
        return format_decimal(value, locale=locale)
    return value
