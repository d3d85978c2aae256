"""The time. Everything that asks for it asks here, so that tests can set it.

SQL functions take the moment as an argument (`p_now`) and never read the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_frozen: datetime | None = None


def now() -> datetime:
    """The present moment in UTC, aware."""
    return _frozen or datetime.now(UTC)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold the clock of this process at `at` (aware) for a test.

    Raises ValueError for a moment without a zone.
    """
    global _frozen  # noqa: PLW0603 -- one clock per process is the point
    if at.tzinfo is None:
        raise ValueError("The clock needs a moment with a time zone.")
    before = _frozen
    _frozen = at.astimezone(UTC)
    try:
        yield
    finally:
        _frozen = before
