"""Holds, gifts, corrections, rates and top-ups: as they stand now, page by page, for those who may see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.paging import Window, encode_cursor
from engage.domains.ledger import queries, service
from engage.domains.ledger.queries import GiftDirection
from engage.domains.ledger.types import AdjustmentState, CurrencyKind, GiftState, HoldPurpose, HoldState
from engage.domains.lifecycle.service import freeze_member
from tests.ledger.books import NOON, STAFF, earn, new_key, new_member, new_program
from tests.ledger.publishing import program_with, rolling
from tests.ledger.whole_books import write_books
from tests.walking import Ask, walk_both

DAY = timedelta(days=1)
ALL, NINE = Window(100), Window(9)
SENT, RECEIVED = GiftDirection.SENT, GiftDirection.RECEIVED


async def hold(member: UUID, program: str, amount: int, days: int = 2) -> UUID:
    held = await service.hold_points(
        STAFF, member_id=member, program=program, amount=amount, deadline=clock.now() + days * DAY,
        idempotency_key=new_key(),
    )  # fmt: skip
    return held.hold_id


async def states(member: UUID, state: HoldState | None = None) -> list[tuple[int, int, HoldState]]:
    """Amount, remaining and state of a member's holds, newest first."""
    page = await queries.list_holds(STAFF, member, state, ALL)
    return [(one.amount, one.remaining, one.state) for one in page.rows]


async def test_holds_stand_as_time_has_left_them(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 100)
        await hold(member, program, 1)
        captured, released = await hold(member, program, 2), await hold(member, program, 3)
        await hold(member, program, 4, days=9)
        await service.capture_hold(STAFF, hold_id=captured, idempotency_key=new_key())
        await service.release_hold(STAFF, hold_id=released, idempotency_key=new_key())
        assert await states(member) == [
            (4, 4, HoldState.OPEN), (3, 0, HoldState.RELEASED), (2, 0, HoldState.CAPTURED), (1, 1, HoldState.OPEN),
        ]  # fmt: skip
    for swept in (False, True):
        with clock.frozen(NOON + 3 * DAY):
            if swept:
                await service.sweep_due(1000)
            assert await states(member, HoldState.EXPIRED) == [(1, 0, HoldState.EXPIRED)]
            assert await states(member, HoldState.OPEN) == [(4, 4, HoldState.OPEN)]
            [expired] = (await queries.list_holds(STAFF, member, HoldState.EXPIRED, NINE)).rows
            assert expired.closed_at == expired.deadline == NOON + 2 * DAY


async def test_holds_of_a_frozen_member_stand_still(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 100)
        await hold(member, program, 1)
        await freeze_member(STAFF, member_id=member, reason="DOUBT")
    with clock.frozen(NOON + 3 * DAY):
        assert await states(member, HoldState.OPEN) == [(1, 1, HoldState.OPEN)]
        assert await states(member, HoldState.EXPIRED) == []


async def test_holds_tell_what_they_are_of() -> None:
    story = await write_books()
    with clock.frozen(NOON + 3 * DAY):
        found = (await queries.list_holds(STAFF, story.member, None, ALL)).rows
    assert [(one.currency, one.money, one.purpose, one.amount) for one in found] == [
        (CurrencyKind.CASH, "EUR", HoldPurpose.SPEND, 120),
        (CurrencyKind.POINTS, None, HoldPurpose.GIFT, 18),
        (CurrencyKind.POINTS, None, HoldPurpose.GIFT, 13),
        (CurrencyKind.POINTS, None, HoldPurpose.GIFT, 203),
        (CurrencyKind.POINTS, None, HoldPurpose.SPEND, 100),
    ]
    assert {one.program for one in found} == {story.program}


