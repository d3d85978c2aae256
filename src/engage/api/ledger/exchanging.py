"""Points of one program become points of another, by rates that are published."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.fields import mutation
from engage.api.ledger.inputs import Usual, amount_field, key_field
from engage.api.ledger.payloads import PointsMoved, points_moved
from engage.api.ledger.types import Balance, balance
from engage.api.ledger_problems import BalanceLimit, InsufficientPoints, RateNotInForce
from engage.api.node_kinds import Node, by_id
from engage.api.problems import Forbidden, IdempotencyConflict, InvalidInput, NotFound, OutcomeUnknown
from engage.api.relay import global_id, local_id
from engage.api.scalars import Points
from engage.domains.ledger import queries, service
from engage.domains.ledger import types as plain


@strawberry.input(description="Points to exchange.")
class ExchangePointsInput:
    """See exchangePoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    from_program: str = strawberry.field(description="Code of the program whose points go.")
    to_program: str = strawberry.field(description="Code of the program whose points come.")
    amount: Points = amount_field("How many go, 1 or more, and enough for one to come.")
    idempotency_key: str = key_field()
    rate_id: strawberry.ID | None = strawberry.field(
        default=None, description="The rate that was shown to the member: another one by now is refused."
    )


@strawberry.input(description="What points of one program are worth in another.")
class PublishExchangeRateInput:
    """See publishExchangeRate."""

    from_program: str = strawberry.field(description="Code of the program whose points go.")
    to_program: str = strawberry.field(description="Code of the program whose points come.")
    numerator: Points = strawberry.field(description="So many points come, 1 to a million million.")
    denominator: Points = strawberry.field(description="So many points go for them, 1 to a million million.")
    idempotency_key: str = key_field()
    effective_at: datetime | None = strawberry.field(
        default=None, description="From when it holds, in the future; at once if left out."
    )
    ends_at: datetime | None = strawberry.field(
        default=None, description="Until when; if left out, until a newer one holds."
    )


@strawberry.type(description="A published exchange rate. Never changed; the newest that has begun is in force.")
class ExchangeRate(Node):
    """A version of what points of one program are worth in another."""

    from_program: str = strawberry.field(description="Code of the program whose points go.")
    to_program: str = strawberry.field(description="Code of the program whose points come.")
    version: int = strawberry.field(description="1, 2, 3 … between these two.")
    numerator: Points = strawberry.field(description="So many points come.")
    denominator: Points = strawberry.field(description="So many go for them.")
    effective_at: datetime = strawberry.field(description="From when it holds.")
    ends_at: datetime | None = strawberry.field(description="Until when; null is until a newer one holds.")
    published_at: datetime = strawberry.field(description="When it was published.")


def exchange_rate(row: plain.RateRecord) -> ExchangeRate:
    """A rate for the API."""
    return ExchangeRate(
        id=global_id("ExchangeRate", row.id),
        from_program=row.from_program,
        to_program=row.to_program,
        version=row.version,
        numerator=Points(row.numerator),
        denominator=Points(row.denominator),
        effective_at=row.effective_at,
        ends_at=row.ends_at,
        published_at=row.published_at,
    )


@by_id("ExchangeRate")
async def _exchange_rate_by_id(context: Context, rate_id: UUID) -> ExchangeRate:
    return exchange_rate(await queries.get_exchange_rate(rate_id, read=context.together.load))


@strawberry.type(
    description="The points were exchanged. Transfer, amount, position and balance are of those that went."
)
class ExchangePointsPayload(PointsMoved):
    """See exchangePoints."""

    rate_id: strawberry.ID = strawberry.field(description="Global id of the rate that was in force.")
    received: Points = strawberry.field(description="How many came, rounded down.")
    received_transfer_id: strawberry.ID = strawberry.field(description="Global id of the transfer that gave them.")
    received_balance: Balance = strawberry.field(description="The balance of that program right after.")


@strawberry.type(description="The rate is published.")
class PublishExchangeRatePayload:
    """See publishExchangeRate."""

    rate: ExchangeRate = strawberry.field(description="The new version.")
    position: int = strawberry.field(description="Position of this in the stream of the program whose points go.")
    replayed: bool = strawberry.field(description="Whether the key was used before and this is its first answer.")


ExchangePointsResult = Annotated[
    ExchangePointsPayload | InsufficientPoints | RateNotInForce | BalanceLimit | Usual,
    strawberry.union("ExchangePointsResult", description="What exchangePoints answers."),
]
PublishExchangeRateResult = Annotated[
    PublishExchangeRatePayload | InvalidInput | NotFound | Forbidden | IdempotencyConflict | OutcomeUnknown,
    strawberry.union("PublishExchangeRateResult", description="What publishExchangeRate answers."),
]


@strawberry.type
class ExchangingMutation:
    """Commands of exchanges."""

    @mutation(
        "Turn points of one program into points of another by the rate in force, rounded down. Roles: the member, "
        "STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def exchange_points(
        self,
        info: Info,
        data: Annotated[ExchangePointsInput, strawberry.argument(name="input", description="What to exchange.")],
    ) -> ExchangePointsResult:
        """See engage.domains.ledger.service.exchange_points."""
        shown = data.rate_id
        posted = await service.exchange_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            from_program=data.from_program,
            to_program=data.to_program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            rate_id=None if shown is None else local_id("ExchangeRate", shown, path=["rateId"]),
        )
        return points_moved(
            ExchangePointsPayload,
            posted,
            rate_id=global_id("ExchangeRate", posted.rate_id),
            received=Points(posted.received),
            received_transfer_id=global_id("Transfer", posted.received_transfer_id),
            received_balance=balance(posted.received_balance),
        )

    @mutation("Publish the next version of the rate between two programs. Role: ADMIN. Scope: programs:write.")
    async def publish_exchange_rate(
        self,
        info: Info,
        data: Annotated[PublishExchangeRateInput, strawberry.argument(name="input", description="The rate.")],
    ) -> PublishExchangeRateResult:
        """See engage.domains.ledger.service.publish_exchange_rate."""
        done = await service.publish_exchange_rate(
            context_of(info).actor,
            from_program=data.from_program,
            to_program=data.to_program,
            numerator=data.numerator,
            denominator=data.denominator,
            effective_at=data.effective_at,
            ends_at=data.ends_at,
            idempotency_key=data.idempotency_key,
        )
        return PublishExchangeRatePayload(rate=exchange_rate(done), position=done.position, replayed=done.replayed)
