"""All writes of earning: orders from tills and files, with the points that they earn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson

from engage.base import audit, clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.errors import InvalidInput, Refusal
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.earning import queries, rules
from engage.domains.earning.types import BatchReport, CheckedOrder, Outcome, PurchaseInput, PurchaseResult
from engage.domains.ledger.errors import MemberNotActive
from engage.domains.ledger.events import BALANCE_CHANGES
from engage.domains.ledger.service import PostedEarnings
from engage.domains.ledger.types import Posted
from engage.domains.members import queries as members_queries
from engage.domains.members import service as members
from engage.domains.members.errors import UnknownMember
from engage.domains.members.types import IdentityRef, MemberState, ProgramRecord
from engage.domains.purchases import queries as purchases_queries
from engage.domains.purchases import rules as order_rules
from engage.domains.purchases import service as purchases
from engage.domains.purchases.errors import OrderConflict
from engage.domains.purchases.events import PURCHASE_RECORDED
from engage.domains.purchases.types import Order, OwnedOrder
from engage.outbox import handlers_json, knock_if_promised
from engage.realtime.bell import ring_after_commit
from engage.realtime.rings import Ring

BATCH_MAX = 1000
POST = "SELECT * FROM engage.earning_post($1, $2, $3, $4, $5)"
POST_MANY = "SELECT * FROM engage.earning_post_many($1, $2, $3, $4, $5)"
SAID = BALANCE_CHANGES | {PURCHASE_RECORDED}
EARNING_STATES = frozenset({MemberState.ACTIVE, MemberState.FROZEN})


@db.recorded
async def record_purchase(actor: Actor, *, program: str, member: IdentityRef, order: Order) -> PurchaseResult:
    """Put an order on file and give its points, in one transaction. The order number is the idempotency key.

    Makes the member when the identity is unknown and the setting allows it. The same order again answers as the first
    time (`replayed`). Raises Forbidden, InvalidInput, NotFound, UnknownChannel, UnknownMember, UnknownCurrency,
    UnknownStore, OrderConflict, MemberNotActive. Says MemberRegistered, `ledger.points_earned.v1` and
    `purchases.recorded.v1`.
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
    require(actor, STAFF_ROLES, Scope.PURCHASES_WRITE)
    _check_size(len(rows))
    desk = await queries.load_desk(program)
    batch = _Batch(desk.program, clock.now(), rules.check_rows(rows, desk, clock.now()))
    await batch.store(actor, balances=True)
    outcomes = batch.report().outcomes
    if len(outcomes) == 1:
        audit.learn(outcomes[0])
    return outcomes


@db.command
async def record_checked(actor: Actor, *, program: str, checked: Sequence[CheckedOrder | Refusal]) -> BatchReport:
    """The same for orders of a file, which were checked before (`rules.check_rows`); answers no balances.

    Raises Forbidden, NotFound, InvalidInput for what concerns all rows.
    """
    require(actor, STAFF_ROLES, Scope.PURCHASES_WRITE)
    _check_size(len(checked))
    batch = _Batch(await members_queries.get_program(program), clock.now(), checked)
    await batch.store(actor, balances=False)
    return batch.report()


class _Batch:
    """The rows of one bulk command on their way: each ends with an outcome."""

    def __init__(self, program: ProgramRecord, now: datetime, rows: Sequence[CheckedOrder | Refusal]) -> None:
        self.program = program
        self.now = now
        self.found: list[Outcome | None] = [row if isinstance(row, Refusal) else None for row in rows]
        self.open = {index: row for index, row in enumerate(rows) if not isinstance(row, Refusal)}
        self.repeats: dict[int, int] = {}
        self.owners: dict[int, UUID] = {}
        self.members_new = 0
        self.points_expired = 0

    async def store(self, actor: Actor, *, balances: bool) -> None:
        """Put on file what is new and can be; answer the rest."""
        if len(self.open) > 1:
            await db.execute("SET LOCAL plan_cache_mode = auto")  # one plan for all sizes does not fit bulk work
        if self.open:
            await self.find_stored()
        if self.open:
            await self.find_members()
        if self.open:
            await self.post(actor, balances=balances)

    async def find_stored(self) -> None:
        """Tell repetitions, in the batch and on file, from other orders under the same number."""
        first: dict[tuple[str, str], int] = {}
        rows = self.open
        stored = await purchases_queries.load_stored(
            self.program.id, [(row.order.channel, row.order.order_no) for row in rows.values()]
        )
        self.open = {}
        for index, row in rows.items():
            number = (row.order.channel, row.order.order_no)
            if number in stored:
                on_file = stored[number]
                same = on_file.content_hash == row.content_hash
                self.found[index] = (
                    PurchaseResult(on_file.id, on_file.member_id, on_file.points, replayed=True)
                    if same
                    else _conflict(row.order)
                )
            elif number not in first:
                first[number] = index
                self.open[index] = row
            elif rows[first[number]].content_hash == row.content_hash:
                self.repeats[index] = first[number]
            else:
                self.found[index] = _conflict(row.order)

    async def find_members(self) -> None:
        """Find or make the members, take their locks, and refuse those who may not earn."""
        refs = list({row.member for row in self.open.values()})
        if settings().register_unknown_members:
            known, self.members_new = await members.ensure_members(refs)
        else:
            known = await members_queries.load_ids(refs)
        states = await members.lock_members(list(known.values()))
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

    async def post(self, actor: Actor, *, balances: bool) -> None:
        """Put what is left on file, give the points, and say so."""
        owned = [
            OwnedOrder(
                id=new_id(),
                member_id=self.owners[index],
                order=row.order,
                currency=self.program.money_currency,
                points=order_rules.points_for(row.order.amount, self.program),
                content_hash=row.content_hash,
            )
            for index, row in self.open.items()
        ]
        await purchases.store_orders(self.program, owned)
        args = self.program.code, [one.id for one in owned], actor.id, self.now, handlers_json()
        rows = await db.fetch(POST if balances else POST_MANY, *args)
        ring_after_commit(
            Ring(row["stream"], row["position"], row["name"], orjson.loads(row["data"])) for row in rows
        )
        knock_if_promised(SAID)
        posted = PostedEarnings(rows) if balances else None
        self.points_expired = posted.expired if posted else rows[0]["expired"]
        for line, (index, one) in enumerate(zip(self.open, owned, strict=True)):
            self.found[index] = _result(one, posted.find(line) if posted else None)

    def report(self) -> BatchReport:
        """What became of each row, in order; a repetition inside the batch answers as its first, replayed."""
        outcomes: list[Outcome] = []
        for index, outcome in enumerate(self.found):
            final = _repeated(self.found[self.repeats[index]]) if index in self.repeats else outcome
            if final is None:
                raise RuntimeError("A row of a batch was left without an outcome.")
            outcomes.append(final)
        return BatchReport(outcomes, self.members_new, self.points_expired)


def _check_size(rows: int) -> None:
    if not 1 <= rows <= BATCH_MAX:
        raise InvalidInput(f"A batch has 1 to {BATCH_MAX} orders.", path=["rows"])


def _repeated(first: Outcome | None) -> Outcome | None:
    if isinstance(first, PurchaseResult):
        return PurchaseResult(first.purchase_id, first.member_id, first.points, replayed=True)
    return first


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
