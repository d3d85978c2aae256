"""docs/SETTINGS.md is written from the settings themselves.

Write it anew with `.venv/bin/python -m tests.docs.test_settings > docs/SETTINGS.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from engage.base.settings import Settings
from tests.house.repository import ROOT

HEAD = """# Settings

Read once, at the start of a process, from the environment. Nothing else in engage reads it. `engage dev` sets what
its gateway and worker need by itself. What each is for in practice stands in [operations.md](operations.md).

| variable | default | value | what it is |
|---|---|---|---|
"""

KINDS = {str: "text", int: "a whole number", float: "a number", bool: "`true` or `false`", Path: "a path"}


def kind_of(field: FieldInfo) -> str:
    """What may be written there."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(f"`{one}`" for one in get_args(annotation))
    if annotation is SecretStr:
        return "a secret"
    least = next((one.ge for one in field.metadata if hasattr(one, "ge")), None)
    most = next((one.le for one in field.metadata if hasattr(one, "le")), None)
    above = next((one.gt for one in field.metadata if hasattr(one, "gt")), None)
    words = KINDS[annotation]
    if above is not None:
        words += f" above {above}"
    if least is not None:
        words += f", {least:,} or more" if most is None else f" from {least:,} to {most:,}"
    return words


def default_of(field: FieldInfo) -> str:
    """The default as it would be written in the environment."""
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if str(value) else "none"


def settings_page() -> str:
    """The whole page."""
    rows = [
        f"| `ENGAGE_{name.upper()}` | {default_of(field)} | {kind_of(field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return HEAD + "".join(rows)


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "SETTINGS.md").read_text() == settings_page()


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


if __name__ == "__main__":
    sys.stdout.write(settings_page())
