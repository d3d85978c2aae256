"""What the machine says of points that change hands, of stored value, of corrections, freezes and merges."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from engage.base import db
from engage.base.actor import SYSTEM, Actor, Role
from engage.domains.ledger import service
from engage.domains.ledger.service import Adjusted
from engage.domains.ledger.types import ExchangePosted, GiftPosted, Posted, ValuePosted
from engage.domains.lifecycle.service import freeze_member, thaw_member
from engage.domains.members.service import lock_members
from tests.ledger.books import STAFF, new_key, new_member
from tests.ledger.machine import MEMBERS, amounts, parts, picks
from tests.ledger.machine_points import PointsRules, sides
from tests.ledger.model import Person, Transfer
from tests.ledger.model_giving import Correction, Gift

SECOND = Actor("till-8", Role.STAFF)
DECISIONS = {
    "ACCEPTED": service.accept_gift,
    "DECLINED": service.decline_gift,
    "WITHDRAWN": service.withdraw_gift,
}
FEE = """
SELECT f.id FROM transfers f JOIN transfers g ON g.id = f.refers_id WHERE f.kind = 'FEE' AND $1 IN (g.id, g.refers_id)
"""
WHY = "ACCOUNT_TAKEOVER"


class LedgerMachine(PointsRules):
    """Everything that can be said to the ledger."""

    @initialize(rate=st.tuples(st.integers(1, 5), st.integers(1, 5)), amount=st.integers(50, 400))
    def opens_the_tills(self, rate: tuple[int, int], amount: int) -> None:
        """Rates both ways, and somebody with stored value."""
        for side in range(2):
            self.publishes_a_rate(side, rate[:: 1 - 2 * side])
        self.tops_up(0, 0, amount, again=False)

    @rule(who=picks, whom=picks, side=sides, amount=amounts)
    def gives(self, who: int, whom: int, side: int, amount: int) -> None:
        giver, program, key = self.rich(who, side), self.programs[side], new_key()
        taker = next(one for one in [*self.people[whom % MEMBERS :], *self.living()] if one is not giver or not whom)

        def say() -> Awaitable[GiftPosted]:
            return service.gift_points(
                STAFF, member_id=giver.id, recipient_id=taker.id, program=program.code, amount=amount,
                idempotency_key=key,
            )  # fmt: skip

        done = self.do(lambda: self.model.gift(giver, taker, program, amount), say)
        if done is None:
            return
        gift, answer = done
        gift.id = answer.gift_id
        assert (answer.fee, answer.recipient_id) == (gift.fee, gift.recipient.id)
        assert answer.deadline == (gift.hold.deadline if gift.hold else None)
        if gift.hold:
            gift.hold.id = answer.gift_id
        self.gifts.append(gift)
        self.learn_fee(gift)

    def learn_fee(self, gift: Gift) -> None:
        """What a fee took can be given back on its own."""
        if gift.fee_paid is not None:
            gift.fee_paid.id = self.run(db.fetch_value(FEE, gift.id))
            self.model.transfers.append(gift.fee_paid)

    @precondition(lambda self: self.gifts)
    @rule(pick=picks, decision=st.sampled_from(sorted(DECISIONS)))
    def decides(self, pick: int, decision: str) -> None:
        offered = [gift for gift in self.gifts if gift.state == "OFFERED"] or self.gifts
        gift, key = offered[-1 - pick % len(offered)], new_key()
        gift_id = gift.id
        assert gift_id is not None
        done = self.do(
            lambda: self.model.decide(gift, decision),
            lambda: DECISIONS[decision](STAFF, gift_id=gift_id, idempotency_key=key),
        )
        if done is not None:
            self.learn_fee(gift)

    @rule(who=picks, side=sides, amount=amounts)
    def exchanges(self, who: int, side: int, amount: int) -> None:
        person, source, target, key = self.rich(who, side), self.programs[side], self.programs[1 - side], new_key()

        def say() -> Awaitable[ExchangePosted]:
            return service.exchange_points(
                STAFF, member_id=person.id, from_program=source.code, to_program=target.code, amount=amount,
                idempotency_key=key,
            )  # fmt: skip

        done = self.do(lambda: self.model.exchange(person, source, target, amount), say)
        if done is not None:
            gets, answer = done
            assert answer.received == gets
            assert answer.received_balance == self.model.account(person, target).balance

    @rule(side=sides, rate=st.tuples(st.integers(1, 5), st.integers(1, 5)))
    def publishes_a_rate(self, side: int, rate: tuple[int, int]) -> None:
        source, target = self.programs[side], self.programs[1 - side]
        self.model.rates[source.code, target.code] = rate
        numerator, denominator = rate
        self.run(
            service.publish_exchange_rate(
                SYSTEM, from_program=source.code, to_program=target.code, numerator=numerator, denominator=denominator
            )
        )
        self.step()

    @rule(who=picks, side=sides, amount=st.integers(1, 400), again=st.booleans())
    def tops_up(self, who: int, side: int, amount: int, *, again: bool) -> None:
        person, program, key = self.who(who), self.programs[side], new_key()
        used = [reference for code, reference in sorted(self.model.payments) if code == program.code]
        reference = used[-1] if again and used else new_key()
        paid_at = self.now

        def say() -> Awaitable[ValuePosted]:
            return service.top_up(
                STAFF, member_id=person.id, program=program.code, amount=amount, channel="till",
                payment_reference=reference, paid_at=paid_at, idempotency_key=key,
            )  # fmt: skip

        done = self.do(lambda: self.model.top_up(person, program, amount, reference, paid_at), say)
        if done is None:
            return
        top_up, answer = done
        top_up.transfer.id = answer.transfer_id
        assert answer.bonus == (top_up.bonus.amount if top_up.bonus else 0)
        if top_up.bonus:
            top_up.bonus.id = self.run(
                db.fetch_value("SELECT bonus_transfer_id FROM top_ups WHERE id = $1", answer.transfer_id)
            )
            self.model.transfers.append(top_up.bonus)
        self.top_ups.append(top_up)

    @rule(who=picks, side=sides, amount=amounts)
    def pays(self, who: int, side: int, amount: int) -> None:
        person, program, key = self.rich(who, side, "CASH"), self.programs[side], new_key()
        self.keep(
            self.do(
                lambda: self.model.spend(person, program, amount, "SPEND", "CASH"),
                lambda: service.pay_stored_value(
                    STAFF, member_id=person.id, program=program.code, amount=amount, idempotency_key=key
                ),
            )
        )

    @rule(who=picks, side=sides, amount=amounts, later=st.none() | st.integers(1, 96))
    def holds_value(self, who: int, side: int, amount: int, later: int | None) -> None:
        self.held(self.rich(who, side, "CASH"), self.programs[side], amount, later, "CASH")

    @precondition(lambda self: self.top_ups)
    @rule(pick=picks, amount=parts)
    def refunds(self, pick: int, amount: int | None) -> None:
        top_up, key = self.top_ups[-1 - pick % len(self.top_ups)], new_key()
        transfer_id = top_up.transfer.id
        assert transfer_id is not None
        done = self.do(
            lambda: self.model.refund(top_up, amount),
            lambda: service.refund_top_up(STAFF, transfer_id=transfer_id, idempotency_key=key, amount=amount),
        )
        assert done is None or done[1].bonus == done[0]

    @rule(who=picks, side=sides, amount=st.integers(-40, 40).filter(bool))
    def adjusts(self, who: int, side: int, amount: int) -> None:
        person, program, key = self.who(who), self.programs[side], new_key()

        def say() -> Awaitable[Adjusted]:
            return service.adjust_points(
                STAFF, member_id=person.id, program=program.code, amount=amount, reason="MISTAKE", note="by hand",
                idempotency_key=key,
            )  # fmt: skip

        done = self.do(lambda: self.model.adjust(person, program, amount), say)
        if done is None:
            return
        expected, answer = done
        if isinstance(expected, Correction):
            assert answer.posted is None
            assert answer.adjustment is not None
            expected.id = answer.adjustment.id
            self.corrections.append(expected)
        else:
            self.learn(expected, answer)

    def learn(self, transfer: Transfer, answer: Adjusted) -> None:
        assert answer.posted is not None
        transfer.id = answer.posted.transfer_id
        self.check_answer_of(answer.posted)

    def check_answer_of(self, posted: Posted) -> None:
        if not posted.replayed:
            account = self.model.accounts[posted.member_id, posted.program, str(posted.currency)]
            assert posted.balance == account.balance

    @precondition(lambda self: self.corrections)
    @rule(pick=picks, same=st.booleans())
    def approves(self, pick: int, *, same: bool) -> None:
        correction = self.corrections[-1 - pick % len(self.corrections)]
        found_id = correction.id
        assert found_id is not None
        actor = STAFF if same else SECOND
        done = self.do(
            lambda: self.model.approve(correction, same_person=same),
            lambda: service.approve_adjustment(actor, adjustment_id=found_id),
        )
        if done is not None:
            self.learn(*done)

    @precondition(lambda self: self.corrections)
    @rule(pick=picks)
    def rejects(self, pick: int) -> None:
        correction = self.corrections[-1 - pick % len(self.corrections)]
        found_id = correction.id
        assert found_id is not None
        self.do(
            lambda: self.model.reject(correction),
            lambda: service.reject_adjustment(SECOND, adjustment_id=found_id),
        )

    @rule(who=st.integers(0, 2))
    def freezes(self, who: int) -> None:
        person = self.living()[who]
        self.model.settle(self.now)
        person.frozen_at = person.frozen_at or self.now
        self.run(freeze_member(STAFF, member_id=person.id, reason=WHY))
        self.step()

    @rule(who=picks)
    def thaws(self, who: int) -> None:
        frozen = [person for person in self.living() if person.frozen_at is not None]
        if not frozen:
            return
        person = frozen[who % len(frozen)]
        self.model.settle(self.now)
        self.model.thaw(person)
        self.run(thaw_member(STAFF, member_id=person.id, reason=WHY))
        self.step()

    @rule(who=picks, whom=picks)
    def merge(self, who: int, whom: int) -> None:
        """Two who are active become one; a new member joins in their place."""
        active = [person for person in self.living() if person.frozen_at is None]
        if len(active) < 2:
            return
        absorbed = active.pop(who % len(active))
        survivor = active[whom % len(active)]
        self.model.settle(self.now)
        self.model.merge(absorbed, survivor)
        self.run(merged(absorbed, survivor))
        self.people.append(Person(self.run(new_member())))
        assert len(self.living()) == MEMBERS
        self.step()

    def repeat(self, say: Any, first: Any) -> None:
        """What waited for a second person may have been decided meanwhile."""
        if not isinstance(first, Adjusted):
            super().repeat(say, first)
            return
        again: Adjusted = self.run(say())
        assert again.replayed
        assert (again.posted and again.posted.transfer_id) == (first.posted and first.posted.transfer_id)
        assert (again.adjustment and again.adjustment.id) == (first.adjustment and first.adjustment.id)


async def merged(absorbed: Person, survivor: Person) -> None:
    """As a merge of profiles does it: both locks, everything moved, then the name leads to the survivor."""
    async with db.transaction():
        await lock_members([absorbed.id, survivor.id])
        await service.merge_accounts(SYSTEM, absorbed_id=absorbed.id, survivor_id=survivor.id)
        await db.execute("UPDATE members SET merged_into_id = $2 WHERE id = $1", absorbed.id, survivor.id)
