"""Refusals: what a caller may do about it. Everything else is a bug or an outage and is masked in the API.

Refusal                 an expected "no", with a stable code, a sentence and the field that is meant
├── InvalidInput        a value that can never be right
├── NotFound            what was named is not there
├── Forbidden           this caller may not
├── Unauthenticated     who calls is not known: no token, or one that is not accepted
├── IdempotencyConflict the key was used with other input
└── …                   each domain's own, in its errors.py
"""

from __future__ import annotations

from typing import Any, ClassVar


class Refusal(Exception):  # noqa: N818 -- a refusal is an answer, not an error
    """An expected "no". `path` names the input field, `extras` the figures that a screen needs."""

    code: ClassVar[str] = "REFUSED"

    def __init__(self, message: str, *, path: list[str] | None = None, **extras: Any) -> None:  # noqa: ANN401
        super().__init__(message)
        self.message = message
        self.path = path
        self.extras = extras


class InvalidInput(Refusal):
    """A value that can never be right: out of range, malformed, in the future where it may not be."""

    code = "INVALID_INPUT"


class NotFound(Refusal):
    """What was named is not there."""

    code = "NOT_FOUND"


class Forbidden(Refusal):
    """The caller is known and may not do this."""

    code = "FORBIDDEN"


class Unauthenticated(Refusal):
    """No token, or one that is expired, malformed or not ours."""

    code = "UNAUTHENTICATED"


class IdempotencyConflict(Refusal):
    """The idempotency key was used before with other input."""

    code = "IDEMPOTENCY_CONFLICT"


class OutcomeUnknown(Refusal):
    """The command ran out of time and may have happened: repeat it with the same key."""

    code = "OUTCOME_UNKNOWN"


class Unavailable(Exception):  # noqa: N818 -- named for the condition, like HTTP's 503
    """The database or its pool cannot answer now; trying again later may help."""
