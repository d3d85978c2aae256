"""The statement whole: what each kind of transfer tells of itself, and pages of some kinds and times."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.readings import Fetch, fetch_together, read_alone
from engage.base.settings import Settings
from engage.domains.ledger import queries, service
from engage.domains.ledger.errors import ExceedsReversible
from engage.domains.ledger.queries.records import LotShare, TransferDetails
from engage.domains.ledger.types import (
    AccountKind,
    Bucket,
    CurrencyKind,
    GiftState,
    HoldState,
    TransferKind,
    TransferRecord,
)
from tests.ledger.books import NOON, STAFF, earn, new_key, spend
from tests.ledger.whole_books import DAY, HOUR, Story, write_books
from tests.walking import walk_both

K = TransferKind
MEMBER = Role.MEMBER


@pytest.fixture(scope="module")
async def story(connected: Settings) -> Story:
    assert connected.database_url
    return await write_books()


async def details(transfer_id: UUID) -> TransferDetails:
    [found] = await fetch_together([Fetch(queries.TRANSFER_DETAILS, (transfer_id,), (clock.now(),))])
    answer: TransferDetails = found[str(transfer_id)]
    return answer


async def shares(transfer_id: UUID, size: int = 100) -> list[LotShare]:
    return await walk_both(partial(queries.TRANSFER_LOTS.page, read_alone, transfer_id), size)


async def lines(
    member: UUID,
    program: str,
    *,
    currency: CurrencyKind = CurrencyKind.POINTS,
    size: int = 100,
    kinds: tuple[TransferKind, ...] | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> list[TransferRecord]:
    """All of them, page by page, from either end."""
    ask = queries.STATEMENTS.page
    return await walk_both(lambda window: ask(read_alone, member, window, program, currency, kinds, begin, end), size)


async def everything(story: Story) -> list[TransferRecord]:
    """All lines of all members, of points and of stored value, in both programs."""
    return [
        line
        for member in (story.member, story.friend, story.twin)
        for program in (story.program, story.other_program)
        for currency in CurrencyKind
        for line in await lines(member, program, currency=currency)
    ]


async def test_these_books_have_every_kind_of_transfer(story: Story) -> None:
    assert {line.kind for line in await everything(story)} == set(TransferKind)


async def test_legs_sum_to_zero_and_say_what_the_statement_says(story: Story) -> None:
    for line in await everything(story):
        found = await details(line.id)
        assert sum(entry.amount for entry in found.entries) == 0
        assert sum(entry.amount for entry in found.entries if entry.amount > 0) == abs(line.amount)
        for entry in found.entries:
            assert (entry.house is None) is (entry.bucket is not Bucket.HOUSE)
            assert (entry.balance_after is None) is (entry.bucket is Bucket.HOUSE)
            assert entry.house is not AccountKind.MEMBER
        available = [entry.balance_after for entry in found.entries if entry.bucket is Bucket.AVAILABLE]
        assert available in ([], [line.balance_after])


async def test_what_was_available_changes_line_by_line(story: Story) -> None:
    before = 0
    for line in reversed(await lines(story.member, story.program)):
        change = (await details(line.id)).available_change
        assert line.balance_after == before + change
        before = line.balance_after


LEFT = {
    "earned": 1000, "short": 50, "waiting": 30, "confirmed": None, "spent": 50, "returned": None, "donated": 5,
    "held": None, "captured": 60, "released": None, "given": None, "exchanged": None, "added": 0, "removed": 15,
    "deducted": 120, "clawed back": 7, "restored": None, "taken back": None, "topped up": 1620, "paid": 500,
    "refunded": None,
}  # fmt: skip


@pytest.mark.parametrize("word", LEFT)
async def test_what_is_left_to_reverse(story: Story, word: str) -> None:
    assert (await details(story.id(word))).left_to_reverse == LEFT[word]


async def test_what_is_left_to_reverse_is_what_the_commands_say(story: Story) -> None:
    for line in await lines(story.member, story.program):
        left = (await details(line.id)).left_to_reverse
        if left is None or line.kind in (K.TOP_UP, K.CLAWBACK):
            continue
        with pytest.raises(ExceedsReversible) as caught:
            await service.reverse_transfer(STAFF, transfer_id=line.id, amount=left + 10**9, idempotency_key=new_key())
        assert caught.value.extras["remaining"] == left


async def test_reversals_and_what_they_reverse_name_each_other(story: Story) -> None:
    pairs = [
        ("spent", "returned", 20), ("deducted", "restored", 30), ("added", "taken back", -25),
        ("topped up", "refunded", -430),
    ]  # fmt: skip
    for original, reversal, amount in pairs:
        there, back = await details(story.id(original)), await details(story.id(reversal))
        assert [(one.id, one.amount) for one in there.reversals] == [(story.id(reversal), amount)]
        assert back.reverses is not None
        assert (back.reverses.id, there.reverses) == (story.id(original), None)


async def test_no_more_than_a_hundred_reversals_are_told(member: UUID, program: str) -> None:
    await earn(member, program, 103)
    spent = await spend(member, program, 103)
    for _ in range(102):
        await service.reverse_transfer(STAFF, transfer_id=spent.transfer_id, amount=1, idempotency_key=new_key())
    found = await details(spent.transfer_id)
    assert (len(found.reversals), found.left_to_reverse) == (100, 1)


async def test_what_goes_from_one_account_to_another_has_two_sides(story: Story) -> None:
    mates = {K.GIFT: K.RECEIVE, K.EXCHANGE_OUT: K.EXCHANGE_IN, K.MERGE_OUT: K.MERGE_IN}
    mates |= {there: here for here, there in mates.items()}
    seen = set()
    for line in await everything(story):
        other = (await details(line.id)).counterpart
        assert (other is not None) is (line.kind in mates)
        if other is not None:
            assert other.kind is mates[line.kind]
            back = (await details(other.id)).counterpart
            assert back is not None
            assert (back.id, back.amount, back.member_id) == (line.id, line.amount, line.member_id)
            seen.add(line.kind)
    assert seen == set(mates)


async def test_transfers_tell_of_the_hold_behind_them(story: Story) -> None:
    for word in ("held", "captured", "released"):
        hold = (await details(story.id(word))).hold
        assert hold is not None
        assert (hold.id, hold.amount, hold.state, hold.remaining) == (story.id("held"), 100, HoldState.EXPIRED, 0)
        assert hold.closed_at == hold.deadline == NOON + 2 * DAY  # not when the sweep came
    assert (await details(story.id("earned"))).hold is None


async def test_transfers_tell_of_the_debt_behind_them(story: Story) -> None:
    [paid] = [line for line in await lines(story.friend, story.program, kinds=(K.DEBT_PAID,)) if line.amount == -20]
    for transfer_id in (story.id("deducted"), story.id("restored"), paid.id):
        debt = (await details(transfer_id)).debt
        assert debt is not None
        assert debt.id == story.id("deducted")
        assert debt.amount == 150 - 119  # what was not there
        assert debt.remaining + debt.forgiven <= debt.amount
    assert (await details(story.id("earned"))).debt is None


async def test_transfers_tell_of_the_gift_behind_them(story: Story) -> None:
    [received] = await lines(story.friend, story.program, kinds=(K.RECEIVE,))
    [fee] = await lines(story.member, story.program, kinds=(K.FEE,))
    for transfer_id in (story.id("offered"), story.id("given"), received.id, fee.id):
        gift = (await details(transfer_id)).gift
        assert gift is not None
        assert (gift.id, gift.state, gift.message) == (story.id("offered"), GiftState.ACCEPTED, "for your birthday")
        assert (gift.sender_id, gift.recipient_id, gift.amount, gift.fee) == (story.member, story.friend, 200, 3)
    declined = (await details(story.id("declined"))).gift
    assert declined is not None
    assert declined.state is GiftState.DECLINED
    forgotten = (await details(story.id("forgotten"))).gift
    assert forgotten is not None
    assert (forgotten.state, forgotten.decided_at) == (GiftState.EXPIRED, forgotten.deadline)


async def test_the_lots_of_a_transfer_make_up_what_it_moved(story: Story) -> None:
    for line in await everything(story):
        moved = await shares(line.id)
        entries = (await details(line.id)).entries
        kept = sum(one.amount for one in entries if one.bucket in (Bucket.AVAILABLE, Bucket.PENDING))
        held = sum(one.amount for one in entries if one.bucket is Bucket.HELD)
        assert sum(one.held for one in moved) == held, line.kind
        if line.kind not in (K.MATURE, K.CONFIRM):  # which change no lot's figures
            assert sum(one.amount for one in moved) == kept, line.kind


async def test_the_lots_of_a_transfer_come_page_by_page(story: Story, member: UUID, program: str) -> None:
    for amount in (1, 2, 3):
        await earn(member, program, amount, expires_at=clock.now() + amount * HOUR)
    spent = await spend(member, program, 6)
    whole = await shares(spent.transfer_id)
    assert [one.amount for one in whole] == [-1, -2, -3]
    for size in (1, 2):
        assert await shares(spent.transfer_id, size) == whole
    received = (await lines(story.friend, story.program, kinds=(K.RECEIVE,)))[0]
    made = await shares(received.id, 1)
    assert [one.number for one in made] == [None] * len(made)


async def test_a_statement_can_be_of_some_kinds_only(story: Story) -> None:
    whole = await lines(story.member, story.program)
    for kinds in ((K.EARN,), (K.EARN, K.SPEND, K.EARN), tuple(K), (K.TOP_UP,), ()):
        expected = [line for line in whole if line.kind in kinds]
        assert await lines(story.member, story.program, kinds=kinds) == expected
        assert await lines(story.member, story.program, kinds=kinds, size=2) == expected


async def test_a_statement_can_be_of_some_time_only(story: Story) -> None:
    whole = await lines(story.member, story.program)
    tick = timedelta(microseconds=1)
    moments = [NOON - DAY, NOON, NOON + tick, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR, NOON + 9 * DAY]
    for begin in (None, *moments):
        for end in (None, *moments):
            expected = [
                line
                for line in whole
                if (begin is None or line.posted_at >= begin) and (end is None or line.posted_at < end)
            ]
            assert await lines(story.member, story.program, begin=begin, end=end) == expected
    some = await lines(story.member, story.program, kinds=(K.EARN,), begin=NOON, end=NOON + tick)
    assert [line.amount for line in some] == [30, 40, 50, 1000]


@pytest.mark.parametrize(
    ("begin", "end", "path"),
    [
        (NOON, NOON, ["to"]),
        (NOON, NOON - DAY, ["to"]),
        (NOON.replace(tzinfo=None), None, ["from"]),
        (None, NOON.replace(tzinfo=None), ["to"]),
    ],
)
async def test_a_time_that_cannot_be_is_refused(
    begin: datetime | None, end: datetime | None, path: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        queries.check_span(begin, end)
    assert caught.value.path == path


async def test_a_statement_of_stored_value_tells_its_currency(story: Story) -> None:
    found = await lines(story.member, story.program, currency=CurrencyKind.CASH)
    assert [(line.kind, line.amount, line.money) for line in reversed(found)] == [
        (K.TOP_UP, 2050, "EUR"), (K.EARN, 205, "EUR"), (K.SPEND, -500, "EUR"), (K.HOLD, -120, "EUR"),
        (K.REFUND, -430, "EUR"), (K.CLAWBACK, -43, "EUR"),
    ]  # fmt: skip
    assert {line.money for line in await lines(story.member, story.program)} == {None}
    assert await lines(story.member, "nowhere", currency=CurrencyKind.CASH) == []


async def test_one_transfer_is_for_its_member_and_those_who_may_look(story: Story) -> None:
    earned = story.id("earned")
    for actor in (Actor("m", MEMBER, story.member), *(Actor("x", role) for role in Role if role is not MEMBER)):
        record: Any = await queries.get_transfer(actor, earned)
        assert (record.id, record.member_id, record.program) == (earned, story.member, story.program)
        if actor.role is not MEMBER:
            with pytest.raises(NotFound):
                await queries.get_transfer(actor, new_id())
    told = []
    for transfer_id in (earned, new_id()):
        with pytest.raises(Forbidden) as caught:
            await queries.get_transfer(Actor("m", MEMBER, story.friend), transfer_id)
        told.append(caught.value.message)
    assert told[0] == told[1]
