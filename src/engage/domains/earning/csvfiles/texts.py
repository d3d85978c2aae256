"""From the text of a value to the value."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from engage.base.errors import InvalidInput

_DATE = re.compile(
    r"[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
DATES_KEPT = 4096
"""Dates that a reader remembers: a file names the same days over and over."""


def read_date(text: str, zone: ZoneInfo, *, path: str) -> datetime:
    """A day (its midnight in `zone`) or a moment (in `zone` where it has no offset), in UTC. Raises InvalidInput."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError("another format")
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{shown(text)} is no date; right would be 2024-12-31, 20241231, 2024-12-31T18:30 or "
            "2024-12-31T18:30:00+08:00.",
            path=[path],
        ) from error


def shown(text: str) -> str:
    """A text as a sentence about it shows it."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…") if text else "Nothing"  # noqa: PLR2004 -- a glance
