"""Posting rows of points: a batch a transaction, each row with an outcome of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.errors import InvalidInput, Refusal
from engage.base.idempotency import find_used, save_used
from engage.domains.earning.bulk.rules import used_otherwise
from engage.domains.earning.bulk.types import (
    BATCH_MAX,
    BulkInstructions,
    BulkOperation,
    CheckedRow,
    Outcome,
    PointsRow,
    RowPosted,
)
from engage.domains.earning.service import EARNING_STATES
from engage.domains.ledger import service as ledger
from engage.domains.ledger.errors import MemberNotActive
from engage.domains.ledger.rules import never_usable
from engage.domains.ledger.types import Cause, Earning
from engage.domains.members import queries as members_queries
from engage.domains.members import service as members
from engage.domains.members.errors import UnknownMember
from engage.domains.members.types import IdentityRef, LockedMember

KEPT = timedelta(days=3653)
"""How long a row key is known: as long as books are kept, since nobody remembers which file was sent when."""

ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


@db.command
async def post_rows(
    actor: Actor, *, wanted: BulkInstructions, cause: Cause, rows: Sequence[CheckedRow]
) -> list[Outcome]:
    """Post up to 1,000 rows of one piece of work: a refused row does not touch the others.

    A row key counts once in its work: a repetition changes nothing. `cause` is that of rows which name none.
    Answers an outcome per row, in order. Raises Forbidden, InvalidInput for what concerns all rows.
    Says `ledger.points_earned.v1`, or `ledger.points_added.v1` and `ledger.points_removed.v1`, for each.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    if not 1 <= len(rows) <= BATCH_MAX:
        raise InvalidInput(f"A batch has 1 to {BATCH_MAX} rows.", path=["rows"])
    batch = _Batch(wanted.program, cause, rows)
    # Jobs of one piece of work go one after another, so that keys are not taken by two members at once.
    await db.execute(ONE_AT_A_TIME, f"{wanted.program} {wanted.operation} {wanted.key}")
    await batch.find_known()
    await batch.find_members()
    if wanted.operation is BulkOperation.EARN:
        await batch.earn(actor)
    else:
        await batch.adjust(actor)
    return batch.outcomes()


class _Batch:
    """The rows of one batch on their way: each ends with an outcome."""

    def __init__(self, program: str, cause: Cause, rows: Sequence[CheckedRow]) -> None:
        self.program = program
        self.cause = cause
        self.rows = rows
        self.now = clock.now()
        self.found: dict[int, Outcome] = {}
        self.repeats: dict[int, int] = {}
        self.owners: dict[int, LockedMember] = {}

    async def find_known(self) -> None:
        """Tell repetitions, on file and in the batch, from other rows under the same key."""
        used = await find_used([row.key for row in self.rows])
        first: dict[UUID, int] = {}
        for index, (row, key) in enumerate(self.rows):
            before = first.setdefault(key.id, index)
            known = used.get(key.id, self.rows[before].key.input_hash)
            if known != key.input_hash:
                self.found[index] = used_otherwise(row)
            elif key.id in used:
                self.found[index] = RowPosted(row.amount, replayed=True)
            elif before != index:
                self.repeats[index] = before

    def open(self) -> dict[int, PointsRow]:
        """The rows that have no outcome yet, by their place."""
        return {
            index: row
            for index, (row, _) in enumerate(self.rows)
            if index not in self.found and index not in self.repeats
        }

    async def find_members(self) -> None:
        """Find whose the rows are, and take their locks."""
        rows = self.open()
        refs = {row.member for row in rows.values() if isinstance(row.member, IdentityRef)}
        known = await members_queries.load_ids(list(refs)) if refs else {}
        ids = {
            index: known.get(row.member) if isinstance(row.member, IdentityRef) else row.member
            for index, row in rows.items()
        }
        locked = await members.lock_named([one for one in ids.values() if one is not None])
        for index, member_id in ids.items():
            if member_id is None or member_id not in locked:
                self.found[index] = UnknownMember("There is no such member.", path=["member"])
            else:
                self.owners[index] = locked[member_id]

    async def earn(self, actor: Actor) -> None:
        """Give the points of what is left, all in one statement."""
        for index, row in self.open().items():
            member = self.owners[index]
            if member.state not in EARNING_STATES:
                self.found[index] = MemberNotActive(
                    f"The member is {member.state}.", path=["member"], state=member.state
                )
            elif row.expires_at is not None and row.expires_at <= self.now:
                self.found[index] = never_usable()
        places = list(self.open())
        wanted = [(self.owners[index].id, self.rows[index].row.amount) for index in places]
        for line, refusal in (await ledger.find_beyond(self.program, wanted)).items():
            self.found[places[line]] = refusal
        rows = self.open()
        if rows:
            await db.execute("SET LOCAL plan_cache_mode = auto")  # one plan for all sizes does not fit bulk work
            await ledger.post_earnings(actor, self.program, [self._earning(*one) for one in rows.items()])
            await save_used([self.rows[index].key for index in rows], self.now + KEPT)
        self.found |= {index: RowPosted(row.amount, replayed=False) for index, row in rows.items()}

    def _earning(self, index: int, row: PointsRow) -> Earning:
        return Earning(
            member_id=self.owners[index].id,
            amount=row.amount,
            cause=row.cause or self.cause,
            earned_at=self.now,
            expires_at=row.expires_at,
            usable_at=row.usable_at,
            reason=row.reason,
            note=row.note,
        )

    async def adjust(self, actor: Actor) -> None:
        """Correct the balances of what is left, one after another in one statement."""
        rows = self.open()
        lines = [
            ledger.Correction(
                key=self.rows[index].key,
                member_id=self.owners[index].id,
                amount=row.amount,
                reason=row.reason,
                cause=row.cause or self.cause,
                expires_at=row.expires_at,
                note=row.note,
            )
            for index, row in rows.items()
        ]
        posted = await ledger.adjust_many(actor, self.program, lines, keep=self.now + KEPT) if lines else []
        for index, one in zip(rows, posted, strict=True):
            self.found[index] = one if isinstance(one, Refusal) else RowPosted(one.amount, replayed=False)

    def outcomes(self) -> list[Outcome]:
        """What became of each row, in order; a repetition inside the batch answers as its first, replayed."""
        for index, before in self.repeats.items():
            first = self.found[before]
            self.found[index] = first if isinstance(first, Refusal) else RowPosted(first.amount, replayed=True)
        return [self.found[index] for index in range(len(self.rows))]
