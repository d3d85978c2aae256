"""All writes of earning: orders from tills and files, with the points that they earn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, require
from engage.base.errors import InvalidInput, Refusal
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.earning.types import Outcome, PurchaseInput, PurchaseResult
from engage.domains.ledger import service as ledger
from engage.domains.ledger.errors import MemberNotActive
from engage.domains.ledger.types import Cause, Earning, Posted
from engage.domains.members import queries as members_queries
from engage.domains.members import service as members
from engage.domains.members.errors import UnknownChannel, UnknownMember
from engage.domains.members.rules import normalise_identifier
from engage.domains.members.types import IdentityRef, MemberState, ProgramRecord
from engage.domains.purchases import queries as purchases_queries
from engage.domains.purchases import rules as order_rules
from engage.domains.purchases import service as purchases
from engage.domains.purchases.errors import OrderConflict
from engage.domains.purchases.types import Order, OwnedOrder

BATCH_MAX = 1000
EARNING_STATES = frozenset({MemberState.ACTIVE, MemberState.FROZEN})


async def record_purchase(actor: Actor, *, program: str, member: IdentityRef, order: Order) -> PurchaseResult:
    """Put an order on file and give its points, in one transaction. The order number is the idempotency key.

    Makes the member when the identity is unknown and the setting allows it. The same order again answers as the first
    time (`replayed`). Raises Forbidden, InvalidInput, NotFound, UnknownChannel, UnknownMember, UnknownCurrency,
    UnknownStore, OrderConflict, MemberNotActive. Says MemberRegistered, `ledger.points_earned.v1`, PurchaseRecorded.
    """
    [outcome] = await record_purchases(actor, program=program, rows=[PurchaseInput(member, order)])
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


@db.command
async def record_purchases(actor: Actor, *, program: str, rows: Sequence[PurchaseInput]) -> list[Outcome]:
    """Up to 1,000 orders at once, set-based: a refused row does not touch the others.

    Answers an outcome per row, in order. Raises Forbidden, NotFound, InvalidInput for what concerns all rows.
    """
    require(actor, STAFF_ROLES)
    if not 1 <= len(rows) <= BATCH_MAX:
        raise InvalidInput(f"A batch has 1 to {BATCH_MAX} orders.", path=["rows"])
    batch = _Batch(await members_queries.get_program(program), clock.now(), len(rows))
    await batch.check(rows)
    await batch.find_stored()
    await batch.find_members()
    await batch.store(actor)
    return batch.outcomes()


class _Batch:
    """The rows of one bulk command on their way: each ends with an outcome."""

    def __init__(self, program: ProgramRecord, now: datetime, size: int) -> None:
        self.program = program
        self.now = now
        self.found: list[Outcome | None] = [None] * size
        self.open: dict[int, PurchaseInput] = {}
        self.hashes: dict[int, bytes] = {}
        self.repeats: dict[int, int] = {}
        self.owners: dict[int, UUID] = {}

    async def check(self, rows: Sequence[PurchaseInput]) -> None:
        """Normalise and check each row by itself; refuse those that can never be right."""
        stores = await members_queries.store_codes(self.program.id)
        channels = {place.code for place in await members_queries.list_channels()}
        for index, row in enumerate(rows):
            try:
                _check_channels(row, channels)
                clean = normalise_identifier(row.member.channel, row.member.identifier, path="member")
                member = IdentityRef(row.member.channel, clean)
                order = order_rules.check_order(row.order, self.program, stores, self.now)
            except Refusal as refusal:
                self.found[index] = refusal
            else:
                self.open[index] = PurchaseInput(member, order)
                self.hashes[index] = order_rules.content_hash(order, member, self.program.money_currency)

    async def find_stored(self) -> None:
        """Tell repetitions, in the batch and on file, from other orders under the same number."""
        first: dict[tuple[str, str], int] = {}
        stored = await purchases_queries.load_stored(
            self.program.id, [(row.order.channel, row.order.order_no) for row in self.open.values()]
        )
        for index, row in list(self.open.items()):
            number = (row.order.channel, row.order.order_no)
            if number in stored:
                on_file = stored[number]
                same = on_file.content_hash == self.hashes[index]
                self.found[index] = (
                    PurchaseResult(on_file.id, on_file.member_id, on_file.points, replayed=True)
                    if same
                    else _conflict(row.order)
                )
            elif number not in first:
                first[number] = index
                continue
            elif self.hashes[first[number]] == self.hashes[index]:
                self.repeats[index] = first[number]
            else:
                self.found[index] = _conflict(row.order)
            del self.open[index]

    async def find_members(self) -> None:
        """Find or make the members, take their locks, and refuse those who may not earn."""
        refs = [row.member for row in self.open.values()]
        if settings().register_unknown_members:
            known = await members.ensure_members(refs)
        else:
            known = await members_queries.load_ids(refs)
        states = await members.lock_members([known[ref] for ref in refs if ref in known])
        for index, row in list(self.open.items()):
            member_id = known.get(row.member)
            if member_id is None:
                self.found[index] = UnknownMember("Nobody is known under this identity.", path=["member"])
                del self.open[index]
            elif states[member_id] not in EARNING_STATES:
                state = states[member_id]
                self.found[index] = MemberNotActive(f"The member is {state}.", path=["member"], state=state)
                del self.open[index]
            else:
                self.owners[index] = member_id

    async def store(self, actor: Actor) -> None:
        """Put what is left on file, give the points, and say so."""
        if not self.open:
            return
        owned = {
            index: OwnedOrder(
                id=new_id(),
                member_id=self.owners[index],
                order=row.order,
                currency=self.program.money_currency,
                points=order_rules.points_for(row.order.amount, self.program),
                content_hash=self.hashes[index],
            )
            for index, row in self.open.items()
        }
        await purchases.store_orders(self.program, list(owned.values()))
        posted = await ledger.post_earnings(
            actor,
            self.program.code,
            [
                Earning(one.member_id, one.points, Cause("purchase", str(one.id)), one.order.purchased_at)
                for one in owned.values()
            ],
        )
        await purchases.say_recorded(self.program, list(owned.values()))
        for index, one in owned.items():
            self.found[index] = _result(one, posted.get(one.id))

    def outcomes(self) -> list[Outcome]:
        """One per row; a repetition inside the batch answers as its first."""
        answers: list[Outcome] = []
        for index, outcome in enumerate(self.found):
            final = self.found[self.repeats[index]] if index in self.repeats else outcome
            if final is None:
                raise RuntimeError("A row of a batch was left without an outcome.")
            answers.append(final)
        return answers


def _check_channels(row: PurchaseInput, known: set[str]) -> None:
    for code, path in ((row.member.channel, ["member", "channel"]), (row.order.channel, ["channel"])):
        if code not in known:
            raise UnknownChannel(
                f"There is no channel {code!r}; known are {', '.join(sorted(known))}.", path=path, known=sorted(known)
            )


def _conflict(order: Order) -> OrderConflict:
    return OrderConflict(
        f"Order {order.order_no!r} of channel {order.channel!r} is on file with other content.", path=["orderNo"]
    )


def _result(one: OwnedOrder, posted: Posted | None) -> PurchaseResult:
    return PurchaseResult(
        purchase_id=one.id,
        member_id=one.member_id,
        points=one.points,
        replayed=False,
        balance=posted.balance if posted else None,
        position=posted.position if posted else None,
    )
