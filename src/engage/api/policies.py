"""Points policies as the API shows them; publishing them is in policy_commands."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import TransferKind, describe
from engage.api.fields import field
from engage.api.ledger import DEFAULT_PROGRAM
from engage.api.ledger import Program as ProgramCode
from engage.api.relay import After, Before, Connection, First, Last, connection
from engage.api.scalars import Amount, Points
from engage.base.actor import ADMIN_ROLES, Actor
from engage.base.paging import window
from engage.domains.ledger.policy import queries
from engage.domains.ledger.policy import types as plain
from engage.domains.ledger.policy.types import ExpiryKind, ExpiryPeriod, ExpiryRound, MovedExpiry, ReturnedKind

strawberry.enum(ExpiryKind, description="How the end of points is found, in the program's time zone.")
describe(
    ExpiryKind,
    {
        ExpiryKind.NEVER: "They have none.",
        ExpiryKind.ROLLING: "`expiryAfter` after they become usable, up to the end that `expiryRound` names.",
        ExpiryKind.FIXED: "The end of `expiryDay` of `expiryMonth` that comes next.",
        ExpiryKind.CALENDAR: "The end of the `expiryCount`-th `expiryPeriod` after that in which they become usable.",
        ExpiryKind.INACTIVITY: "`expiryAfter` after the last of `expiryActivities`, up to the end of a day at least.",
    },
)

strawberry.enum(ExpiryRound, description="What a moment of expiry is moved up to the end of.")
describe(
    ExpiryRound,
    {
        ExpiryRound.NONE: "It stays.",
        ExpiryRound.DAY: "Its day.",
        ExpiryRound.MONTH: "Its month.",
        ExpiryRound.QUARTER: "Its quarter of the calendar year.",
        ExpiryRound.YEAR: "Its calendar year.",
    },
)

strawberry.enum(ExpiryPeriod, description="A period of the calendar.")
describe(
    ExpiryPeriod,
    {
        ExpiryPeriod.MONTH: "A month.",
        ExpiryPeriod.QUARTER: "A quarter of the calendar year.",
        ExpiryPeriod.YEAR: "A calendar year.",
    },
)

strawberry.enum(ReturnedKind, description="What becomes of points that come back after their own end.")
describe(
    ReturnedKind,
    {
        ReturnedKind.LOST: "They expire at once.",
        ReturnedKind.REISSUED: "They are given anew, for `returnedGrace`.",
    },
)

strawberry.enum(MovedExpiry, description="What becomes of the end of points that change hands.")
describe(
    MovedExpiry,
    {
        MovedExpiry.KEEP: "They keep it.",
        MovedExpiry.RENEW: "They get that of points given now.",
    },
)

_TOLD = {
    "expiry_kind": "How the end of points is found.",
    "expiry_after": "Of ROLLING and INACTIVITY: an ISO 8601 duration such as P12M.",
    "expiry_round": "Of ROLLING and INACTIVITY: the end of what the moment is moved up to.",
    "expiry_month": "Of FIXED: the month, 1 to 12.",
    "expiry_day": "Of FIXED: the day of the month; 29 February is the 28th in common years.",
    "expiry_period": "Of CALENDAR: at the end of what they expire.",
    "expiry_count": "Of CALENDAR: how many whole periods follow the present one; 0 is the present one.",
    "expiry_activities": "Of INACTIVITY: kinds of transfers that keep points alive.",
    "returned_kind": "What becomes of points that come back to a lot which has expired meanwhile.",
    "returned_grace": "Of REISSUED: an ISO 8601 duration for which they can be used again.",
    "hold_longest": "The longest that points may be held; an ISO 8601 duration.",
    "gift_daily_points": "Points that a member may give away a day; null is no limit, 0 none.",
    "gift_daily_count": "Gifts that a member may make a day; null is no limit, 0 none.",
    "gift_fee_per_mille": "Fee of a gift, in thousandths of it.",
    "gift_fee_fixed": "Fee of a gift, in points, beside that.",
    "gift_expiry": "Whether given points keep their end.",
    "gift_accept_within": "An ISO 8601 duration for which a gift waits to be accepted; null: it goes at once.",
    "gift_hops_max": "How often points that came as a gift may be given on; 0 is never.",
    "exchange_expiry": "Whether points exchanged between programs keep their end.",
    "adjust_alone_max": "Points above which an adjustment takes a second person; null: it never does.",
    "top_up_bonus": "What a top-up gets on top: the step with the highest `fromAmount` not above it counts.",
    "top_up_bonus_valid_for": "An ISO 8601 duration for which a bonus can be used; null: it does not end.",
}
_STEP = {
    "from_amount": "Top-ups from here on, in the program's currency.",
    "per_mille": "Thousandths of the top-up.",
    "fixed": "An amount beside that, in the program's currency.",
}


def told(name: str, **more: Any) -> Any:  # noqa: ANN401 -- as the library's own function
    """A field of a policy; the same words in what is given and what is read."""
    return strawberry.field(description=(_TOLD | _STEP)[name], **more)


@strawberry.type(description="A step of the bonus on top-ups.")
class TopUpBonusStep:
    """Counts up to the next step."""

    from_amount: Amount = told("from_amount")
    per_mille: int = told("per_mille")
    fixed: Amount = told("fixed")


@strawberry.type(description="One version of the rules of a program's points, for everyone to read.")
class PointsPolicy:
    """What was published, or what the program itself says."""

    program: str = strawberry.field(description="Code of the program.")
    version: int = strawberry.field(description="1, 2, 3 …; 0 is what the program says where none was published.")
    effective_at: datetime = strawberry.field(description="Since when it holds, or from when it will.")
    published_at: datetime = strawberry.field(description="When it was published.")
    published_by: str | None = strawberry.field(
        description="Who published it: the subject of a token. Null for all but the role ADMIN."
    )
    expiry_kind: ExpiryKind = told("expiry_kind")
    expiry_after: str | None = told("expiry_after")
    expiry_round: ExpiryRound = told("expiry_round")
    expiry_month: int | None = told("expiry_month")
    expiry_day: int | None = told("expiry_day")
    expiry_period: ExpiryPeriod | None = told("expiry_period")
    expiry_count: int | None = told("expiry_count")
    expiry_activities: list[TransferKind] = told("expiry_activities")
    returned_kind: ReturnedKind = told("returned_kind")
    returned_grace: str | None = told("returned_grace")
    hold_longest: str = told("hold_longest")
    gift_daily_points: Points | None = told("gift_daily_points")
    gift_daily_count: int | None = told("gift_daily_count")
    gift_fee_per_mille: int = told("gift_fee_per_mille")
    gift_fee_fixed: Points = told("gift_fee_fixed")
    gift_expiry: MovedExpiry = told("gift_expiry")
    gift_accept_within: str | None = told("gift_accept_within")
    gift_hops_max: int = told("gift_hops_max")
    exchange_expiry: MovedExpiry = told("exchange_expiry")
    adjust_alone_max: Points | None = told("adjust_alone_max")
    top_up_bonus: list[TopUpBonusStep] = told("top_up_bonus")
    top_up_bonus_valid_for: str | None = told("top_up_bonus_valid_for")


def policy(actor: Actor, record: plain.PolicyRecord) -> PointsPolicy:
    """A policy for the API."""
    terms = {one.name: getattr(record.terms, one.name) for one in fields(plain.PolicyTerms)}
    terms["expiry_activities"] = list(record.terms.expiry_activities)
    terms["top_up_bonus"] = [
        TopUpBonusStep(from_amount=Amount(one.from_amount), per_mille=one.per_mille, fixed=Amount(one.fixed))
        for one in record.terms.top_up_bonus
    ]
    return PointsPolicy(
        program=record.program,
        version=record.version,
        effective_at=record.effective_at,
        published_at=record.published_at,
        published_by=record.published_by if actor.role in ADMIN_ROLES else None,
        **terms,
    )


@strawberry.type
class PoliciesQuery:
    """Reads of policies."""

    @field("The points policy that holds at a moment, by what is published now. Any role.")
    async def points_policy(
        self,
        info: Info,
        program: ProgramCode = DEFAULT_PROGRAM,
        at: Annotated[datetime | None, strawberry.argument(description="The moment; now if left out.")] = None,
    ) -> PointsPolicy | None:
        """See engage.domains.ledger.policy.queries.get_points_policy."""
        actor = context_of(info).actor
        return policy(actor, await queries.get_points_policy(program, at))

    @field("All points policies that a program has published, newest first. Any role.")
    async def points_policies(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        program: ProgramCode = DEFAULT_PROGRAM,
    ) -> Connection[PointsPolicy]:
        """See engage.domains.ledger.policy.queries.list_points_policies."""
        actor = context_of(info).actor
        page = await queries.list_points_policies(program, window(first, last, after, before))
        return connection(page, lambda row: policy(actor, row))
