"""Points: balances, statements, earning and spending by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import date, datetime
from typing import Annotated, TypeVar

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import TransferKind
from engage.api.errors import (
    Forbidden,
    IdempotencyConflict,
    InsufficientPoints,
    InvalidInput,
    MemberNotActive,
    NotFound,
    OutcomeUnknown,
)
from engage.api.fields import mutation, subscription
from engage.api.relay import global_id, local_id
from engage.api.scalars import Points
from engage.base.paging import encode_cursor
from engage.domains.ledger import queries, service
from engage.domains.ledger import types as plain

M = TypeVar("M", bound="PointsMoved")

DEFAULT_PROGRAM = "default"


Program = Annotated[str, strawberry.argument(description="Code of the program.")]


@strawberry.type(description="A member's points in one program.")
class Balance:
    """Figures that hold at the moment they are read, however late any job is."""

    available: Points = strawberry.field(description="What can be spent now.")
    pending: Points = strawberry.field(description="What has been earned and is not usable yet.")
    held: Points = strawberry.field(description="What is set aside for orders in progress.")
    debt: Points = strawberry.field(description="What later earnings pay off first.")


def balance(value: plain.Balance) -> Balance:
    """A balance for the API."""
    return Balance(
        available=Points(value.available),
        pending=Points(value.pending),
        held=Points(value.held),
        debt=Points(value.debt),
    )


@strawberry.type(description="Points that expire on one day.")
class ExpiryLine:
    """One line of a schedule."""

    expires_on: date = strawberry.field(description="The day in the program's time zone.")
    amount: Points = strawberry.field(description="What expires then.")


@strawberry.type(description="What expires when. Adds up to the available points.")
class ExpirySchedule:
    """The next days one by one, and the rest in two figures."""

    lines: list[ExpiryLine] = strawberry.field(description="The next days on which points expire.")
    later: Points = strawberry.field(description="What expires after those days.")
    never: Points = strawberry.field(description="What does not expire.")
    total: Points = strawberry.field(description="All of it: the available points.")


def expiry_schedule(value: plain.ExpirySchedule) -> ExpirySchedule:
    """A schedule for the API."""
    return ExpirySchedule(
        lines=[ExpiryLine(expires_on=line.expires_on, amount=Points(line.amount)) for line in value.lines],
        later=Points(value.later),
        never=Points(value.never),
        total=Points(value.total),
    )


@strawberry.type(description="What a transfer goes back to.")
class Cause:
    """Codes and ids only."""

    type: str = strawberry.field(description="Such as purchase.")
    id: str = strawberry.field(description="The id there.")


@strawberry.type(description="A movement of a member's points. Never changed once posted.")
class Transfer:
    """One line of a statement."""

    id: strawberry.ID = strawberry.field(description="Global id.")
    kind: TransferKind = strawberry.field(description="What it does.")
    amount: Points = strawberry.field(description="Signed: negative takes points from the member.")
    reason: str = strawberry.field(description="A code such as PURCHASE or REDEMPTION.")
    cause: Cause | None = strawberry.field(description="What it goes back to.")
    posted_at: datetime = strawberry.field(description="When it was posted.")
    balance_after: Points = strawberry.field(description="The member's available points after it.")


def transfer(row: plain.TransferRecord) -> Transfer:
    """A line of a statement for the API."""
    return Transfer(
        id=global_id("Transfer", row.id),
        kind=row.kind,
        amount=Points(row.amount),
        reason=row.reason,
        cause=_cause(row.cause),
        posted_at=row.posted_at,
        balance_after=Points(row.balance_after),
    )


def transfer_cursor(row: plain.TransferRecord) -> str:
    """Where this transfer stands in the statement."""
    return encode_cursor(row.version)


def _cause(value: plain.Cause | None) -> Cause | None:
    return None if value is None else Cause(type=value.type, id=value.id)


@strawberry.input(description="What a transfer goes back to: codes and ids, nothing about a person.")
class CauseInput:
    """A reference of the caller's."""

    type: str = strawberry.field(description="1 to 32 characters, such as order.")
    id: str = strawberry.field(description="1 to 80 characters.")


@strawberry.input(description="Points to give by hand. What activities earn is given by their own mutations.")
class EarnPointsInput:
    """See earnPoints."""

    member_id: strawberry.ID = strawberry.field(description="Who gets them.")
    amount: Points = strawberry.field(description="How many, 1 or more.")
    idempotency_key: str = strawberry.field(description="Repeat with the same key to get the first answer again.")
    program: str = strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")
    reason: str = strawberry.field(default="CORRECTION", description="A code of A-Z, 0-9 and _.")
    cause: CauseInput | None = strawberry.field(default=None, description="What they are given for.")
    usable_at: datetime | None = strawberry.field(default=None, description="Pending until then.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="Lost from then on; by the program's policy if left out."
    )


