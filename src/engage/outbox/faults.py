"""What is kept of an exception: its kind, its words without names and figures, and where it arose."""

from __future__ import annotations

import random
import re
import traceback
from datetime import timedelta

from engage.outbox.limits import BACKOFF_MAX_S

LENGTH_MAX = 300

_OURS = ("/base/db.py", "/outbox/execute.py", "/outbox/work.py", "/outbox/runs.py")


class TargetDown(Exception):  # noqa: N818 -- named for the condition
    """What a handler outside of the house calls does not answer as it should: its whole lane waits, then tries one.

    `retry_after` is what the called one asked for.
    """

    def __init__(self, words: str, retry_after: timedelta | None = None) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class Hopeless(Exception):  # noqa: N818 -- named for the condition
    """Trying again cannot help: the row is dead at once, with these words, which hold nothing about a person."""


# Quoted values, addresses and long numbers may be about a person: they are cut out of what is kept.
_PRIVATE = re.compile(r"'[^']*'|\"[^\"]*\"|\S+@\S+|\+?\d[\d .()/-]{3,}\d|[0-9a-f]{8}-[0-9a-f-]{27}")


def describe(error: BaseException) -> str:
    """Such as `KeyError: … (notifications/handlers.py:31)`, at most 300 characters."""
    if isinstance(error, Hopeless | TargetDown):
        return str(error)[:LENGTH_MAX]  # sentences of ours, made to be read
    words = _PRIVATE.sub("…", str(error).partition("\n")[0])
    kind = type(error).__name__
    constraint = getattr(error, "constraint_name", None)
    if constraint:
        kind = f"{kind} of {constraint}"
    return f"{kind}: {words[: LENGTH_MAX - 150]}{_place(error)}"[:LENGTH_MAX]


def _place(error: BaseException) -> str:
    """The innermost frame of the handler's own code: file and line."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename.replace("\\", "/")
        if "/engage/" in path and not path.endswith(_OURS):
            return f" ({path.rpartition('/engage/')[2]}:{frame.lineno})"
    return ""


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubling from a second up to half an hour, spread by a half."""
    longest = min(2.0 ** min(attempts - 1, 30), BACKOFF_MAX_S)
    return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 -- spreads retries
