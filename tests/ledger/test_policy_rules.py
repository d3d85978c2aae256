"""Policies that cannot be are refused by the name of their field."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from engage.base import clock
from engage.base.errors import InvalidInput
from engage.domains.ledger.policy.queries import get_points_policy
from engage.domains.ledger.policy.rules import check_terms
from engage.domains.ledger.policy.types import (
    BonusStep,
    ExpiryKind,
    ExpiryPeriod,
    ExpiryRound,
    PolicyTerms,
    ReturnedKind,
)
from engage.domains.ledger.types import POINTS_MAX, TransferKind
from tests.ledger.books import NOON, everything
from tests.ledger.publishing import publish, rolling

NEVER = PolicyTerms(ExpiryKind.NEVER)
FIXED = PolicyTerms(ExpiryKind.FIXED, expiry_month=6, expiry_day=30)
CALENDAR = PolicyTerms(ExpiryKind.CALENDAR, expiry_period=ExpiryPeriod.YEAR, expiry_count=1)
EARN, SPEND, EXPIRE, MATURE = TransferKind.EARN, TransferKind.SPEND, TransferKind.EXPIRE, TransferKind.MATURE


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (PolicyTerms(ExpiryKind.ROLLING), "expiryAfter"),
        (PolicyTerms(ExpiryKind.INACTIVITY), "expiryAfter"),
        (rolling("12 months"), "expiryAfter"),
        (rolling("P0D"), "expiryAfter"),
        (rolling("PT36H"), "expiryAfter"),
        (rolling("P1M\0"), "expiryAfter"),
        (replace(NEVER, expiry_after="P1Y"), "expiryAfter"),
        (replace(FIXED, expiry_after="P1Y"), "expiryAfter"),
        (replace(NEVER, expiry_round=ExpiryRound.DAY), "expiryRound"),
        (replace(FIXED, expiry_round=ExpiryRound.MONTH), "expiryRound"),
        (replace(CALENDAR, expiry_round=ExpiryRound.YEAR), "expiryRound"),
        (replace(FIXED, expiry_month=None), "expiryMonth"),
        (replace(FIXED, expiry_day=None), "expiryDay"),
        (replace(FIXED, expiry_month=0), "expiryMonth"),
        (replace(FIXED, expiry_month=13), "expiryMonth"),
        (replace(FIXED, expiry_day=0), "expiryDay"),
        (replace(FIXED, expiry_month=4, expiry_day=31), "expiryDay"),
        (replace(FIXED, expiry_month=2, expiry_day=30), "expiryDay"),
        (rolling(expiry_month=6), "expiryMonth"),
        (rolling(expiry_day=6), "expiryDay"),
        (replace(CALENDAR, expiry_period=None), "expiryPeriod"),
        (replace(CALENDAR, expiry_count=None), "expiryCount"),
        (replace(CALENDAR, expiry_count=-1), "expiryCount"),
        (replace(CALENDAR, expiry_count=1001), "expiryCount"),
        (replace(FIXED, expiry_period=ExpiryPeriod.MONTH), "expiryPeriod"),
        (rolling(expiry_activities=()), "expiryActivities"),
        (rolling(expiry_activities=(EARN, EARN)), "expiryActivities"),
        (rolling(expiry_activities=(SPEND, EXPIRE)), "expiryActivities"),
        (rolling(expiry_activities=(MATURE,)), "expiryActivities"),
        (rolling(returned_kind=ReturnedKind.REISSUED), "returnedGrace"),
        (rolling(returned_grace="P1D"), "returnedGrace"),
        (rolling(returned_kind=ReturnedKind.REISSUED, returned_grace="soon"), "returnedGrace"),
        (rolling(hold_longest=""), "holdLongest"),
        (rolling(gift_daily_points=-1), "giftDailyPoints"),
        (rolling(gift_daily_points=POINTS_MAX + 1), "giftDailyPoints"),
        (rolling(gift_daily_count=-1), "giftDailyCount"),
        (rolling(gift_fee_per_mille=-1), "giftFeePerMille"),
        (rolling(gift_fee_per_mille=1001), "giftFeePerMille"),
        (rolling(gift_fee_fixed=-1), "giftFeeFixed"),
        (rolling(gift_accept_within="P"), "giftAcceptWithin"),
        (rolling(gift_hops_max=-1), "giftHopsMax"),
        (rolling(gift_hops_max=101), "giftHopsMax"),
        (rolling(adjust_alone_max=-1), "adjustAloneMax"),
        (rolling(top_up_bonus_valid_for="1Y"), "topUpBonusValidFor"),
    ],
)
def test_a_policy_that_cannot_be_names_its_field(terms: PolicyTerms, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_terms(terms)
    assert caught.value.path == ["policy", field]
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    "terms",
    [
        NEVER,
        FIXED,
        CALENDAR,
        replace(FIXED, expiry_month=2, expiry_day=29),
        replace(CALENDAR, expiry_count=0),
        PolicyTerms(ExpiryKind.INACTIVITY, "P6M", ExpiryRound.QUARTER),
        rolling("P1Y2M3W4D", expiry_round=ExpiryRound.YEAR),
        rolling(gift_daily_points=0, gift_daily_count=0, gift_hops_max=0, adjust_alone_max=0),
        rolling(gift_fee_per_mille=1000, gift_fee_fixed=POINTS_MAX),
    ],
)
def test_policies_at_the_edge_of_what_can_be(terms: PolicyTerms) -> None:
    check_terms(terms)


def step(from_amount: str, per_mille: int = 0, fixed: str = "0") -> BonusStep:
    return BonusStep(Decimal(from_amount), per_mille, Decimal(fixed))


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([step("-1")], ["0", "fromAmount"]),
        ([step("0.001")], ["0", "fromAmount"]),
        ([step("NaN")], ["0", "fromAmount"]),
        ([step("Infinity")], ["0", "fromAmount"]),
        ([step("1e999")], ["0", "fromAmount"]),
        ([step("0"), step("100", -1)], ["1", "perMille"]),
        ([step("0", 10_001)], ["0", "perMille"]),
        ([step("0", 1, "-0.01")], ["0", "fixed"]),
        ([step("0", 1, "0.005")], ["0", "fixed"]),
        ([step("100"), step("50")], ["1", "fromAmount"]),
        ([step("100"), step("100.00")], ["1", "fromAmount"]),
        ([step(str(n)) for n in range(21)], []),
    ],
)
async def test_a_bonus_that_cannot_be_names_its_step(program: str, steps: list[BonusStep], place: list[str]) -> None:
    before = await everything()
    with pytest.raises(InvalidInput) as caught:
        await publish(program, rolling(top_up_bonus=tuple(steps)))
    assert caught.value.path == ["policy", "topUpBonus", *place]
    assert await everything() == before


@pytest.mark.parametrize(
    "at",
    [
        NOON - timedelta(microseconds=1),
        NOON + timedelta(days=366 * 100, seconds=1),
        datetime(2026, 6, 1),  # noqa: DTZ001 -- what is refused
    ],
)
async def test_a_policy_holds_from_now_or_later(program: str, at: datetime) -> None:
    with clock.frozen(NOON), pytest.raises(InvalidInput) as caught:
        await publish(program, NEVER, effective_at=at)
    assert caught.value.path == ["effectiveAt"]
    with clock.frozen(NOON):
        await publish(program, rolling(), effective_at=NOON)
    assert (await get_points_policy(program, NOON)).version == 1