async def test_gifts_have_two_sides_and_their_message() -> None:
    story = await write_books()
    with clock.frozen(NOON + 3 * DAY):
        sent = (await queries.list_gifts(STAFF, story.member, SENT, None, ALL)).rows
        received = (await queries.list_gifts(STAFF, story.friend, RECEIVED, None, ALL)).rows
        accepted = await queries.list_gifts(STAFF, story.friend, RECEIVED, GiftState.ACCEPTED, ALL)
        assert (await queries.list_gifts(STAFF, story.member, RECEIVED, None, ALL)).rows == []
    assert sent == received
    assert [(one.amount, one.state, one.message) for one in sent] == [
        (15, GiftState.EXPIRED, None),
        (10, GiftState.DECLINED, None),
        (200, GiftState.ACCEPTED, "for your birthday"),
    ]
    assert [one.amount for one in accepted.rows] == [200]


async def test_an_offer_past_its_deadline_has_expired_before_any_sweep() -> None:
    program = await program_with(rolling(gift_accept_within="P2D"))
    sender, recipient = await new_member(), await new_member()
    with clock.frozen(NOON):
        await earn(sender, program, 10)
        await service.gift_points(
            STAFF, member_id=sender, recipient_id=recipient, program=program, amount=10, idempotency_key=new_key()
        )
    for days, state in ((0, GiftState.OFFERED), (2, GiftState.EXPIRED)):
        with clock.frozen(NOON + days * DAY):
            for member, side in ((sender, SENT), (recipient, RECEIVED)):
                for asked in GiftState:
                    page = await queries.list_gifts(STAFF, member, side, asked, NINE)
                    assert [one.state for one in page.rows] == ([state] if asked is state else [])


async def test_corrections_wait_in_a_queue_until_they_are_decided(member: UUID) -> None:
    program = await program_with(rolling(adjust_alone_max=10))
    asked = []
    for amount in (100, 200, -300):
        done = await service.adjust_points(
            STAFF, member_id=member, program=program, amount=amount, reason="MISTAKE", note="see the ticket",
            idempotency_key=new_key(),
        )  # fmt: skip
        assert done.adjustment is not None
        asked.append(done.adjustment.id)
    other = Actor("desk-2", Role.STAFF)
    approved = await service.approve_adjustment(other, adjustment_id=asked[0])
    await service.reject_adjustment(other, adjustment_id=asked[2])

    async def queue(state: AdjustmentState) -> list[Any]:
        page = await queries.list_adjustments(STAFF, state, ALL)
        return [one for one in page.rows if one.program == program]

    [waiting] = await queue(AdjustmentState.WAITING)
    assert (waiting.id, waiting.amount, waiting.note, waiting.asked_by) == (asked[1], 200, "see the ticket", STAFF.id)
    [done_one] = await queue(AdjustmentState.APPROVED)
    assert approved.posted is not None
    assert (done_one.transfer_id, done_one.decided_by) == (approved.posted.transfer_id, "desk-2")
    assert [one.amount for one in await queue(AdjustmentState.REJECTED)] == [-300]


async def test_rates_are_told_by_version_or_by_moment() -> None:
    one, two = await new_program(), await new_program()

    async def rates(at: Any = None, window: Window = ALL) -> list[int]:
        page = await queries.list_exchange_rates(one, two, at, window)
        return [rate.version for rate in page.rows]

    with clock.frozen(NOON):
        for days, ends in ((0, None), (5, 6), (9, None)):
            await service.publish_exchange_rate(
                SYSTEM, from_program=one, to_program=two, numerator=1 + days, denominator=2,
                effective_at=NOON + days * DAY, ends_at=None if ends is None else NOON + ends * DAY,
            )  # fmt: skip
    assert await rates() == [3, 2, 1]
    assert await rates(window=Window(1)) == [3]
    assert await rates(window=Window(9, cursor=encode_cursor(2))) == [1]
    at = [NOON - DAY, NOON, NOON + 5 * DAY, NOON + 6 * DAY, NOON + 9 * DAY]
    assert [await rates(moment) for moment in at] == [[], [1], [2], [], [3]]
    for places, path in (((one, "nowhere"), "to"), (("nowhere", two), "from")):
        with pytest.raises(NotFound) as caught:
            await queries.list_exchange_rates(*places, None, NINE)
        assert caught.value.path == [path]


