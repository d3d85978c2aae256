"""Rule 8: where the program says so, a gift waits to be accepted: its points are held until then (rule 4)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import BalanceLimit, GiftDecided, GiftLimit, HoldNotOpen, MemberNotActive
from engage.domains.ledger.policy.types import MovedExpiry, PolicyTerms, ReturnedKind
from engage.domains.ledger.service import accept_gift, decline_gift, sweep_due, withdraw_gift
from engage.domains.ledger.types import POINTS_MAX, Balance, GiftPosted
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    events,
    everything,
    lots,
    new_key,
    new_member,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import (
    accept,
    capture,
    decline,
    deduct,
    ends,
    freeze,
    gift,
    hold,
    lot_rows,
    merge,
    put,
    release,
    restore,
    tried,
    withdraw,
)

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


@pytest.fixture
async def program(connected: object) -> str:
    assert connected
    return await program_with(rolling("P5Y", gift_accept_within="P3D", gift_fee_fixed=2))


@pytest.fixture
async def friend(program: str) -> UUID:
    assert program
    return await new_member()


async def gift_state(gift_id: UUID) -> str:
    state: str = await db.fetch_value("SELECT state FROM gifts WHERE id = $1", gift_id)
    return state


async def test_an_offer_is_held_until_it_is_accepted(member: UUID, friend: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 50)
        offered = await gift(member, friend, program, 30)
        assert (offered.kind, offered.amount, offered.fee) == ("HOLD", -32, 2)
        assert (offered.deadline, offered.balance) == (NOON + 3 * DAY, Balance(available=18, held=32))
        assert await balance(friend, program) == Balance()
    with clock.frozen(NOON + 3 * DAY - timedelta(microseconds=1)):
        accepted = await accept(offered.gift_id)
        assert (accepted.kind, accepted.amount, accepted.fee) == ("RECEIVE", 30, 2)
        assert (accepted.member_id, accepted.recipient_id) == (friend, friend)
        assert accepted.balance == Balance(available=30)
        assert await balance(member, program) == Balance(available=18)
    assert await gift_state(offered.gift_id) == "ACCEPTED"
    assert [(one.kind, one.amount) for one in await statement(member, program)] == [
        ("FEE", -2), ("GIFT", -30), ("HOLD", -32), ("EARN", 50),
    ]  # fmt: skip
    assert [name for _, name, _ in await events(friend)] == ["ledger.gift_received.v1"]


async def test_declined_or_withdrawn_points_come_back_as_they_were(member: UUID, friend: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 20, expires_at=NOON + 9 * DAY)
        await earn(member, program, 50)
        before = await lot_rows(member)
        for command, state in ((decline, "DECLINED"), (withdraw, "WITHDRAWN")):
            offered = await gift(member, friend, program, 30)
            answer = await command(offered.gift_id)
            assert (answer.kind, answer.amount, answer.balance) == ("RELEASE", 32, Balance(available=70))
            assert await gift_state(offered.gift_id) == state
            assert await lot_rows(member) == before
            last = (await statement(member, program))[0]
            assert (last.reason, last.refers_id) == (state, offered.gift_id)
            for again in (accept, decline, withdraw):
                with pytest.raises(GiftDecided) as caught:
                    await again(offered.gift_id)
                assert (caught.value.path, caught.value.extras) == (["giftId"], {"state": state})
    assert await balance(friend, program) == Balance()


async def test_from_its_deadline_on_an_offer_has_expired_unswept(member: UUID, friend: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 100)
        offers = [await gift(member, friend, program, 30), await gift(member, friend, program, 10)]
    with clock.frozen(NOON + 3 * DAY):
        assert await balance(member, program) == Balance(available=100)
        with pytest.raises(GiftDecided) as caught:
            await accept(offers[0].gift_id)
        assert caught.value.extras == {"state": "EXPIRED"}
        while await sweep_due(100):
            pass
        assert [await gift_state(one.gift_id) for one in offers] == ["EXPIRED", "EXPIRED"]
        assert await balance(member, program) == Balance(available=100)


async def test_what_was_not_given_counts_for_no_limit(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling(gift_accept_within="P3D", gift_daily_points=50))
    with clock.frozen(NOON):
        await earn(member, program, 200)
        offered = await gift(member, friend, program, 50)
        with pytest.raises(GiftLimit):
            await gift(member, friend, program, 1)
        await decline(offered.gift_id)
        offered = await gift(member, friend, program, 50)
        await accept(offered.gift_id)
        with pytest.raises(GiftLimit):
            await gift(member, friend, program, 1)


async def test_who_may_decide(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    offered = await gift(member, friend, program, 10)
    giver, recipient = Actor("a-phone", Role.MEMBER, member), Actor("a-phone", Role.MEMBER, friend)
    for command, actor in ((accept_gift, giver), (decline_gift, giver), (withdraw_gift, recipient)):
        for gift_id in (offered.gift_id, new_id()):
            with pytest.raises(Forbidden):
                await command(actor, gift_id=gift_id, idempotency_key=new_key())
    with pytest.raises(NotFound) as caught:
        await accept(new_id())
    assert caught.value.path == ["giftId"]
    first = await accept_gift(recipient, gift_id=offered.gift_id, idempotency_key="mine")
    again = await accept_gift(recipient, gift_id=offered.gift_id, idempotency_key="mine")
    assert (again.replayed, again.transfer_id) == (True, first.transfer_id)


async def test_the_hold_of_an_offer_is_not_a_hold_to_spend(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    offered = await gift(member, friend, program, 10)
    before = await everything()
    for command in (capture, release):
        with pytest.raises(HoldNotOpen) as caught:
            await command(offered.gift_id)
        assert caught.value.extras["state"] == "OPEN"
    assert await everything() == before


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (rolling("P5Y", gift_accept_within="P9D"), []),
        (rolling("P5Y", gift_accept_within="P9D", gift_expiry=MovedExpiry.RENEW), [NOON + (2 + 365 * 5 + 1) * DAY]),
        (
            rolling("P5Y", gift_accept_within="P9D", returned_kind=ReturnedKind.REISSUED, returned_grace="P7D"),
            [NOON + 9 * DAY],
        ),
    ],
)
async def test_points_that_expire_while_offered_follow_the_settings(
    member: UUID, friend: UUID, terms: PolicyTerms, expected: list[object]
) -> None:
    program = await program_with(terms)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        offered = await gift(member, friend, program, 10)
    with clock.frozen(NOON + 2 * DAY):
        assert await balance(member, program) == Balance(held=10)
        await accept(offered.gift_id)
        assert await ends(friend, program) == expected
        assert await balance(friend, program) == Balance(available=10 if expected else 0)
        assert amounts(await statement(friend, program)) == ([10] if expected else [-10, 10])


@pytest.mark.parametrize("state", ["FROZEN", "SUSPENDED", "CANCELLED"])
@pytest.mark.parametrize("who", ["memberId", "recipientId"])
async def test_members_who_may_not(member: UUID, friend: UUID, program: str, state: str, who: str) -> None:
    await earn(member, program, 100)
    offered = await gift(member, friend, program, 10)
    one = member if who == "memberId" else friend
    await (freeze(one) if state == "FROZEN" else put(one, state))
    before = await everything()
    with pytest.raises(MemberNotActive) as caught:
        await accept(offered.gift_id)
    assert (caught.value.path, caught.value.extras) == (["giftId"], {"state": state})
    assert await everything() == before
    assert (await decline(offered.gift_id)).balance == Balance(available=100)


async def test_a_full_account_accepts_nothing(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    offered = await gift(member, friend, program, 10)
    await earn(friend, program, POINTS_MAX - 9)
    before = await everything()
    with pytest.raises(BalanceLimit) as caught:
        await accept(offered.gift_id)
    assert caught.value.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX - 9, "required": 10}
    assert await everything() == before
    assert (await withdraw(offered.gift_id)).balance == Balance(available=100)


async def test_an_offer_goes_on_through_merges(member: UUID, friend: UUID, program: str) -> None:
    giver, recipient = await new_member(), await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 100)
        offered = await gift(member, friend, program, 30)
        await merge(member, giver)
        await merge(friend, recipient)
        assert await balance(giver, program) == Balance(available=68, held=32)
        accepted = await accept(offered.gift_id)
    assert (accepted.member_id, accepted.recipient_id) == (recipient, recipient)
    assert await balance(giver, program) == Balance(available=68)
    assert await lots(recipient, program) == [("OPEN", 30, 30)]


@pytest.mark.parametrize("absorbed", ["giver", "recipient"])
async def test_who_has_become_one_has_no_offer_to_themselves(
    member: UUID, friend: UUID, program: str, absorbed: str
) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 100)
        offered = await gift(member, friend, program, 30)
        gone, survivor = (member, friend) if absorbed == "giver" else (friend, member)
        await merge(gone, survivor)
        assert await balance(survivor, program) == Balance(available=100)
        before = await everything()
        with pytest.raises(GiftDecided) as caught:
            await accept(offered.gift_id)
        assert caught.value.extras == {"state": "WITHDRAWN"}
        assert await everything() == before


async def test_a_penalty_that_takes_offered_points_ends_the_offer(member: UUID, friend: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 100)
        held = await hold(member, program, 20)
    with clock.frozen(NOON + timedelta(hours=1)):
        whole = await gift(member, friend, program, 28)
    with clock.frozen(NOON + timedelta(hours=2)):
        part = await gift(member, friend, program, 48)
        taken = await deduct(member, program, 40, from_held=True)
        # 40 of the 50 that the newest offer held are gone: nobody can accept it, and its rest is free.
        assert (taken.taken, taken.balance) == (40, Balance(available=10, held=50))
        with pytest.raises(GiftDecided) as caught:
            await accept(part.gift_id)
        assert caught.value.extras == {"state": "WITHDRAWN"}
        taken = await deduct(member, program, None, from_held=True)
        assert (taken.taken, taken.balance) == (60, Balance())
        for command in (accept, decline, withdraw):
            with pytest.raises(GiftDecided):
                await command(whole.gift_id)
        with pytest.raises(HoldNotOpen):
            await capture(held.hold_id)
        assert (await restore(taken.transfer_id)).balance == Balance(available=60)


async def test_of_all_who_decide_at_once_one_does(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    for _ in range(3):
        before = (await balance(member, program)).available
        offered = await gift(member, friend, program, 10)
        answers = await asyncio.gather(
            *(tried(command(offered.gift_id), GiftDecided) for command in [accept, decline, withdraw] * 3)
        )
        done = [answer for answer in answers if isinstance(answer, GiftPosted)]
        assert len(done) == 1
        gone = 12 if done[0].kind == "RECEIVE" else 0
        assert await balance(member, program) == Balance(available=before - gone)


async def test_a_key_is_for_one_decision(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    offered = await gift(member, friend, program, 10)
    await decline(offered.gift_id, "decided")
    assert (await decline(offered.gift_id, "decided")).replayed
