"""The commands on one member's points, in the model: what they do to the lots, or why they are refused."""

from __future__ import annotations

from datetime import datetime, timedelta

from engage.domains.ledger.types import Shortfall
from tests.ledger.model import (
    Account,
    Books,
    Debt,
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

GIVING = {"EARN", "ADJUST_UP"}
REVERSIBLE = {*GIVING, "SPEND", "CAPTURE", "DONATE", "FEE", "ADJUST_DOWN", "DEDUCT"}
RESTORABLE = {"DEDUCT", "CLAWBACK"}


def require(person: Person, *states: str) -> None:
    if person.now.state not in states:
        raise Refused("MEMBER_NOT_ACTIVE", state=person.now.state)


def require_available(account: Account, amount: int) -> None:
    available = account.balance.available
    if available < amount:
        raise Refused("INSUFFICIENT_POINTS", available=available, required=amount)


class Points(Books):
    """Earning, spending, holding, taking back and giving back."""

    def earn(
        self, person: Person, program: Program, amount: int, usable_at: datetime | None = None,
        expires_at: datetime | None = None, *, on_confirmation: bool = False, kind: str = "EARN",
    ) -> Transfer:  # fmt: skip
        require(person, "ACTIVE", "FROZEN")
        account = self.account(person, program)
        begin = None if on_confirmation else usable_at or self.now
        self.stir(account, kind)
        by_policy = begin is not None and expires_at is None
        lot = Lot(
            account, amount, self.now, begin, expires_at, matured=begin == self.now,
            idle=by_policy and program.is_idle(self.now),
        )  # fmt: skip
        if by_policy and begin is not None:
            lot.expires_at = program.expiry(begin, self.now)
        account.lots.append(lot)
        self.pay_debts(account, [lot])
        return self._posted(Transfer(kind, account, amount, made=[lot]))

    def earn_late(
        self, person: Person, program: Program, amount: int, earned_at: datetime, usable_at: datetime
    ) -> Transfer:
        """One line of a bulk earning, which may have been earned before: its end counts from then. What has expired
        already comes and goes."""
        account = self.account(person, program)
        lot = Lot(
            account, amount, earned_at, usable_at, program.expiry(max(earned_at, usable_at), self.now),
            matured=usable_at <= self.now, idle=program.is_idle(self.now),
        )  # fmt: skip
        account.lots.append(lot)
        self.stir(account, "EARN")
        self.pay_debts(account, [lot])
        return self._posted(Transfer("EARN", account, amount, made=[lot]))

    def _posted(self, transfer: Transfer) -> Transfer:
        self.transfers.append(transfer)
        self.settle(self.now)
        return transfer

    def confirm(self, earned: Transfer, expires_at: datetime | None) -> Transfer:
        account = self.here(earned.account)
        require(account.person, "ACTIVE", "FROZEN")
        lots = [lot for lot in self._lots_of(earned, account) if not lot.matured and lot.remaining]
        if not lots:
            raise Refused("NOT_PENDING")
        amount = sum(lot.remaining for lot in lots)
        self.stir(account, "CONFIRM")
        for lot in lots:
            waited = lot.usable_at is None
            lot.matured, lot.usable_at = True, self.now
            lot.idle = lot.idle or (waited and expires_at is None and account.program.is_idle(self.now))
            if expires_at is not None:
                lot.expires_at = expires_at
            elif waited:
                lot.expires_at = account.program.expiry(self.now, self.now)
        self.pay_debts(account, lots)
        return self._posted(Transfer("CONFIRM", account, amount))

    def _lots_of(self, made: Transfer, account: Account) -> list[Lot]:
        """The lots that a transfer made, as they are in this account: reissued or moved by merges, not given away."""
        return sorted(
            (
                lot
                for lot in account.lots
                if any(one in made.made and one.hops == lot.hops for one in lot.line)
            ),
            key=lambda lot: lot.order,
        )  # fmt: skip

    def spend(self, person: Person, program: Program, amount: int, kind: str, currency: str = "POINTS") -> Transfer:
        require(person, "ACTIVE", *(["FROZEN"] if kind == "ADJUST_DOWN" else []))
        account = self.account(person, program, currency)
        require_available(account, amount)
        parts = take(chosen(account.usable(), amount))
        self.stir(account, kind)
        return self._posted(Transfer(kind, account, amount, parts))

    def hold(
        self, person: Person, program: Program, amount: int, deadline: datetime | None, currency: str = "POINTS"
    ) -> Hold:
        require(person, "ACTIVE")
        account = self.account(person, program, currency)
        latest = program.after(self.now, program.terms(self.now).hold_longest)
        until = min(latest, self.now + timedelta(days=1)) if deadline is None else deadline
        if until > latest:
            raise Refused("INVALID_INPUT")
        require_available(account, amount)
        return self.set_aside(account, take(chosen(account.usable(), amount)), until, "SPEND")

    def set_aside(self, account: Account, parts: Parts, deadline: datetime, purpose: str) -> Hold:
        for lot, amount in parts:
            lot.held += amount
        self.stir(account, "HOLD")
        hold = Hold(account, purpose, parts, deadline)
        account.holds.append(hold)
        self.settle(self.now)
        return hold

    def capture(self, hold: Hold, amount: int | None, *, keep_rest: bool) -> Transfer:
        require(hold.account.person, "ACTIVE")
        wanted = self._of_hold(hold, amount)
        account, rest = hold.account, part_of(hold.parts, wanted, hold.remaining)
        parts = part_of(hold.parts, 0, wanted)
        for lot, part in parts:
            lot.held -= part
        self.stir(account, "CAPTURE")
        if not keep_rest and rest:
            self.give_back(account, rest, self.now, held=True)
            rest = []
        hold.parts, hold.state = rest, "OPEN" if rest else "CAPTURED"
        return self._posted(Transfer("CAPTURE", account, wanted, parts))

    def release(self, hold: Hold, amount: int | None) -> None:
        self.let_go(hold, self._of_hold(hold, amount))
        self.settle(self.now)

    def let_go(self, hold: Hold, amount: int) -> None:
        """Give back what was taken last."""
        kept = hold.remaining - amount
        back, hold.parts = part_of(hold.parts, kept, hold.remaining), part_of(hold.parts, 0, kept)
        hold.state = "OPEN" if hold.parts else "RELEASED"
        self.give_back(hold.account, back, self.now, held=True)

    def _of_hold(self, hold: Hold, amount: int | None) -> int:
        if hold.state != "OPEN" or hold.purpose != "SPEND":
            raise Refused("HOLD_NOT_OPEN", state=hold.state)
        if amount is not None and amount > hold.remaining:
            raise Refused("EXCEEDS_HOLD", remaining=hold.remaining, required=amount)
        return hold.remaining if amount is None else amount

    def reverse(
        self, transfer: Transfer, amount: int | None, shortfall: Shortfall, *, kind: str = "REVERSE",
        pending_only: bool = False,
    ) -> Transfer:  # fmt: skip
        kinds = {"EARN"} if pending_only else REVERSIBLE if kind == "REVERSE" else RESTORABLE
        left = transfer.amount - transfer.reversed
        if transfer.reverses is not None or transfer.kind not in kinds:
            raise Refused("NOT_REVERSIBLE", kind=transfer.kind)
        if left == 0 or (amount or 0) > left:
            raise Refused(
                "EXCEEDS_REVERSIBLE", remaining=left, required=transfer.amount if amount is None else amount
            )
        wanted = left if amount is None else amount
        if transfer.kind in GIVING:
            return self._take_back(transfer, wanted, shortfall, pending_only=pending_only, whole=amount is None)
        return self._undo(transfer, wanted, kind)

    def _undo(self, transfer: Transfer, amount: int, kind: str) -> Transfer:
        """Give back what a transfer took: first the debt that it made, then its lots, last taken first (rule 5)."""
        account, debt, before, owed = self.here(transfer.account), transfer.debt, transfer.reversed, 0
        parts: Parts = []
        if debt is not None:
            owed = min(amount, max(debt.amount - before, 0))
            forgiven = min(owed, debt.remaining)
            parts = part_of(debt.paid[::-1], debt.returned, debt.returned + owed - forgiven)
            debt.remaining -= forgiven
            debt.returned += owed - forgiven
            before = max(before - debt.amount, 0)
        parts += part_of(transfer.parts[::-1], before, before + amount - owed)
        made = self.give_back(account, parts, self.now, activity=kind)
        for lot, _ in parts:  # restored points pay no debt but that of clawing back their own earning
            back = [one for one in [lot, *made] if one.account is account and lot in (one, one.origin)]
            self.pay_debts(account, back, causes=lot.ancestors)
        transfer.reversed += amount
        return self._posted(Transfer(kind, account, amount, reverses=transfer))

    def _take_back(
        self, transfer: Transfer, amount: int, shortfall: Shortfall, *, pending_only: bool, whole: bool
    ) -> Transfer:
        """Take back what a transfer gave: from its lot and what became of it, then from the member's others."""
        account = self.here(transfer.account)
        line = [
            lot
            for holder in self.accounts.values()
            for lot in sorted(holder.lots, key=lambda lot: lot.order)
            if any(one in transfer.made for one in lot.line) and lot.remaining
        ]
        own = [lot for lot in line if lot.account is account]
        others = [lot for lot in line if lot.account is not account]
        more = [lot for lot in account.usable() if lot not in own]
        if pending_only:
            own = [lot for lot in own if not lot.matured]
            there = sum(lot.remaining for lot in own)
            amount = min(amount, there) if whole and there else amount
            if there < amount:
                raise Refused("NOT_PENDING")
        there = sum(lot.remaining for lot in [*own, *others, *more])
        if shortfall is Shortfall.REFUSE and there < amount:
            raise Refused("INSUFFICIENT_POINTS", available=there, required=amount)
        parts = take(chosen(own, amount))
        given = 0
        others.sort(key=lambda lot: (lot.account.person.id, lot.order))
        for holder in dict.fromkeys(lot.account for lot in others):
            theirs = take(chosen((lot for lot in others if lot.account is holder), amount - total(parts) - given))
            given += total(theirs)
            if theirs:
                self.stir(holder, "CLAWBACK")
        back = Transfer("CLAWBACK", account, 0, reverses=transfer)
        self._collect(back, parts, amount - given, more, shortfall, transfer.made[0], elsewhere=given)
        transfer.reversed += given + back.amount
        return self._posted(back)

    def _collect(
        self, transfer: Transfer, parts: Parts, amount: int, lots: list[Lot], shortfall: Shortfall, cause: Lot | None,
        elsewhere: int = 0, *, from_held: bool = False,
    ) -> None:  # fmt: skip
        """Take the rest of an amount from these lots, then from holds; then deal with what is not there."""
        account = transfer.account
        more = chosen(lots, amount - total(parts))
        held = min(amount - total(parts) - total(more), account.balance.held) if from_held else 0
        short = amount - total(parts) - total(more) - held
        owed = short if shortfall is Shortfall.DEBT else 0
        taken = total(parts) + total(more) + held
        if (short and shortfall is Shortfall.REFUSE) or taken + owed + elsewhere == 0:
            raise Refused("INSUFFICIENT_POINTS", available=amount - short, required=amount)
        transfer.amount = taken + owed
        broken: list[Hold] = []
        transfer.parts = parts + take(more) + self._from_holds(account, held, broken)
        if transfer.amount:
            self.stir(account, transfer.kind)
        if owed:
            transfer.debt = Debt(owed, cause, owed)
            account.debts.append(transfer.debt)
        for hold in broken:  # a gift of which a part was taken is not offered any more
            self.let_go(hold, hold.remaining)

    def _from_holds(self, account: Account, amount: int, broken: list[Hold]) -> Parts:
        """Out of what is held, the newest hold first, of each what was taken last."""
        found: Parts = []
        for hold in sorted(account.open_holds(), key=lambda hold: -hold.number):
            here = min(amount - total(found), hold.remaining)
            if here == 0:
                break
            found += part_of(hold.parts, hold.remaining - here, hold.remaining)
            hold.parts = part_of(hold.parts, 0, hold.remaining - here)
            if not hold.parts:
                hold.state = "RELEASED"
            if hold.purpose == "GIFT":
                next(gift for gift in self.gifts if gift.hold is hold).state = "WITHDRAWN"
                broken += [hold] if hold.parts else []
        for lot, part in found:
            lot.held -= part
        return found

    def deduct(
        self, person: Person, program: Program, amount: int | None, shortfall: Shortfall, *, kind: str = "DEDUCT",
        from_pending: bool = False, from_held: bool = False,
    ) -> Transfer:  # fmt: skip
        account = self.account(person, program)
        lots, there = account.usable(), account.balance
        if from_pending:
            lots += sorted((lot for lot in account.lots if not lot.matured), key=lambda lot: lot.turn)
        every = there.available + there.pending * from_pending + there.held * from_held
        if amount is None and every == 0:
            raise Refused("INSUFFICIENT_POINTS", available=0, required=1)
        transfer = Transfer(kind, account, 0)
        wanted = every if amount is None else amount
        self._collect(transfer, [], wanted, lots, shortfall, None, from_held=from_held)
        return self._posted(transfer)
