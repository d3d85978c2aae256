"""Refusals on their way out: problems of mutations, `extensions.code` of queries, and a mask over the rest.

A problem that a command can give is a member of its result union; a client that cares for none of them asks for
`... on Problem { code message path }`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import asyncpg
import strawberry
import structlog
from graphql import GraphQLError
from tortoise.exceptions import ValidationError

from engage.api.enums import JobState, MemberState, describe
from engage.api.scalars import Points
from engage.base import db
from engage.base import errors as base_errors
from engage.base.errors import Refusal, Unavailable
from engage.domains.ledger import errors as ledger_errors
from engage.domains.members import errors as members_errors
from engage.domains.purchases import errors as purchases_errors
from engage.domains.webhooks import errors as webhooks_errors
from engage.outbox import errors as outbox_errors

log = structlog.get_logger(__name__)


@strawberry.enum(description="What stood in the way, for programs to act on.")
class ProblemCode(Enum):
    """Stable codes; each problem type has its own."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    INSUFFICIENT_POINTS = "INSUFFICIENT_POINTS"
    MEMBER_NOT_ACTIVE = "MEMBER_NOT_ACTIVE"
    IDENTITY_TAKEN = "IDENTITY_TAKEN"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    UNKNOWN_CHANNEL = "UNKNOWN_CHANNEL"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    UNKNOWN_CURRENCY = "UNKNOWN_CURRENCY"
    UNKNOWN_STORE = "UNKNOWN_STORE"
    ORDER_CONFLICT = "ORDER_CONFLICT"
    UNKNOWN_EVENT = "UNKNOWN_EVENT"
    TOO_MANY_WEBHOOKS = "TOO_MANY_WEBHOOKS"
    WEBHOOK_DISABLED = "WEBHOOK_DISABLED"
    JOB_NOT_RETRYABLE = "JOB_NOT_RETRYABLE"
    JOB_NOT_CANCELLABLE = "JOB_NOT_CANCELLABLE"


@strawberry.interface(description="Why a command did nothing.")
class Problem:
    """What every problem tells."""

    code: ProblemCode = strawberry.field(description="The kind of problem, for programs.")
    message: str = strawberry.field(description="A sentence for developers that says what would be right.")
    path: list[str] | None = strawberry.field(description="The input field that is meant, from the input's root.")


@strawberry.type(description="A value that can never be right.")
class InvalidInput(Problem):
    """See engage.base.errors."""


@strawberry.type(description="What was named is not there.")
class NotFound(Problem):
    """See engage.base.errors."""


@strawberry.type(description="Your role may not do this.")
class Forbidden(Problem):
    """See engage.base.errors."""


@strawberry.type(description="The idempotency key was used before with other input.")
class IdempotencyConflict(Problem):
    """See engage.base.errors."""


@strawberry.type(
    description="The command ran out of time or lost its database, and may have happened: repeat it, with the same "
    "key where it takes one."
)
class OutcomeUnknown(Problem):
    """See engage.base.errors."""


@strawberry.type(description="The member has fewer points than are needed.")
class InsufficientPoints(Problem):
    """See engage.domains.ledger.errors."""

    available: Points = strawberry.field(description="What the member can spend now.")
    required: Points = strawberry.field(description="What the command needs.")


@strawberry.type(description="The member's state lets no points move this way.")
class MemberNotActive(Problem):
    """See engage.domains.ledger.errors."""

    state: MemberState = strawberry.field(description="The member's state.")


@strawberry.type(description="Another member is known under this identity.")
class IdentityTaken(Problem):
    """See engage.domains.members.errors."""


@strawberry.type(description="Something of this code is there already.")
class AlreadyExists(Problem):
    """See engage.domains.members.errors."""


@strawberry.type(description="There is no such channel.")
class UnknownChannel(Problem):
    """See engage.domains.members.errors."""

    known: list[str] = strawberry.field(description="The channels that there are.")


@strawberry.type(description="Nobody is known under this identity, and purchases register no new members here.")
class UnknownMember(Problem):
    """See engage.domains.members.errors."""


@strawberry.type(description="The program does not take this currency.")
class UnknownCurrency(Problem):
    """See engage.domains.purchases.errors."""

    known: list[str] = strawberry.field(description="The currencies that it takes.")


@strawberry.type(description="The program has no such store.")
class UnknownStore(Problem):
    """See engage.domains.purchases.errors."""


@strawberry.type(description="The order number is on file with other content.")
class OrderConflict(Problem):
    """See engage.domains.purchases.errors."""


@strawberry.type(
    description="The work is done, cancelled or at work, or another job with its key is undone, so it is not retried."
)
class JobNotRetryable(Problem):
    """See engage.outbox.errors."""

    state: JobState = strawberry.field(description="The state that it is in.")


@strawberry.type(description="The work is finished or dead, or an event at work: there is nothing to cancel.")
class JobNotCancellable(Problem):
    """See engage.outbox.errors."""

    state: JobState = strawberry.field(description="The state that it is in.")


@strawberry.type(description="There is no such event.")
class UnknownEvent(Problem):
    """See engage.domains.webhooks.errors."""

    known: list[str] = strawberry.field(description="The events that there are.")


@strawberry.type(description="There are as many webhook endpoints as there may be.")
class TooManyWebhooks(Problem):
    """See engage.domains.webhooks.errors."""

    limit: int = strawberry.field(description="How many there may be.")


@strawberry.type(description="The webhook endpoint is disabled; it has to be resumed first.")
class WebhookDisabled(Problem):
    """See engage.domains.webhooks.errors."""


PROBLEMS: dict[type[Refusal], type[Problem]] = {
    base_errors.InvalidInput: InvalidInput,
    base_errors.NotFound: NotFound,
    base_errors.Forbidden: Forbidden,
    base_errors.IdempotencyConflict: IdempotencyConflict,
    base_errors.OutcomeUnknown: OutcomeUnknown,
    ledger_errors.InsufficientPoints: InsufficientPoints,
    ledger_errors.MemberNotActive: MemberNotActive,
    members_errors.IdentityTaken: IdentityTaken,
    members_errors.AlreadyExists: AlreadyExists,
    members_errors.UnknownChannel: UnknownChannel,
    members_errors.UnknownMember: UnknownMember,
    purchases_errors.UnknownCurrency: UnknownCurrency,
    purchases_errors.UnknownStore: UnknownStore,
    purchases_errors.OrderConflict: OrderConflict,
    webhooks_errors.UnknownEvent: UnknownEvent,
    webhooks_errors.TooManyWebhooks: TooManyWebhooks,
    webhooks_errors.WebhookDisabled: WebhookDisabled,
    outbox_errors.JobNotRetryable: JobNotRetryable,
    outbox_errors.JobNotCancellable: JobNotCancellable,
}


describe(
    ProblemCode,
    {ProblemCode(refusal.code): kind.__strawberry_definition__.description for refusal, kind in PROBLEMS.items()},  # type: ignore[attr-defined]
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
    return kind(code=ProblemCode(refusal.code), message=_short(refusal.message), path=refusal.path, **refusal.extras)


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
