"""What the ledger must come to, in the plainest Python: members have lots, holds and debts, and time is eager.

Written from the rules, not from the SQL. What is due happens here at its moment, one thing after another, where the
kernel posts it late: so that the two agree only if a late sweep never makes a balance wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from engage.domains.ledger.policy.types import ExpiryKind, MovedExpiry, PolicyTerms, ReturnedKind
from engage.domains.ledger.types import Balance
from tests.ledger.test_calendar_model import local_end, moment_of

_numbers = itertools.count(1)


class Refused(Exception):  # noqa: N818 -- named as the refusals of the ledger are
    """The model refuses, with the code and the figures that the ledger is to refuse with."""

    def __init__(self, code: str, **figures: Any) -> None:
        super().__init__(code, figures)
        self.code, self.figures = code, figures


@dataclass(eq=False)
class Person:
    """A member. Once merged, everything that names them means the survivor."""

    id: UUID
    frozen_at: datetime | None = None
    into: Person | None = None

    @property
    def now(self) -> Person:
        return self if self.into is None else self.into.now

    @property
    def state(self) -> str:
        return "ACTIVE" if self.frozen_at is None else "FROZEN"

    def until(self, now: datetime) -> datetime:
        """Up to when ends and deadlines have come: they stand still for the frozen."""
        return now if self.frozen_at is None else min(now, self.frozen_at)


@dataclass(eq=False)
class Program:
    """A program and the rules that were published for it, the newest last. Durations are in whole days."""

    code: str
    zone: ZoneInfo
    published: list[tuple[datetime, PolicyTerms]] = field(default_factory=list)

    def terms(self, at: datetime) -> PolicyTerms:
        return next((terms for since, terms in reversed(self.published) if since <= at), NEVER)

    def after(self, at: datetime, duration: str) -> datetime:
        local = at.astimezone(self.zone).replace(tzinfo=None, fold=0) + timedelta(days=days_of(duration))
        return moment_of(local, self.zone)

    def expiry(self, at: datetime, now: datetime) -> datetime | None:
        """The end, by the rules of now, of points that become usable at a moment."""
        terms = self.terms(now)
        if terms.expiry_kind is ExpiryKind.NEVER:
            return None
        local = at.astimezone(self.zone).replace(tzinfo=None, fold=0)
        return moment_of(local_end(terms, (0, 0, 0, days_of(terms.expiry_after)), local), self.zone)

    def is_idle(self, now: datetime) -> bool:
        return self.terms(now).expiry_kind is ExpiryKind.INACTIVITY


NEVER = PolicyTerms(ExpiryKind.NEVER)


def days_of(duration: str | None) -> int:
    """The days in `P3D`, the only durations that the model reads."""
    return int(duration[1:-1]) if duration else 0


@dataclass(eq=False)
class Lot:
    """Points that came together."""

    account: Account
    amount: int
    earned_at: datetime
    usable_at: datetime | None
    expires_at: datetime | None
    matured: bool
    idle: bool = False
    hops: int = 0
    origin: Lot | None = None
    heir: Lot | None = None
    remaining: int = 0
    held: int = 0
    id: UUID | None = None
    number: int = field(default_factory=lambda: next(_numbers))

    def __post_init__(self) -> None:
        self.remaining = self.amount - self.held

    @property
    def order(self) -> int:
        """As ids are ordered; lots that are not known by their id yet come last."""
        return (1 << 128) + self.number if self.id is None else self.id.int

    @property
    def turn(self) -> tuple[bool, datetime, datetime, int]:
        """Which is taken first: the earliest end, none last, then the oldest (rule 2)."""
        return self.expires_at is None, self.expires_at or self.earned_at, self.earned_at, self.order

    @property
    def ancestors(self) -> list[Lot]:
        """This lot and those it came from, through gifts, merges, exchanges and reissues."""
        return [self] if self.origin is None else [self, *self.origin.ancestors]

    @property
    def line(self) -> list[Lot]:
        """The same within its currency."""
        currency = self.account.currency
        return list(itertools.takewhile(lambda lot: lot.account.currency == currency, self.ancestors))


Parts = list[tuple[Lot, int]]


@dataclass(eq=False)
class Hold:
    """Points set aside, in order of consumption."""

    account: Account
    purpose: str
    parts: Parts
    deadline: datetime
    state: str = "OPEN"
    id: UUID | None = None
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def remaining(self) -> int:
        return total(self.parts)


@dataclass(eq=False)
class Debt:
    """Points that are owed. `cause` is the lot of the earning that was clawed back."""

    amount: int
    cause: Lot | None
    remaining: int
    returned: int = 0
    paid: Parts = field(default_factory=list)
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass(eq=False)
class Transfer:
    """What can be taken back, or came from taking back: which lots it took, in order, and which it made."""

    kind: str
    account: Account
    amount: int
    parts: Parts = field(default_factory=list)
    made: list[Lot] = field(default_factory=list)
    debt: Debt | None = None
    reverses: Transfer | None = None
    reversed: int = 0
    id: UUID | None = None


@dataclass(eq=False)
class Account:
    """What a member has in one currency."""

    person: Person
    program: Program
    kind: str
    lots: list[Lot] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    debts: list[Debt] = field(default_factory=list)

    @property
    def currency(self) -> tuple[str, str]:
        return self.program.code, self.kind

    @property
    def balance(self) -> Balance:
        return Balance(
            available=sum(lot.remaining for lot in self.lots if lot.matured),
            pending=sum(lot.remaining for lot in self.lots if not lot.matured),
            held=sum(lot.held for lot in self.lots),
            debt=sum(debt.remaining for debt in self.debts),
        )

    def usable(self) -> list[Lot]:
        """Lots that can be spent, in the order in which they are."""
        return sorted((lot for lot in self.lots if lot.matured and lot.remaining), key=lambda lot: lot.turn)

    def open_holds(self) -> list[Hold]:
        return [hold for hold in self.holds if hold.state == "OPEN"]


def total(parts: Iterable[tuple[Lot, int]]) -> int:
    return sum(amount for _, amount in parts)


def part_of(parts: Sequence[tuple[Lot, int]], begin: int, end: int) -> Parts:
    """What lies between two places of a list of lots, counted in points."""
    found, at = [], 0
    for lot, amount in parts:
        inside = min(at + amount, end) - max(at, begin)
        if inside > 0:
            found.append((lot, inside))
        at += amount
    return found


def chosen(lots: Iterable[Lot], amount: int) -> Parts:
    """As much as there is of an amount, from lots in their order."""
    found: Parts = []
    for lot in lots:
        part = min(lot.remaining, amount - total(found))
        if part > 0:
            found.append((lot, part))
    return found


def take(parts: Parts) -> Parts:
    """The same, taken out of the lots."""
    for lot, amount in parts:
        lot.remaining -= amount
    return parts


class Books:
    """All accounts, and what time does to them."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.accounts: dict[tuple[UUID, str, str], Account] = {}
        self.transfers: list[Transfer] = []
        self.gifts: list[Any] = []

    def account(self, person: Person, program: Program, kind: str = "POINTS") -> Account:
        holder = person.now
        return self.accounts.setdefault((holder.id, program.code, kind), Account(holder, program, kind))

    def here(self, account: Account) -> Account:
        """The account that goes on with what this one had, after merges."""
        return self.account(account.person, account.program, account.kind)

    def settle(self, until: datetime) -> None:
        """Let everything happen that is due up to a moment, each at its time."""
        while due := min(
            itertools.chain(*map(self._due, self.accounts.values())), default=None, key=lambda one: one[0]
        ):
            (moment, *_), account, what = due
            if moment > until:
                break
            if isinstance(what, Hold):
                self.end_hold(account, what, moment)
            elif what.matured:
                what.remaining = 0
            else:
                what.matured = True
                self.pay_debts(account, [what])
        self.now = until

    def next_moment(self) -> datetime | None:
        """When time will do something next."""
        return min((one[0][0] for account in self.accounts.values() for one in self._due(account)), default=None)

    def _due(self, account: Account) -> Iterator[tuple[tuple[datetime, int, int], Account, Lot | Hold]]:
        stopped = account.person.frozen_at
        for hold in account.open_holds():
            if stopped is None or hold.deadline <= stopped:
                yield (hold.deadline, 0, hold.number), account, hold
        for lot in account.lots:
            if lot.remaining and not lot.matured and lot.usable_at is not None:
                yield (lot.usable_at, 1, lot.order), account, lot
            end = lot.expires_at if lot.remaining and lot.matured else None
            if end is not None and (stopped is None or end <= stopped):
                yield (end, 2, lot.order), account, lot

    def end_hold(self, account: Account, hold: Hold, at: datetime) -> None:
        """The deadline has come: what is held goes back, and a gift has not been accepted in time."""
        parts, hold.parts, hold.state = hold.parts, [], "EXPIRED"
        self.give_back(account, parts, at, held=True)
        for gift in self.gifts:
            if gift.hold is hold:
                gift.state = "EXPIRED"

    def give_back(
        self, account: Account, parts: Parts, at: datetime, *, held: bool = False, activity: str | None = None
    ) -> list[Lot]:
        """Return points to the lots they came from; answers the lots that were made for them.

        A lot that expired meanwhile takes them with it, or they are reissued with a grace period (rule 6). Points of
        an account that was merged into this one are in a lot of this one.
        """
        terms, moment = account.program.terms(at), account.person.until(at)
        made = []
        for lot, amount in parts:
            lot.held -= amount if held else 0
            like = lot if lot.account is account else successor(lot, account) or lot
            late = like.expires_at is not None and like.expires_at <= moment
            end = like.expires_at
            if late and terms.returned_kind is ReturnedKind.REISSUED:
                end = account.program.after(moment, terms.returned_grace or "")
            elif lot.account is account:
                lot.remaining += amount
                lot.matured = lot.matured or self._is_past(lot.usable_at)
                continue
            made.append(
                Lot(
                    account, amount, lot.earned_at, like.usable_at, end, matured=self._is_past(like.usable_at),
                    idle=like.idle, hops=lot.hops, origin=lot,
                )
            )  # fmt: skip
        if activity:
            self.stir(account, activity)
        account.lots += made
        return made

    def _is_past(self, at: datetime | None) -> bool:
        return at is not None and at <= self.now

    def stir(self, account: Account, activity: str) -> None:
        """Points that expire by inactivity live on with what counts as activity, where they have not expired yet."""
        terms = account.program.terms(self.now)
        if terms.expiry_kind is not ExpiryKind.INACTIVITY or activity not in terms.expiry_activities:
            return
        until, end = account.person.until(self.now), account.program.expiry(self.now, self.now)
        assert end is not None
        for lot in account.lots:
            if lot.idle and (lot.remaining or lot.held) and lot.expires_at and until < lot.expires_at < end:
                lot.expires_at = end

    def pay_debts(self, account: Account, lots: Iterable[Lot], causes: Sequence[Lot] | None = None) -> None:
        """The oldest debt first, from these lots in their order (rule 3); only debts of some causes, if given."""
        lots = list(lots)
        for debt in sorted(account.debts, key=lambda debt: debt.number):
            if causes is not None and debt.cause not in causes:
                continue
            parts = take(chosen((lot for lot in lots if lot.matured), debt.remaining))
            debt.remaining -= total(parts)
            debt.paid += parts

    def moved_end(self, account: Account, lot: Lot, rule: MovedExpiry) -> tuple[datetime | None, bool]:
        """The end of points that change hands into an account, and whether they live by activity."""
        program, terms = account.program, account.program.terms(self.now)
        if rule is MovedExpiry.RENEW:
            return program.expiry(self.now, self.now), program.is_idle(self.now)
        if lot.expires_at and lot.expires_at <= self.now and terms.returned_kind is ReturnedKind.REISSUED:
            return program.after(self.now, terms.returned_grace or ""), lot.idle
        return lot.expires_at, lot.idle


def successor(lot: Lot, account: Account) -> Lot | None:
    """What merges have made of a lot in this account."""
    here: Lot | None = lot
    while here is not None and here.account is not account:
        here = here.heir
    return here
