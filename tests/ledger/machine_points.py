"""What the machine says of one member's points, of their policy and of time."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from engage.base import db
from engage.base.actor import SYSTEM
from engage.domains.ledger import service
from engage.domains.ledger.policy.types import (
    BonusStep,
    ExpiryKind,
    ExpiryPeriod,
    ExpiryRound,
    MovedExpiry,
    PolicyTerms,
    ReturnedKind,
)
from engage.domains.ledger.types import Cause, Earning, HoldPosted, Posted, Shortfall, TakenPosted, TransferKind
from engage.domains.members.service import lock_members
from tests.ledger.books import STAFF, earn, new_key, spend
from tests.ledger.machine import Bench, amounts, hours, parts, picks
from tests.ledger.model import Hold, Person, Program, Transfer
from tests.ledger.model_points import RESTORABLE, REVERSIBLE
from tests.ledger.publishing import publish

STEPS = (BonusStep(Decimal(0), per_mille=100), BonusStep(Decimal(1), per_mille=50, fixed=Decimal(1)))
POLICIES = (
    PolicyTerms(ExpiryKind.NEVER, gift_hops_max=3),
    PolicyTerms(ExpiryKind.ROLLING, "P2D", top_up_bonus=STEPS, top_up_bonus_valid_for="P3D", adjust_alone_max=20),
    PolicyTerms(
        ExpiryKind.ROLLING, "P1D", ExpiryRound.DAY, returned_kind=ReturnedKind.REISSUED, returned_grace="P2D",
        hold_longest="P4D", gift_fee_per_mille=100, gift_fee_fixed=1, gift_accept_within="P2D",
        exchange_expiry=MovedExpiry.KEEP,
    ),
    PolicyTerms(
        ExpiryKind.INACTIVITY, "P3D", gift_daily_points=30, gift_expiry=MovedExpiry.RENEW, gift_hops_max=2,
        expiry_activities=(TransferKind.EARN, TransferKind.SPEND, TransferKind.RECEIVE),
    ),
    PolicyTerms(
        ExpiryKind.INACTIVITY, "P2D", returned_kind=ReturnedKind.REISSUED, returned_grace="P1D", gift_daily_count=2,
        gift_accept_within="P3D", gift_fee_fixed=2, top_up_bonus=STEPS,
        expiry_activities=(
            TransferKind.HOLD, TransferKind.CAPTURE, TransferKind.REVERSE, TransferKind.RESTORE, TransferKind.GIFT,
            TransferKind.EXCHANGE_IN, TransferKind.CLAWBACK, TransferKind.CONFIRM,
        ),
    ),
    PolicyTerms(
        ExpiryKind.CALENDAR, expiry_period=ExpiryPeriod.MONTH, expiry_count=0, gift_accept_within="P1D",
        gift_hops_max=0, returned_kind=ReturnedKind.REISSUED, returned_grace="P5D", gift_expiry=MovedExpiry.RENEW,
    ),
)  # fmt: skip

shortfalls = st.sampled_from(Shortfall)
sides = st.integers(0, 1)
policies = st.integers(0, len(POLICIES) - 1)


class PointsRules(Bench):
    """Earn, spend, hold, take back, give back; publish, wait, sweep, repeat."""

    @initialize(terms=st.tuples(policies, policies), lots=st.lists(st.tuples(picks, hours), min_size=4, max_size=8))
    def begins(self, terms: tuple[int, int], lots: list[tuple[int, int]]) -> None:
        """Programs with a policy, and members with points that end some hours later."""
        for side, nth in enumerate(terms):
            self.publishes(side, nth)
        for nth, (who, valid) in enumerate(lots):
            self.earns(who, nth % 2, 40, None, valid if who else None)

    @rule(who=picks, side=sides, amount=amounts, later=st.none() | hours, valid=st.none() | hours)
    def earns(self, who: int, side: int, amount: int, later: int | None, valid: int | None) -> None:
        person, program, key = self.who(who), self.programs[side], new_key()
        usable_at = None if later is None else self.now + timedelta(hours=later)
        expires_at = None if valid is None else (usable_at or self.now) + timedelta(hours=valid)

        def say() -> Awaitable[Posted]:
            return earn(person.id, program.code, amount, key, usable_at=usable_at, expires_at=expires_at)

        self.earned(self.do(lambda: self.model.earn(person, program, amount, usable_at, expires_at), say))

    def earned(self, done: tuple[Transfer, Any] | None) -> None:
        self.keep(done)

    @rule(who=picks, side=sides, amount=amounts)
    def earns_on_confirmation(self, who: int, side: int, amount: int) -> None:
        person, program, key = self.who(who), self.programs[side], new_key()
        self.earned(
            self.do(
                lambda: self.model.earn(person, program, amount, on_confirmation=True),
                lambda: earn(person.id, program.code, amount, key, on_confirmation=True),
            )
        )

    @rule(side=sides, lines=st.lists(st.tuples(picks, amounts, st.integers(-60, 60)), min_size=1, max_size=4))
    def earn_in_bulk(self, side: int, lines: list[tuple[int, int, int]]) -> None:
        """Lines that were earned or become usable some hours before or after now, one for each member."""
        program, living = self.programs[side], self.living()
        people = list({living[pick % len(living)]: (amount, at) for pick, amount, at in lines}.items())
        earnings = [
            Earning(
                person.id, amount, Cause("purchase", new_key()), self.now + timedelta(hours=min(at, 0)),
                usable_at=self.now + timedelta(hours=at),
            )
            for person, (amount, at) in people
        ]  # fmt: skip

        @db.command
        async def say() -> list[Posted | None]:
            await lock_members([one.member_id for one in earnings])
            posted = await service.post_earnings(STAFF, program.code, earnings)
            return [posted.find(line) for line in range(len(earnings))]

        self.model.settle(self.now)
        made = [
            self.model.earn_late(person, program, one.amount, one.earned_at, one.usable_at or one.earned_at)
            for (person, _), one in zip(people, earnings, strict=True)
        ]
        self.model.settle(self.now)
        for transfer, answer in zip(made, self.run(say()), strict=True):
            assert answer is not None
            self.check_answer(answer)
            transfer.id = answer.transfer_id
        self.step()

    def transfer(self, pick: int, *kinds: str) -> Transfer | None:
        """One of the last transfers of these kinds, of any kind without; mostly one of which something is left."""
        found = [one for one in self.model.transfers if one.id and (not kinds or one.kind in kinds)]
        if pick:
            left = [one for one in found if one.reversed < one.amount and one.reverses is None]
            found = [one for one in left if one.kind in REVERSIBLE | RESTORABLE] or found
        return found[-1 - pick % len(found)] if found else None

    @rule(pick=picks, valid=st.none() | hours)
    def confirms(self, pick: int, valid: int | None) -> None:
        found, key = self.transfer(pick, "EARN"), new_key()
        if found is None or (transfer_id := found.id) is None:
            return
        expires_at = None if valid is None else self.now + timedelta(hours=valid)

        def say() -> Awaitable[Posted]:
            return service.confirm_pending(STAFF, transfer_id=transfer_id, idempotency_key=key, expires_at=expires_at)

        self.keep(self.do(lambda: self.model.confirm(found, expires_at), say))

    @rule(who=picks, side=sides, amount=amounts, donates=st.booleans())
    def spends(self, who: int, side: int, amount: int, *, donates: bool) -> None:
        person, program, key = self.rich(who, side), self.programs[side], new_key()

        def say() -> Awaitable[Posted]:
            if not donates:
                return spend(person.id, program.code, amount, key)
            return service.donate_points(
                STAFF,
                member_id=person.id,
                program=program.code,
                amount=amount,
                good_cause="trees",
                idempotency_key=key,
            )

        kind = "DONATE" if donates else "SPEND"
        self.keep(self.do(lambda: self.model.spend(person, program, amount, kind), say))

    @rule(who=picks, side=sides, amount=amounts, later=st.none() | st.integers(1, 40 * 24))
    def sets_aside(self, who: int, side: int, amount: int, later: int | None) -> None:
        self.held(self.rich(who, side), self.programs[side], amount, later, "POINTS")

    def held(self, person: Person, program: Program, amount: int, later: int | None, currency: str) -> None:
        deadline, key = None if later is None else self.now + timedelta(hours=later), new_key()
        say = service.hold_points if currency == "POINTS" else service.hold_stored_value
        done = self.do(
            lambda: self.model.hold(person, program, amount, deadline, currency),
            lambda: say(
                STAFF,
                member_id=person.id,
                program=program.code,
                amount=amount,
                idempotency_key=key,
                deadline=deadline,
            ),
        )
        if done is not None:
            hold, answer = done
            hold.id = answer.hold_id
            assert answer.deadline == hold.deadline
            self.holds.append(hold)

    def hold(self, pick: int) -> Hold | None:
        found = [hold for hold in self.all_holds() if hold.state == "OPEN"] if pick else []
        found = found or self.all_holds()
        return found[-1 - pick % len(found)] if found else None

    @rule(pick=picks, amount=parts, keep_rest=st.booleans())
    def captures(self, pick: int, amount: int | None, *, keep_rest: bool) -> None:
        hold, key = self.hold(pick), new_key()
        if hold is None or (hold_id := hold.id) is None:
            return

        def say() -> Awaitable[HoldPosted]:
            return service.capture_hold(
                STAFF, hold_id=hold_id, idempotency_key=key, amount=amount, keep_rest=keep_rest
            )

        answer = self.keep(self.do(lambda: self.model.capture(hold, amount, keep_rest=keep_rest), say))
        assert answer is None or answer.remaining == hold.remaining

    @rule(pick=picks, amount=parts)
    def releases(self, pick: int, amount: int | None) -> None:
        hold, key = self.hold(pick), new_key()
        if hold is None or (hold_id := hold.id) is None:
            return
        done = self.do(
            lambda: self.model.release(hold, amount),
            lambda: service.release_hold(STAFF, hold_id=hold_id, idempotency_key=key, amount=amount),
        )
        assert done is None or done[1].remaining == hold.remaining

    @rule(pick=picks, amount=parts, shortfall=shortfalls)
    def reverses(self, pick: int, amount: int | None, shortfall: Shortfall) -> None:
        self.takes_back(self.transfer(pick), amount, shortfall, "REVERSE")

    @rule(pick=picks, amount=parts)
    def restores(self, pick: int, amount: int | None) -> None:
        self.takes_back(self.transfer(pick, "DEDUCT", "CLAWBACK"), amount, Shortfall.REFUSE, "RESTORE")

    @rule(pick=picks, amount=parts)
    def cancels(self, pick: int, amount: int | None) -> None:
        self.takes_back(self.transfer(pick, "EARN"), amount, Shortfall.REFUSE, "CANCEL")

    def takes_back(self, found: Transfer | None, amount: int | None, shortfall: Shortfall, how: str) -> None:
        key = new_key()
        if found is None or (transfer_id := found.id) is None:
            return

        def say() -> Awaitable[Any]:
            more: Any = {"transfer_id": transfer_id, "idempotency_key": key, "amount": amount}
            if how == "REVERSE":
                return service.reverse_transfer(STAFF, shortfall=shortfall, **more)
            return (service.cancel_pending if how == "CANCEL" else service.restore_points)(
                SYSTEM if how == "RESTORE" else STAFF, **more
            )

        kind = "RESTORE" if how == "RESTORE" else "REVERSE"
        done = self.do(
            lambda: self.model.reverse(found, amount, shortfall, kind=kind, pending_only=how == "CANCEL"), say
        )
        answer = self.keep(done)
        if isinstance(answer, TakenPosted) and done is not None:
            self.check_taken(done[0], answer)
        elif answer is not None:
            assert answer.remaining == found.amount - found.reversed

    def check_taken(self, transfer: Transfer, answer: TakenPosted) -> None:
        debt = transfer.debt.amount if transfer.debt else 0
        assert (answer.taken, answer.debt) == (transfer.amount - debt, debt)

    @rule(who=picks, side=sides, amount=amounts, shortfall=shortfalls)
    def claws_back(self, who: int, side: int, amount: int, shortfall: Shortfall) -> None:
        person, program, key = self.rich(who, side), self.programs[side], new_key()
        done = self.do(
            lambda: self.model.deduct(person, program, amount, shortfall, kind="CLAWBACK"),
            lambda: service.clawback_points(
                STAFF, member_id=person.id, program=program.code, amount=amount, idempotency_key=key,
                shortfall=shortfall,
            ),
        )  # fmt: skip
        if self.keep(done) and done:
            self.check_taken(*done)

    @rule(who=picks, side=sides, amount=parts, shortfall=shortfalls, buckets=st.tuples(st.booleans(), st.booleans()))
    def deducts(
        self, who: int, side: int, amount: int | None, shortfall: Shortfall, buckets: tuple[bool, bool]
    ) -> None:
        person, program, key = self.rich(who, side), self.programs[side], new_key()
        more: Any = {"from_pending": buckets[0], "from_held": buckets[1]}
        done = self.do(
            lambda: self.model.deduct(person, program, amount, shortfall, **more),
            lambda: service.deduct_points(
                SYSTEM, member_id=person.id, program=program.code, amount=amount, idempotency_key=key,
                shortfall=shortfall, **more,
            ),
        )  # fmt: skip
        if self.keep(done) and done:
            self.check_taken(*done)

    @rule(side=sides, nth=policies)
    def publishes(self, side: int, nth: int) -> None:
        """Not at the very moment of a deadline: what was read before would not be true any more by the new rules."""
        program, terms = self.programs[side], POLICIES[nth]
        self.model.settle(self.now - timedelta(microseconds=1))
        while self.model.next_moment() == self.now:
            self.step()
            self.model.settle(self.now - timedelta(microseconds=1))
        self.model.settle(self.now)
        program.published.append((self.now, terms))
        self.run(publish(program.code, terms))
        self.step()

    @rule(later=hours)
    def time_passes(self, later: int) -> None:
        self.set_clock(self.now + timedelta(hours=later))

    @rule(before=st.booleans())
    def time_comes_to_an_edge(self, *, before: bool) -> None:
        """The very moment at which something happens, or the last one before it."""
        moment = self.model.next_moment()
        if moment is not None and moment > self.now:
            self.set_clock(max(self.now, moment - timedelta(microseconds=before)))

    @rule(limit=st.integers(1, 3))
    def sweeps(self, limit: int) -> None:
        assert 0 <= self.run(service.sweep_due(limit)) <= limit

    @precondition(lambda self: self.said)
    @rule(pick=st.integers(0, 30))
    def says_it_again(self, pick: int) -> None:
        self.repeat(*self.said[-1 - pick % len(self.said)])