@strawberry.input(description="Points to take for something.")
class SpendPointsInput:
    """See spendPoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = strawberry.field(description="How many, 1 or more.")
    idempotency_key: str = strawberry.field(description="Repeat with the same key to get the first answer again.")
    program: str = strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")
    reason: str = strawberry.field(default="REDEMPTION", description="A code of A-Z, 0-9 and _.")
    cause: CauseInput | None = strawberry.field(default=None, description="What they are spent on.")


@strawberry.type(description="The points have moved.")
class PointsMoved:
    """What earnPoints and spendPoints answer."""

    transfer_id: strawberry.ID = strawberry.field(description="Global id of the transfer.")
    member_id: strawberry.ID = strawberry.field(description="Whose points moved.")
    amount: Points = strawberry.field(description="Signed: negative took points from the member.")
    balance: Balance = strawberry.field(description="The balance right after.")
    position: int = strawberry.field(description="Position in the member's stream, to know one's own echo there.")
    posted_at: datetime = strawberry.field(description="When it was posted.")
    replayed: bool = strawberry.field(description="Whether the key was used before and this is its first answer.")


@strawberry.type(description="The points were given.")
class EarnPointsPayload(PointsMoved):
    """See earnPoints."""


@strawberry.type(description="The points were taken.")
class SpendPointsPayload(PointsMoved):
    """See spendPoints."""


EarnPointsResult = Annotated[
    EarnPointsPayload | InvalidInput | NotFound | Forbidden | MemberNotActive | IdempotencyConflict | OutcomeUnknown,
    strawberry.union("EarnPointsResult", description="What earnPoints answers."),
]
SpendPointsResult = Annotated[
    SpendPointsPayload
    | InsufficientPoints
    | InvalidInput
    | NotFound
    | Forbidden
    | MemberNotActive
    | IdempotencyConflict
    | OutcomeUnknown,
    strawberry.union("SpendPointsResult", description="What spendPoints answers."),
]


def _moved(kind: type[M], posted: plain.Posted) -> M:
    return kind(
        transfer_id=global_id("Transfer", posted.transfer_id),
        member_id=global_id("Member", posted.member_id),
        amount=Points(posted.amount),
        balance=balance(posted.balance),
        position=posted.position,
        posted_at=posted.posted_at,
        replayed=posted.replayed,
    )


def _plain_cause(given: CauseInput | None) -> plain.Cause | None:
    return None if given is None else plain.Cause(given.type, given.id)


@strawberry.type
class LedgerMutation:
    """Commands of the ledger."""

    @mutation("Give points by hand, in one lot. Roles: STAFF, ADMIN, SERVICE.")
    async def earn_points(
        self,
        info: Info,
        data: Annotated[EarnPointsInput, strawberry.argument(name="input", description="What to give.")],
    ) -> EarnPointsResult:
        """See engage.domains.ledger.service.earn_points."""
        posted = await service.earn_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            reason=data.reason,
            cause=_plain_cause(data.cause),
            usable_at=data.usable_at,
            expires_at=data.expires_at,
        )
        return _moved(EarnPointsPayload, posted)

    @mutation("Spend points, those that expire first. Roles: the member, STAFF, ADMIN, SERVICE.")
    async def spend_points(
        self,
        info: Info,
        data: Annotated[SpendPointsInput, strawberry.argument(name="input", description="What to take.")],
    ) -> SpendPointsResult:
        """See engage.domains.ledger.service.spend_points."""
        posted = await service.spend_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            reason=data.reason,
            cause=_plain_cause(data.cause),
        )
        return _moved(SpendPointsPayload, posted)


@strawberry.type(description="The transfer behind a change of a balance.")
class PointsTransfer:
    """Ids and figures of a change."""

    transfer_id: strawberry.ID = strawberry.field(description="Global id of the transfer.")
    kind: TransferKind = strawberry.field(description="What it does.")
    amount: Points = strawberry.field(description="Signed: negative took points from the member.")
    reason: str = strawberry.field(description="A code such as PURCHASE or REDEMPTION.")
    cause: Cause | None = strawberry.field(description="What it goes back to.")
    posted_at: datetime = strawberry.field(description="When it was posted.")


@strawberry.type(description="A member's balance, as it stands or after a change.")
class PointsChanged:
    """One frame of the subscription."""

    cursor: str = strawberry.field(description="Give it as `after` to go on from here after a break.")
    position: int = strawberry.field(description="Position in the member's stream that this balance holds at.")
    from_position: int = strawberry.field(description="First position that this frame covers.")
    reset: bool = strawberry.field(description="Throw away what you knew: the cursor given means nothing any more.")
    balance: Balance = strawberry.field(description="The balance.")
    transfer: PointsTransfer | None = strawberry.field(description="What changed it; null in a snapshot.")


def _changed(seen: plain.PointsSeen) -> PointsChanged:
    change = seen.change
    return PointsChanged(
        cursor=seen.cursor,
        position=seen.position,
        from_position=seen.from_position,
        reset=seen.reset,
        balance=balance(seen.balance),
        transfer=None
        if change is None
        else PointsTransfer(
            transfer_id=global_id("Transfer", change.transfer_id),
            kind=change.kind,
            amount=Points(change.amount),
            reason=change.reason,
            cause=_cause(change.cause),
            posted_at=change.posted_at,
        ),
    )


@strawberry.type
class LedgerSubscription:
    """Live changes of the ledger."""

    @subscription(
        "A member's balance: first as it stands, then after each change, none missed and none twice. "
        "Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE."
    )
    async def points_changed(
        self,
        info: Info,
        member_id: Annotated[strawberry.ID, strawberry.argument(description="Whose balance.")],
        program: Program = DEFAULT_PROGRAM,
        after: Annotated[
            str | None,
            strawberry.argument(description="The last frame's cursor: what was missed since comes first."),
        ] = None,
    ) -> AsyncGenerator[PointsChanged, None]:
        """See engage.domains.ledger.queries.watch_points."""
        context = context_of(info)
        member = local_id("Member", member_id, path=["memberId"])
        async for seen in queries.watch_points(
            context.actor, context.hub, member_id=member, program=program, after=after
        ):
            yield _changed(seen)
