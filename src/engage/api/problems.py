"""Problems: why a command did nothing, as data. Those of the ledger stand in ledger_problems.

A problem that a command can give is a member of its result union; a client that cares for none of them asks for
`... on Problem { code message path }`.
"""

from __future__ import annotations

from enum import Enum

import strawberry

from engage.api.enums import JobState


@strawberry.enum(description="What stood in the way, for programs to act on.")
class ProblemCode(Enum):
    """Stable codes; each problem type has its own."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    INSUFFICIENT_POINTS = "INSUFFICIENT_POINTS"
    INSUFFICIENT_VALUE = "INSUFFICIENT_VALUE"
    MEMBER_NOT_ACTIVE = "MEMBER_NOT_ACTIVE"
    BALANCE_LIMIT = "BALANCE_LIMIT"
    VALUE_LIMIT = "VALUE_LIMIT"
    HOLD_NOT_OPEN = "HOLD_NOT_OPEN"
    EXCEEDS_HOLD = "EXCEEDS_HOLD"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    EXCEEDS_REVERSIBLE = "EXCEEDS_REVERSIBLE"
    NOT_PENDING = "NOT_PENDING"
    GIFT_LIMIT = "GIFT_LIMIT"
    GIFT_DECIDED = "GIFT_DECIDED"
    RATE_NOT_IN_FORCE = "RATE_NOT_IN_FORCE"
    PAYMENT_USED = "PAYMENT_USED"
    SECOND_PERSON_NEEDED = "SECOND_PERSON_NEEDED"
    ADJUSTMENT_DECIDED = "ADJUSTMENT_DECIDED"
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
    TOO_MANY_API_KEYS = "TOO_MANY_API_KEYS"
    PREVIEW_OUTDATED = "PREVIEW_OUTDATED"
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


@strawberry.type(description="What was previewed is not what would be done by now; make another preview.")
class PreviewOutdated(Problem):
    """See engage.domains.ledger.policy.errors."""

    in_force: int = strawberry.field(description="The version of the policy that is in force.")


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


@strawberry.type(description="There are as many API keys as there may be.")
class TooManyApiKeys(Problem):
    """See engage.domains.access.errors."""

    limit: int = strawberry.field(description="How many there may be.")


@strawberry.type(description="The webhook endpoint is disabled; it has to be resumed first.")
class WebhookDisabled(Problem):
    """See engage.domains.webhooks.errors."""
