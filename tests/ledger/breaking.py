"""Breaking a ledger by hand, in a database without the triggers and checks that would keep it right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engage.base import db
from engage.domains.ledger.verify import verify_ledger

TABLES = (
    "accounts", "transfers", "entries", "lots", "allocations", "holds", "debts", "gifts", "top_ups", "stream_heads",
    "events",
)  # fmt: skip
"""In an order in which they can be filled."""

_CHECKS = """
    SELECT conrelid::regclass::text AS name, conname FROM pg_constraint
     WHERE contype = 'c' AND conrelid = ANY ($1::text[]::regclass[])
"""


@dataclass(frozen=True)
class Case:
    """Something that is broken: the row is found by `row`, changed by `change`, and has to be named like this.

    `{x}` in any of these is the id of that name in the books. `table` may name another row than the changed one,
    after a colon.
    """

    row: str
    change: str
    rule: str
    stored: str | None
    expected: str | None
    table: str


async def unguard() -> None:
    """Let everything be changed, and remember how it was."""
    for name, check in await db.fetch(_CHECKS, list(TABLES)):
        await db.execute(f'ALTER TABLE {name} DROP CONSTRAINT "{check}"')
    for table in TABLES:
        await db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await db.execute(f"CREATE TABLE saved_{table} AS TABLE {table}")


async def restore() -> None:
    """Have everything be as it was."""
    await db.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
    for table in TABLES:
        await db.execute(f"INSERT INTO {table} SELECT * FROM saved_{table}")  # noqa: S608 -- our own names


def named(text: str, ids: Mapping[str, object]) -> str:
    """The text with ids for names."""
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


async def assert_named(case: Case, ids: Mapping[str, object]) -> None:
    """Break what the case breaks; verification finds it and names the row."""
    row = await db.fetch_value(named(case.row, ids))
    assert row is not None
    await db.execute(named(case.change, ids), row)
    table, _, told = case.table.partition(":")
    told = named(told, ids)
    if told.startswith("SELECT"):
        told = str(await db.fetch_value(told))
    found = (await verify_ledger()).first_wrong
    assert found is not None
    assert (found.table, found.id, found.rule) == (table, told or str(row), named(case.rule, ids)), str(found)
    assert found.stored == (case.stored and named(case.stored, ids))
    assert found.expected == (case.expected and named(case.expected, ids))
