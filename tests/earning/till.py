"""Short words for what the tests of earning say often."""

from __future__ import annotations

import csv
import itertools
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from engage.base import db
from engage.base.actor import SYSTEM, Actor, Role
from engage.domains.earning import service
from engage.domains.earning.csvfiles.types import FileSummary
from engage.domains.earning.importing import ImportSummary, Instructions, import_here
from engage.domains.earning.types import PurchaseInput, PurchaseResult
from engage.domains.ledger import queries as ledger
from engage.domains.ledger.queries.records import ProgramPoints
from engage.domains.members import queries as members
from engage.domains.members.service import create_program
from engage.domains.members.types import IdentityRef
from engage.domains.purchases import queries as purchases
from engage.domains.purchases.types import Order, PurchaseTotals

STAFF = Actor("till-7", Role.STAFF)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HEADER = "order_no,customer_id,date,quantity,amount"

_numbers = itertools.count(1)

TABLES = (
    "members", "identities", "purchases", "purchase_lines", "transfers", "entries", "allocations", "lots", "accounts",
    "stream_heads", "events", "currencies",
)  # fmt: skip
PROMISES = ("outbox", "job_runs", "job_results", "job_files", "job_file_parts")


async def new_program(**more: Any) -> str:
    """A program of its own for one test; answers its code."""
    code = f"program-{next(_numbers)}"
    settings = {"time_zone": "UTC", "money_currency": "USD", **more}
    await create_program(SYSTEM, code=code, name=code, **settings)
    return code


def new_card() -> IdentityRef:
    return IdentityRef("card", f"card-{next(_numbers)}")


def an_order(order_no: str | None = None, amount: str = "12.50", **more: Any) -> Order:
    settings = {"purchased_at": NOON, "channel": "pos", **more}
    return Order(order_no=order_no or f"order-{next(_numbers)}", amount=Decimal(amount), **settings)


async def buy(program: str, member: IdentityRef, order: Order, actor: Actor = STAFF) -> PurchaseResult:
    return await service.record_purchase(actor, program=program, member=member, order=order)


async def buy_many(program: str, *rows: tuple[IdentityRef, Order]) -> list[Any]:
    inputs = [PurchaseInput(member, order) for member, order in rows]
    return await service.record_purchases(STAFF, program=program, rows=inputs)


async def member_of(card: IdentityRef) -> UUID | None:
    return (await members.load_ids([card])).get(card)


async def totals(program: str) -> tuple[PurchaseTotals, ProgramPoints]:
    """What programTotals shows."""
    record = await members.get_program(program)
    return await purchases.get_totals(SYSTEM, record.id), await ledger.get_program_points(SYSTEM, program)


async def events(member_id: UUID) -> list[tuple[int, str, dict[str, Any]]]:
    """Position, name and data of the member's events."""
    rows = await db.fetch(
        "SELECT position, name, data FROM events WHERE stream = 'member:' || $1::uuid ORDER BY position", member_id
    )
    return [(row["position"], row["name"], orjson.loads(row["data"])) for row in rows]


async def everything() -> dict[str, str]:
    """A digest of each table: two that are equal tell that nothing was changed between them."""
    return {
        table: await db.fetch_value(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")  # noqa: S608
        for table in TABLES + PROMISES
    }


def a_file(folder: Path, *rows: str, header: str = HEADER, name: str = "orders.csv") -> Path:
    file = folder / name
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


async def take(program: str, file: Path, *, actor: Actor = STAFF, **more: Any) -> ImportSummary:
    """Import a file: `told`, `stop` and `rejects_path` are of the way, anything else of the instructions."""
    way = {name: more.pop(name) for name in ("told", "stop", "rejects_path") if name in more}
    return await import_here(actor, file, Instructions(program=program, **more), **way)


def rejected(summary: FileSummary) -> list[tuple[int, str]]:
    """Line and reason of each row in the file of rejected rows."""

    assert summary.rejects_path is not None
    with summary.rejects_path.open(encoding="utf-8", newline="") as file:
        return [(int(row["rejected_line"]), row["rejected_reason"]) for row in csv.DictReader(file)]
