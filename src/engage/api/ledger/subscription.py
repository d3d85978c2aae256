"""Live changes of a balance of points."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import TransferKind
from engage.api.fields import subscription
from engage.api.ledger.inputs import DEFAULT_PROGRAM, Program
from engage.api.ledger.types import Balance, Cause, balance, cause
from engage.api.relay import global_id, local_id
from engage.api.scalars import Points
from engage.domains.ledger import queries
from engage.domains.ledger import types as plain


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
            cause=cause(change.cause),
            posted_at=change.posted_at,
        ),
    )


@strawberry.type
class LedgerSubscription:
    """Live changes of the ledger."""

    @subscription(
        "A member's balance: first as it stands, then after each change, none missed and none twice. Roles: the "
        "member, STAFF, MODERATOR, ADMIN, SERVICE. Scope: points:read."
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
