"""The commands between two accounts in the model: gifts, exchanges, stored value, corrections, freezes, merges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engage.domains.ledger.policy.types import MovedExpiry, PolicyTerms
from engage.domains.ledger.types import Shortfall
from tests.ledger.model import (
    Account,
    Hold,
    Lot,
    Parts,
    Person,
    Program,
    Refused,
    Transfer,
    chosen,
    part_of,
    take,
    total,
)
from tests.ledger.model_points import Points, require, require_available

CENTS = 100


@dataclass(eq=False)
class Gift:
    """Points from one member to another; `hold` while they are offered. `fee_paid` is what the fee took."""

    sender: Person
    recipient: Person
    program: Program
    amount: int
    fee: int
    day: int
    state: str
    hold: Hold | None = None
    fee_paid: Transfer | None = None
    id: UUID | None = None


@dataclass(eq=False)
class TopUp:
    """Money put in; `bonus` is the earning that came with it."""

    transfer: Transfer
    bonus: Transfer | None


@dataclass(eq=False)
class Correction:
    """A correction that waits for a second person."""

    person: Person
    program: Program
    amount: int
    state: str = "WAITING"
    posted: Transfer | None = None
    id: UUID | None = None


class Model(Points):
    """The whole ledger."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.gifts: list[Gift] = []
        self.rates: dict[tuple[str, str], tuple[int, int]] = {}
        self.payments: set[tuple[str, str]] = set()

    def gift(self, sender: Person, recipient: Person, program: Program, amount: int) -> Gift:
        require(sender, "ACTIVE")
        require(recipient, "ACTIVE")
        if sender.now is recipient.now:
            raise Refused("INVALID_INPUT")
        account, terms = self.account(sender, program), program.terms(self.now)
        fee = terms.gift_fee_fixed - (-amount * terms.gift_fee_per_mille // 1000)
        day = self.now.astimezone(program.zone).toordinal()
        self._check_limits(account, terms, amount, fee, day)
        givable = [lot for lot in account.usable() if lot.hops <= terms.gift_hops_max]
        parts = take(chosen(givable, amount + fee))
        gift = Gift(sender.now, recipient.now, program, amount, fee, day, "GIVEN")
        self.gifts.append(gift)
        if terms.gift_accept_within is None:
            self._hand_over(gift, parts)
        else:
            gift.state = "OFFERED"
            gift.hold = self.set_aside(account, parts, program.after(self.now, terms.gift_accept_within), "GIFT")
        return gift

    def _check_limits(self, account: Account, terms: PolicyTerms, amount: int, fee: int, day: int) -> None:
        today = [
            gift.amount
            for gift in self.gifts
            if (gift.sender, gift.program, gift.day) == (account.person, account.program, day)
            and gift.state in ("GIVEN", "OFFERED", "ACCEPTED")
        ]
        if terms.gift_daily_points is not None and sum(today) + amount > terms.gift_daily_points:
            left = max(terms.gift_daily_points - sum(today), 0)
            raise Refused("GIFT_LIMIT", limit_kind="DAILY_POINTS", remaining=left)
        if terms.gift_daily_count is not None and len(today) >= terms.gift_daily_count:
            raise Refused("GIFT_LIMIT", limit_kind="DAILY_COUNT", remaining=0)
        require_available(account, amount + fee)
        givable = sum(lot.remaining for lot in account.usable() if lot.hops <= terms.gift_hops_max)
        if givable < amount + fee:
            raise Refused("GIFT_LIMIT", limit_kind="HOPS", remaining=max(givable - fee, 0))

    def _hand_over(self, gift: Gift, parts: Parts) -> None:
        """The points arrive with the recipient, the fee goes to the house."""
        giver, taker = self.account(gift.sender, gift.program), self.account(gift.recipient, gift.program)
        given, fee = part_of(parts, 0, gift.amount), part_of(parts, gift.amount, gift.amount + gift.fee)
        self.stir(giver, "GIFT")
        if fee:
            self.stir(giver, "FEE")
            gift.fee_paid = Transfer("FEE", giver, gift.fee, fee)
        self.stir(taker, "RECEIVE")
        rule = gift.program.terms(self.now).gift_expiry
        self._arrive(taker, [(lot, amount, amount) for lot, amount in given], rule, hops=1)

    def _arrive(self, account: Account, parts: list[tuple[Lot, int, int]], rule: MovedExpiry, hops: int = 0) -> None:
        """A lot for each that the points come from; then they pay debt, what ends first at first."""
        made = []
        for lot, _, arrives in parts:
            if arrives:
                end, idle = self.moved_end(account, lot, rule)
                made.append(
                    Lot(
                        account, arrives, lot.earned_at, self.now, end, matured=True, idle=idle, hops=lot.hops + hops,
                        origin=lot,
                    )
                )  # fmt: skip
        account.lots += made
        self.pay_debts(account, sorted(made, key=lambda lot: (*lot.turn[:3], (lot.origin or lot).order)))
        self.settle(self.now)

    def decide(self, gift: Gift, decision: str) -> None:
        if decision == "ACCEPTED":
            require(gift.sender, "ACTIVE")
        if gift.state != "OFFERED" or gift.hold is None:
            raise Refused("GIFT_DECIDED", state=gift.state)
        hold = gift.hold
        if decision == "ACCEPTED":
            require(gift.recipient, "ACTIVE")
            parts, hold.parts, hold.state = hold.parts, [], "CAPTURED"
            for lot, amount in parts:
                lot.held -= amount
            self._hand_over(gift, parts)
        else:
            self.let_go(hold, hold.remaining)
        gift.state = decision
        self.settle(self.now)

    def exchange(self, person: Person, source: Program, target: Program, amount: int) -> int:
        require(person, "ACTIVE")
        rate = self.rates.get((source.code, target.code))
        if rate is None:
            raise Refused("RATE_NOT_IN_FORCE")
        account, other = self.account(person, source), self.account(person, target)
        require_available(account, amount)
        numerator, denominator = rate
        gets = amount * numerator // denominator
        if gets == 0:
            raise Refused("INVALID_INPUT")
        parts, moved, at = take(chosen(account.usable(), amount)), [], 0
        for lot, part in parts:
            arrives = (at + part) * numerator // denominator - at * numerator // denominator
            moved.append((lot, part, arrives))
            at += part
        self.stir(account, "EXCHANGE_OUT")
        self.stir(other, "EXCHANGE_IN")
        self._arrive(other, moved, target.terms(self.now).exchange_expiry)
        return gets

    def top_up(self, person: Person, program: Program, amount: int, reference: str, paid_at: datetime) -> TopUp:
        require(person, "ACTIVE", "FROZEN")
        if (program.code, reference) in self.payments:
            raise Refused("PAYMENT_USED")
        self.payments.add((program.code, reference))
        account, terms = self.account(person, program, "CASH"), program.terms(self.now)
        lot = Lot(account, amount, paid_at, self.now, None, matured=True)
        self.stir(account, "TOP_UP")
        account.lots.append(lot)
        steps = [step for step in terms.top_up_bonus if step.from_amount * CENTS <= amount]
        bonus = int(amount * steps[-1].per_mille // 1000 + steps[-1].fixed * CENTS) if steps else 0
        made = None
        if bonus:
            end = program.after(self.now, terms.top_up_bonus_valid_for) if terms.top_up_bonus_valid_for else None
            extra = Lot(account, bonus, self.now, self.now, end, matured=True)
            self.stir(account, "EARN")
            account.lots.append(extra)
            made = Transfer("EARN", account, bonus, made=[extra])
            self.pay_debts(account, [extra])
        return TopUp(self._posted(Transfer("TOP_UP", account, amount, made=[lot])), made)

    def refund(self, top_up: TopUp, amount: int | None) -> int:
        """Pay back what is unspent; answers how much of the bonus went, in proportion to all that was paid back."""
        account = self.here(top_up.transfer.account)
        lots = [lot for lot in self._lots_of(top_up.transfer, account) if lot.remaining]
        there = sum(lot.remaining for lot in lots)
        if there == 0 or (amount or 0) > there:
            required = top_up.transfer.amount if amount is None else amount
            raise Refused("EXCEEDS_REVERSIBLE", remaining=there, required=required)
        wanted, bonus = there if amount is None else amount, 0
        take(chosen(lots, wanted))
        top_up.transfer.reversed += wanted
        self.stir(account, "REFUND")
        if top_up.bonus:
            earned = top_up.bonus
            share = -(-earned.amount * top_up.transfer.reversed // top_up.transfer.amount)
            bonus = total(take(chosen(self._lots_of(earned, account), share - earned.reversed)))
            earned.reversed += bonus
            if bonus:
                self.stir(account, "CLAWBACK")
        self.settle(self.now)
        return bonus

    def adjust(self, person: Person, program: Program, amount: int) -> Transfer | Correction:
        alone = program.terms(self.now).adjust_alone_max
        if alone is not None and abs(amount) > alone:
            return Correction(person, program, amount)
        return self._correct(person, program, amount)

    def _correct(self, person: Person, program: Program, amount: int) -> Transfer:
        if amount > 0:
            return self.earn(person, program, amount, kind="ADJUST_UP")
        return self.spend(person, program, -amount, "ADJUST_DOWN")

    def approve(self, correction: Correction, *, same_person: bool) -> Transfer:
        if correction.state == "REJECTED":
            raise Refused("ADJUSTMENT_DECIDED", state="REJECTED")
        if same_person:
            raise Refused("SECOND_PERSON_NEEDED")
        if correction.posted is None:
            correction.posted = self._correct(correction.person, correction.program, correction.amount)
            correction.state = "APPROVED"
        return correction.posted

    def reject(self, correction: Correction) -> None:
        if correction.state == "APPROVED":
            raise Refused("ADJUSTMENT_DECIDED", state="APPROVED")
        correction.state = "REJECTED"

    def thaw(self, person: Person) -> None:
        """Ends and deadlines come later by as long as they stood still: since the freeze or since usable."""
        began = person.frozen_at
        assert began is not None
        for account in [one for one in self.accounts.values() if one.person is person]:
            for lot in account.lots:
                if lot.expires_at and lot.expires_at > began:
                    lot.expires_at += self.now - max(began, min(lot.usable_at or self.now, self.now))
            for hold in account.open_holds():
                if hold.deadline > began:
                    hold.deadline += self.now - began
        person.frozen_at = None
        self.settle(self.now)

    def merge(self, absorbed: Person, survivor: Person) -> None:
        """All that one has goes on with the other: a successor for each lot, under the same holds and debts."""
        for gift in self.gifts:
            if gift.hold and gift.state == "OFFERED" and {gift.sender, gift.recipient} == {absorbed, survivor}:
                self.let_go(gift.hold, gift.hold.remaining)  # nobody gives to themselves
                gift.state = "WITHDRAWN"
        self.settle(self.now)
        for old in [one for one in self.accounts.values() if one.person is absorbed]:
            new = self.account(survivor, old.program, old.kind)
            for lot in old.lots:
                if lot.remaining or lot.held:
                    lot.heir = Lot(
                        new, lot.remaining + lot.held, lot.earned_at, lot.usable_at, lot.expires_at,
                        matured=lot.matured, idle=lot.idle, hops=lot.hops, origin=lot, held=lot.held,
                    )  # fmt: skip
                    lot.remaining = lot.held = 0
                    new.lots.append(lot.heir)
            for hold in old.open_holds():
                hold.account, hold.parts = new, [(lot.heir or lot, amount) for lot, amount in hold.parts]
                new.holds.append(hold)
            new.debts += old.debts
            old.holds, old.debts = [], []
        for gift in self.gifts:
            if gift.state == "OFFERED":
                gift.sender = survivor if gift.sender is absorbed else gift.sender
                gift.recipient = survivor if gift.recipient is absorbed else gift.recipient
        absorbed.into = survivor


__all__ = ["Correction", "Gift", "Model", "Shortfall", "TopUp"]
