"""Publishing a points policy."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import TransferKind
from engage.api.errors import Forbidden, IdempotencyConflict, InvalidInput, NotFound, OutcomeUnknown
from engage.api.fields import mutation
from engage.api.ledger import DEFAULT_PROGRAM
from engage.api.policies import PointsPolicy, policy, told
from engage.api.scalars import Amount, Points
from engage.domains.ledger.policy import service
from engage.domains.ledger.policy import types as plain
from engage.domains.ledger.policy.types import ExpiryKind, ExpiryPeriod, ExpiryRound, MovedExpiry, ReturnedKind


@strawberry.input(description="A step of the bonus on top-ups.")
class TopUpBonusStepInput:
    """See PointsPolicyInput."""

    from_amount: Amount = told("from_amount")
    per_mille: int = told("per_mille", default=0)
    fixed: Amount = told("fixed", default=Amount(Decimal(0)))


@strawberry.input(
    description="All rules of a program's points. What is left out is as it is where nothing was published, whatever "
    "the version before says."
)
class PointsPolicyInput:
    """See publishPointsPolicy."""

    expiry_kind: ExpiryKind = told("expiry_kind")
    expiry_after: str | None = told("expiry_after", default=None)
    expiry_round: ExpiryRound = told("expiry_round", default=ExpiryRound.NONE)
    expiry_month: int | None = told("expiry_month", default=None)
    expiry_day: int | None = told("expiry_day", default=None)
    expiry_period: ExpiryPeriod | None = told("expiry_period", default=None)
    expiry_count: int | None = told("expiry_count", default=None)
    expiry_activities: list[TransferKind] = told(
        "expiry_activities", default_factory=lambda: [TransferKind.EARN, TransferKind.SPEND]
    )
    returned_kind: ReturnedKind = told("returned_kind", default=ReturnedKind.LOST)
    returned_grace: str | None = told("returned_grace", default=None)
    hold_longest: str = told("hold_longest", default="P30D")
    gift_daily_points: Points | None = told("gift_daily_points", default=None)
    gift_daily_count: int | None = told("gift_daily_count", default=None)
    gift_fee_per_mille: int = told("gift_fee_per_mille", default=0)
    gift_fee_fixed: Points = told("gift_fee_fixed", default=Points(0))
    gift_expiry: MovedExpiry = told("gift_expiry", default=MovedExpiry.KEEP)
    gift_accept_within: str | None = told("gift_accept_within", default=None)
    gift_hops_max: int = told("gift_hops_max", default=1)
    exchange_expiry: MovedExpiry = told("exchange_expiry", default=MovedExpiry.RENEW)
    adjust_alone_max: Points | None = told("adjust_alone_max", default=None)
    top_up_bonus: list[TopUpBonusStepInput] = told("top_up_bonus", default_factory=list)
    top_up_bonus_valid_for: str | None = told("top_up_bonus_valid_for", default=None)


@strawberry.input(description="A policy to publish.")
class PublishPointsPolicyInput:
    """See publishPointsPolicy."""

    idempotency_key: str = strawberry.field(description="Repeat with the same key to get the first answer again.")
    policy: PointsPolicyInput = strawberry.field(description="All of the rules.")
    program: str = strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")
    effective_at: datetime | None = strawberry.field(
        default=None, description="From when it holds, in the future; at once if left out."
    )


@strawberry.type(description="The policy is published.")
class PublishPointsPolicyPayload:
    """See publishPointsPolicy."""

    policy: PointsPolicy = strawberry.field(description="The new version.")
    position: int = strawberry.field(description="Position of this in the program's stream.")
    replayed: bool = strawberry.field(description="Whether the key was used before and this is its first answer.")


PublishPointsPolicyResult = Annotated[
    PublishPointsPolicyPayload | InvalidInput | NotFound | Forbidden | IdempotencyConflict | OutcomeUnknown,
    strawberry.union("PublishPointsPolicyResult", description="What publishPointsPolicy answers."),
]


def _terms(given: PointsPolicyInput) -> plain.PolicyTerms:
    terms = {one.name: getattr(given, one.name) for one in fields(plain.PolicyTerms)}
    terms["expiry_activities"] = tuple(given.expiry_activities)
    terms["top_up_bonus"] = tuple(
        plain.BonusStep(one.from_amount, one.per_mille, one.fixed) for one in given.top_up_bonus
    )
    return plain.PolicyTerms(**terms)


@strawberry.type
class PoliciesMutation:
    """Commands of policies."""

    @mutation("Publish the next version of a program's points policy. Role: ADMIN. Scope: programs:write.")
    async def publish_points_policy(
        self,
        info: Info,
        data: Annotated[
            PublishPointsPolicyInput, strawberry.argument(name="input", description="The policy to publish.")
        ],
    ) -> PublishPointsPolicyResult:
        """See engage.domains.ledger.policy.service.publish_points_policy."""
        actor = context_of(info).actor
        done = await service.publish_points_policy(
            actor,
            program=data.program,
            policy=_terms(data.policy),
            idempotency_key=data.idempotency_key,
            effective_at=data.effective_at,
        )
        return PublishPointsPolicyPayload(
            policy=policy(actor, done.policy), position=done.position, replayed=done.replayed
        )