async def test_top_ups_tell_what_was_paid_back() -> None:
    story = await write_books()
    [one] = (await queries.list_top_ups(STAFF, story.member, ALL)).rows
    assert (one.id, one.amount, one.bonus, one.refunded, one.money) == (story.id("topped up"), 2050, 205, 430, "EUR")
    assert (one.channel, one.store, one.paid_at, one.program) == ("pos", None, NOON, story.program)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_lists_come_page_by_page_from_either_end(member: UUID, size: int) -> None:
    program = await program_with(rolling(adjust_alone_max=1))
    two = await new_program()
    recipient = await new_member()
    await earn(member, program, 1000)
    expected: dict[str, list[UUID]] = {"holds": [], "gifts": [], "adjustments": [], "rates": []}
    for amount in range(5, 10):
        expected["holds"].insert(0, await hold(member, program, amount))
        given = await service.gift_points(
            STAFF, member_id=member, recipient_id=recipient, program=program, amount=amount, idempotency_key=new_key()
        )
        expected["gifts"].insert(0, given.gift_id)
        done = await service.adjust_points(
            STAFF, member_id=member, program=program, amount=amount, reason="MISTAKE", idempotency_key=new_key()
        )
        assert done.adjustment is not None
        expected["adjustments"].insert(0, done.adjustment.id)
        rate = await service.publish_exchange_rate(
            SYSTEM, from_program=program, to_program=two, numerator=amount, denominator=1
        )
        expected["rates"].insert(0, rate.id)

    asks: dict[str, Ask[Any]] = {
        "holds": lambda window: queries.list_holds(STAFF, member, None, window),
        "gifts": lambda window: queries.list_gifts(STAFF, recipient, RECEIVED, None, window),
        "rates": lambda window: queries.list_exchange_rates(program, two, None, window),
        "adjustments": lambda window: queries.list_adjustments(STAFF, AdjustmentState.WAITING, window),
    }
    found = {name: [row.id for row in await walk_both(ask, size)] for name, ask in asks.items()}
    sent = await walk_both(lambda window: queries.list_gifts(STAFF, member, SENT, None, window), size)
    assert [gift.id for gift in sent] == expected["gifts"]
    found["adjustments"] = [one for one in found["adjustments"] if one in expected["adjustments"]]
    assert found == expected


LISTS: dict[str, Callable[[Actor, UUID], Awaitable[object]]] = {
    "holds": lambda actor, member: queries.list_holds(actor, member, None, NINE),
    "gifts": lambda actor, member: queries.list_gifts(actor, member, SENT, None, NINE),
    "top-ups": lambda actor, member: queries.list_top_ups(actor, member, NINE),
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_member_sees_only_their_own(member: UUID, name: str) -> None:
    ask = LISTS[name]
    await ask(Actor("m", Role.MEMBER, member), member)
    for role in set(Role) - {Role.MEMBER}:
        await ask(Actor("x", role), member)
        await ask(Actor("x", role), new_id())  # of nobody there is nothing
    for other in (member, new_id()):
        with pytest.raises(Forbidden):
            await ask(Actor("m", Role.MEMBER, new_id()), other)


async def test_corrections_are_for_the_desk(member: UUID) -> None:
    for role in set(Role) - {Role.MEMBER}:
        await queries.list_adjustments(Actor("x", role), AdjustmentState.WAITING, NINE)
    with pytest.raises(Forbidden):
        await queries.list_adjustments(Actor("m", Role.MEMBER, member), AdjustmentState.WAITING, NINE)


@pytest.mark.parametrize("size", [0, 101, -1])
@pytest.mark.parametrize("backward", [False, True])
async def test_a_page_has_its_limits(member: UUID, program: str, size: int, *, backward: bool) -> None:
    window = Window(size, backward)
    asked: list[Awaitable[object]] = [
        queries.list_holds(STAFF, member, None, window),
        queries.list_gifts(STAFF, member, SENT, None, window),
        queries.list_top_ups(STAFF, member, window),
        queries.list_adjustments(STAFF, AdjustmentState.WAITING, window),
        queries.list_exchange_rates(program, program, None, window),
        queries.list_lots(STAFF, member, program, CurrencyKind.POINTS, window),
    ]
    for one in asked:
        with pytest.raises(InvalidInput) as refused:
            await one
        assert refused.value.path == ["last" if backward else "first"]
