"""Refusals on their way out: problems of mutations, `extensions.code` of queries, and a mask over the rest."""

from __future__ import annotations

from typing import Any

import asyncpg
import structlog
from graphql import GraphQLError
from tortoise.exceptions import ValidationError

from engage.api import ledger_problems
from engage.api.enums import describe
from engage.api.ledger_problems import (
    AdjustmentDecided,
    BalanceLimit,
    InsufficientPoints,
    MemberNotActive,
    SecondPersonNeeded,
)
from engage.api.problems import (
    AlreadyExists,
    Forbidden,
    IdempotencyConflict,
    IdentityTaken,
    InvalidInput,
    JobNotCancellable,
    JobNotRetryable,
    NotFound,
    OrderConflict,
    OutcomeUnknown,
    PreviewOutdated,
    Problem,
    ProblemCode,
    TooManyApiKeys,
    TooManyWebhooks,
    UnknownChannel,
    UnknownCurrency,
    UnknownEvent,
    UnknownMember,
    UnknownStore,
    WebhookDisabled,
)
from engage.base import db
from engage.base import errors as base_errors
from engage.base.errors import Refusal, Unavailable
from engage.domains.access import errors as access_errors
from engage.domains.ledger.policy import errors as policy_errors
from engage.domains.members import errors as members_errors
from engage.domains.purchases import errors as purchases_errors
from engage.domains.webhooks import errors as webhooks_errors
from engage.outbox import errors as outbox_errors

__all__ = [
    "BEYOND",
    "BUSY",
    "GONE",
    "MESSAGE_MAX",
    "NO_TEXT",
    "PROBLEMS",
    "AdjustmentDecided",
    "AlreadyExists",
    "BalanceLimit",
    "Forbidden",
    "IdempotencyConflict",
    "IdentityTaken",
    "InsufficientPoints",
    "InvalidInput",
    "JobNotCancellable",
    "JobNotRetryable",
    "MemberNotActive",
    "NotFound",
    "OrderConflict",
    "OutcomeUnknown",
    "PreviewOutdated",
    "Problem",
    "ProblemCode",
    "SecondPersonNeeded",
    "TooManyApiKeys",
    "TooManyWebhooks",
    "UnknownChannel",
    "UnknownCurrency",
    "UnknownEvent",
    "UnknownMember",
    "UnknownStore",
    "WebhookDisabled",
    "formatted",
    "meaning",
    "problem_of",
]

log = structlog.get_logger(__name__)

PROBLEMS: dict[type[Refusal], type[Problem]] = {
    base_errors.InvalidInput: InvalidInput,
    base_errors.NotFound: NotFound,
    base_errors.Forbidden: Forbidden,
    base_errors.IdempotencyConflict: IdempotencyConflict,
    base_errors.OutcomeUnknown: OutcomeUnknown,
    members_errors.IdentityTaken: IdentityTaken,
    members_errors.AlreadyExists: AlreadyExists,
    members_errors.UnknownChannel: UnknownChannel,
    members_errors.UnknownMember: UnknownMember,
    purchases_errors.UnknownCurrency: UnknownCurrency,
    purchases_errors.UnknownStore: UnknownStore,
    purchases_errors.OrderConflict: OrderConflict,
    policy_errors.PreviewOutdated: PreviewOutdated,
    access_errors.TooManyApiKeys: TooManyApiKeys,
    webhooks_errors.UnknownEvent: UnknownEvent,
    webhooks_errors.TooManyWebhooks: TooManyWebhooks,
    webhooks_errors.WebhookDisabled: WebhookDisabled,
    outbox_errors.JobNotRetryable: JobNotRetryable,
    outbox_errors.JobNotCancellable: JobNotCancellable,
    **ledger_problems.PROBLEMS,
}


CODES: dict[type[Problem], ProblemCode] = {
    **{kind: ProblemCode(refusal.code) for refusal, kind in PROBLEMS.items()},
    **dict(ledger_problems.IN_MONEY.values()),
}
"""Each kind's own code."""

