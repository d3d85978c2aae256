"""Printing what programs and terminals read alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import orjson
from rich.text import Text

from engage.cli.environment import console

WIDTH_MIN = 120
"""Tables are made for this; on a narrower terminal their lines go on below rather than lose what they say."""


def table_width() -> int | None:
    """Where lines should end; None where nobody looks, as in a pipe."""
    if console.is_terminal or "COLUMNS" in os.environ:
        return max(console.width, WIDTH_MIN)
    return None


def print_lines(*lines: str | Text) -> None:
    """Print as they are: no line is broken, no word changes its look."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_json(records: Sequence[object]) -> None:
    """Print one object a line."""
    for record in records:
        # The driver's ids are a class of their own, which `default` makes texts.
        sys.stdout.buffer.write(orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE))
