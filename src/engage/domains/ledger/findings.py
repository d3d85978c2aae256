"""What a verification finds: the first row that is wrong, as the functions of `sql/` tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from asyncpg.connection import Connection


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that is wrong: where it is, which rule it breaks, what is stored and what should be."""

    table: str
    id: str
    rule: str
    stored: str | None
    expected: str | None

    def __str__(self) -> str:
        """The finding as a sentence."""
        stored, expected = (value or "nothing" for value in (self.stored, self.expected))
        return f"{self.table} {self.id}: {self.rule} is {stored}, should be {expected}."


async def first_wrong(on: Connection, checks: Sequence[str], *bounds: object) -> Finding | None:
    """What the first of these functions finds that finds anything in a range."""
    given = ", ".join(f"${nth}" for nth in range(1, len(bounds) + 1))
    for check in checks:
        row = await on.fetchrow(f"SELECT * FROM engage.{check}({given})", *bounds)  # noqa: S608 -- our own names
        if row is not None:
            return _finding(row)
    return None


async def first_wrong_of(on: Connection, checks: Sequence[str], ids: Sequence[UUID]) -> Finding | None:
    """The same of single rows: each is a range of its own."""
    for check in checks:
        judged = f"LATERAL engage.{check}(r.below, r.id)"
        row = await on.fetchrow(
            f"SELECT f.* FROM unnest($1::uuid[], $2::uuid[]) AS r (below, id), {judged} AS f LIMIT 1",  # noqa: S608 -- our own names
            [below(one) for one in ids],
            ids,
        )
        if row is not None:
            return _finding(row)
    return None


def below(row_id: UUID) -> UUID:
    """What a range begins after, so that it begins with this id."""
    return UUID(int=max(row_id.int - 1, 0))


def _finding(row: asyncpg.Record) -> Finding:
    return Finding(row["in_table"], row["id"], row["rule"], row["stored"], row["expected"])