describe(
    ProblemCode,
    {code: kind.__strawberry_definition__.description for kind, code in CODES.items()},  # type: ignore[attr-defined]
)

MESSAGE_MAX = 500

BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidCatalogNameError,
    ConnectionRefusedError,
)
"""The database did not do it, for certain, and may do it later."""

GONE = (*db.OUTAGES, asyncpg.OperatorInterventionError, asyncpg.IdleInTransactionSessionTimeoutError)
"""The connection broke: what was under way may have been done or not."""

NO_TEXT = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
"""What PostgreSQL says of the character U+0000, which it cannot store."""

BEYOND = (
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.DatetimeFieldOverflowError,
    asyncpg.IntervalFieldOverflowError,
)
"""A value, or a sum with it, has no room in its column."""


def meaning(error: Exception) -> Exception:
    """What a failure of the database means to a caller: later, out of time, or a bad value; others as they are."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, Refusal):
        found = _meaning(below)
        if found is not None:
            return found
        below = below.__cause__  # the ORM wraps what the driver raises
    return error


def _meaning(error: BaseException) -> Exception | None:
    if isinstance(error, asyncpg.QueryCanceledError):
        return TimeoutError(str(error))
    if isinstance(error, BUSY + GONE):
        return Unavailable(f"{type(error).__name__}: {error}")
    if isinstance(error, NO_TEXT):
        return base_errors.InvalidInput("Text cannot hold the character U+0000.")
    if isinstance(error, asyncpg.StringDataRightTruncationError | ValidationError):
        return base_errors.InvalidInput("A text is longer than what can be stored.")
    unsendable = type(error) is asyncpg.DataError  # the driver's own; what the server says is of a subclass
    if unsendable or isinstance(error, BEYOND):
        return base_errors.InvalidInput("A value is beyond what can be stored.")
    return None


def _short(message: str) -> str:
    """A message that names the caller's own value does not send a long one back."""
    return message if len(message) <= MESSAGE_MAX else f"{message[: MESSAGE_MAX - 1]}…"


def problem_of(refusal: Refusal) -> Problem:
    """The problem that tells of this refusal."""
    kind = PROBLEMS[type(refusal)]
    if "money" in refusal.extras:
        kind, _ = ledger_problems.IN_MONEY[kind]
    told = ledger_problems.told(kind, refusal.extras)
    return kind(code=CODES[kind], message=_short(refusal.message), path=refusal.path, **told)


def formatted(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """An error as clients see it: refusals with their code, faults of the document as they are, the rest masked."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if cause is not None:
        cause = meaning(cause)
    shown: dict[str, Any] = dict(error.formatted)
    if isinstance(cause, Refusal):
        shown["message"] = _short(cause.message)
        shown["extensions"] = {"code": cause.code, **cause.extras}
        if cause.path:
            shown["extensions"]["path"] = cause.path
    elif isinstance(cause, TimeoutError):
        shown["message"] = "The operation took too long and was ended."
        shown["extensions"] = {"code": "TIMEOUT", "requestId": request_id}
    elif isinstance(cause, Unavailable):
        shown["message"] = "engage cannot answer right now; try again in a moment."
        shown["extensions"] = {"code": "UNAVAILABLE", "requestId": request_id}
        log.warning("unavailable", request_id=request_id, error=str(cause))
    elif cause is None or isinstance(cause, GraphQLError):
        shown["message"] = _short(error.message)
        shown.setdefault("extensions", {}).setdefault("code", "BAD_REQUEST")
    else:
        shown["message"] = f"Something went wrong on our side. Please report request {request_id}."
        shown["extensions"] = {"code": "INTERNAL", "requestId": request_id}
        log.error("unexpected error", request_id=request_id, path=error.path, exc_info=cause)
    return shown
