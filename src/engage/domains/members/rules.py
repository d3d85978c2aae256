"""Decisions about people and the organisation, on plain values."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, UnknownLocaleError
from babel.numbers import list_currencies

from engage.base.actor import Actor, Scope
from engage.base.errors import InvalidInput
from engage.domains.members.types import IdentityRef, MemberRecord

IDENTIFIER_LENGTH_MAX = 200
IDENTITIES_MAX = 20
NAME_LENGTH_MAX = 120
POINTS_PER_UNIT_MAX = Decimal(1_000_000)
MASK_SHOWS = 4
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_DURATION = re.compile(r"P(?=\d)(\d{1,3}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?")


def normalise_identifier(channel: str, identifier: str, *, path: str = "identifier") -> str:
    """One spelling for one identity: full-width forms folded (Unicode NFKC), spaces trimmed, e-mail in lower case.

    Raises InvalidInput for an identifier that is empty, too long, or holds control characters.
    """
    text = unicodedata.normalize("NFKC", identifier).strip()
    if not 1 <= len(text) <= IDENTIFIER_LENGTH_MAX:
        raise InvalidInput(f"An identifier has 1 to {IDENTIFIER_LENGTH_MAX} characters.", path=[path])
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise InvalidInput("An identifier holds no control characters.", path=[path])
    return text.casefold() if channel == "email" else text


def check_identities(identities: list[IdentityRef]) -> list[IdentityRef]:
    """The identities of one new member, normalised and in order; the channels are looked up elsewhere.

    Raises InvalidInput for none, too many, or the same one twice.
    """
    if not 1 <= len(identities) <= IDENTITIES_MAX:
        raise InvalidInput(f"A member registers with 1 to {IDENTITIES_MAX} identities.", path=["identities"])
    clean = [IdentityRef(ref.channel, normalise_identifier(ref.channel, ref.identifier)) for ref in identities]
    if len(set(clean)) < len(clean):
        raise InvalidInput("The same identity is named twice.", path=["identities"])
    return clean


def check_code(code: str, *, path: str = "code") -> str:
    """A code that may stand in addresses and files: a-z, 0-9, - and _. Raises InvalidInput."""
    if not _CODE.fullmatch(code):
        raise InvalidInput(
            "A code has 1 to 32 characters of a-z, 0-9, - and _, and begins with a-z or 0-9.", path=[path]
        )
    return code


def check_name(name: str, *, path: str = "name") -> str:
    """A name that people read. Raises InvalidInput when empty or too long."""
    text = name.strip()
    if not 1 <= len(text) <= NAME_LENGTH_MAX:
        raise InvalidInput(f"A name has 1 to {NAME_LENGTH_MAX} characters.", path=[path])
    return text


def check_reason(reason: str) -> str:
    """The reason for a change of state, as a code. Raises InvalidInput."""
    if not _REASON.fullmatch(reason):
        raise InvalidInput("A reason is a code of A-Z, 0-9 and _, such as ACCOUNT_TAKEOVER.", path=["reason"])
    return reason


def check_time_zone(name: str) -> ZoneInfo:
    """A zone of the IANA database. Raises InvalidInput."""
    if name not in available_timezones():
        raise InvalidInput("This is no IANA time zone; right would be Asia/Shanghai.", path=["timeZone"])
    return ZoneInfo(name)


@cache
def known_currencies() -> frozenset[str]:
    """Codes of ISO 4217, as the Unicode CLDR lists them."""
    return frozenset(list_currencies())


def check_currency(code: str, *, path: str = "moneyCurrency") -> str:
    """A currency of ISO 4217. Raises InvalidInput."""
    if code not in known_currencies():
        raise InvalidInput("This is no ISO 4217 currency code; right would be USD or CNY.", path=[path])
    return code


def check_rate(rate: Decimal) -> Decimal:
    """Points per whole unit of money, at most four decimals. Raises InvalidInput."""
    if not rate.is_finite() or not 0 <= rate <= POINTS_PER_UNIT_MAX or rate != rate.quantize(Decimal("0.0001")):
        raise InvalidInput(
            f"Points per unit lie from 0 to {POINTS_PER_UNIT_MAX:,} with at most four decimals.",
            path=["pointsPerUnit"],
        )
    return rate


def check_duration(duration: str | None, *, path: list[str]) -> str | None:
    """An ISO 8601 duration of whole years, months, weeks and days. Raises InvalidInput."""
    if duration is not None and (not _DURATION.fullmatch(duration) or not re.search("[1-9]", duration)):
        raise InvalidInput("This is no ISO 8601 duration; right would be P12M.", path=path)
    return duration


def check_locale(locale: str) -> str:
    """A language tag such as en or zh-CN. Raises InvalidInput."""
    try:
        Locale.parse(locale, sep="-")
    except (UnknownLocaleError, ValueError, TypeError) as error:
        raise InvalidInput("This is no language tag; right would be en or zh-CN.", path=["locale"]) from error
    return locale


def check_birthday(birthday: date | None, today: date) -> date | None:
    """A day of birth within a human lifetime. Raises InvalidInput."""
    if birthday is not None and not today.replace(year=today.year - 130, day=1) <= birthday <= today:
        raise InvalidInput("A birthday lies in the past, within 130 years.", path=["birthday"])
    return birthday


def shown_to(actor: Actor, member: MemberRecord) -> MemberRecord:
    """A profile as one may see it who may see the member: without its scope, what is personal is not shown."""
    if actor.has(Scope.PERSONAL_READ):
        return member
    identities = tuple(replace(one, identifier=masked(one.identifier)) for one in member.identities)
    return replace(member, display_name=None, birthday=None, identities=identities, masked=True)


def masked(identifier: str) -> str:
    """Enough of an identifier for its owner to know it again: the last four of eight characters or more."""
    return "***" + (identifier[-MASK_SHOWS:] if len(identifier) >= 2 * MASK_SHOWS else "")
