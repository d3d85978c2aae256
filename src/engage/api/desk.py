"""What the desk looks at: corrections that wait for a second person, and exchange rates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import AdjustmentState
from engage.api.fields import field
from engage.api.ledger import Adjustment, ExchangeRate, adjustment, exchange_rate
from engage.api.relay import After, Before, Connection, First, Last, connection
from engage.base.paging import window
from engage.domains.ledger import queries


@strawberry.type
class DeskQuery:
    """Reads of corrections and rates."""

    @field(
        "Corrections that take a second person, in one state, newest first: the queue of those who decide. "
        "Roles: STAFF, MODERATOR, ADMIN, SERVICE. Scope: points:read."
    )
    async def adjustments(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        state: Annotated[
            AdjustmentState, strawberry.argument(description="How they stand.")
        ] = AdjustmentState.WAITING,
    ) -> Connection[Adjustment]:
        """See engage.domains.ledger.queries.list_adjustments."""
        asked = window(first, last, after, before)
        return connection(await queries.list_adjustments(context_of(info).actor, state, asked), adjustment)

    @field("What points of one program are worth in another, newest version first. Any role.")
    async def exchange_rates(
        self,
        info: Info,
        from_program: Annotated[
            str, strawberry.argument(name="from", description="Code of the program whose points are given.")
        ],
        to_program: Annotated[
            str, strawberry.argument(name="to", description="Code of the program whose points are received.")
        ],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at: Annotated[
            datetime | None, strawberry.argument(description="Only the one in force at this moment.")
        ] = None,
    ) -> Connection[ExchangeRate]:
        """See engage.domains.ledger.queries.list_exchange_rates."""
        _ = context_of(info).actor
        asked = window(first, last, after, before)
        return connection(await queries.list_exchange_rates(from_program, to_program, at, asked), exchange_rate)
