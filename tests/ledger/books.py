"""Short words for what the tests of the ledger say often."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.ids import new_id
from engage.base.paging import Page, Window
from engage.base.readings import Fetch, fetch_together, read_alone
from engage.domains.ledger import queries, service
from engage.domains.ledger.types import Balance, CurrencyKind, ExpirySchedule, Posted, TransferRecord
from engage.domains.ledger.verify import verify_ledger
from engage.domains.members.service import create_program
from tests.ledger.soundness import assert_sound

STAFF = Actor("till-7", Role.STAFF)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

_numbers = itertools.count(1)

_EVERYTHING = (
    "transfers", "entries", "allocations", "lots", "accounts", "stream_heads", "events", "outbox",
    "idempotency_answers", "currencies", "holds", "debts", "gifts", "exchange_rates", "adjustments", "top_ups",
    "transfer_notes",
)  # fmt: skip


def new_key() -> str:
    return f"key-{next(_numbers)}"


async def new_program(*, zone: str = "UTC", valid_for: str | None = None) -> str:
    """A program of its own for one test; answers its code."""
    code = f"program-{next(_numbers)}"
    await create_program(
        SYSTEM,
        code=code,
        name=code,
        time_zone=zone,
        money_currency="EUR",
        points_per_unit=Decimal(1),
        points_valid_for=valid_for,
    )
    return code


async def new_member(state: str = "ACTIVE") -> UUID:
    member_id = new_id()
    await db.execute(
        "INSERT INTO members (id, state, locale, created_at, frozen_at)"
        " VALUES ($1, $2::text, 'en', $3, CASE WHEN $2::text = 'FROZEN' THEN $3::timestamptz END)",
        member_id,
        state,
        clock.now(),
    )
    return member_id


async def earn(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> Posted:
    return await service.earn_points(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def spend(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> Posted:
    return await service.spend_points(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def balance(member_id: UUID, program: str) -> Balance:
    return await queries.get_balance(STAFF, member_id, program)


async def schedule(member_id: UUID, program: str, days: int = 100) -> ExpirySchedule:
    [found] = await fetch_together([Fetch(queries.SCHEDULES, (member_id,), (program, days, clock.now()))])
    answer: ExpirySchedule = found.get(str(member_id), queries.SCHEDULES.absent)
    return answer


async def statement_page(member_id: UUID, program: str, window: Window) -> Page[TransferRecord]:
    args = (program, CurrencyKind.POINTS, None, None, None)
    return await queries.STATEMENTS.page(read_alone, member_id, window, *args)


async def statement(member_id: UUID, program: str) -> Sequence[TransferRecord]:
    return (await statement_page(member_id, program, Window(100))).rows


async def lots(member_id: UUID, program: str) -> list[tuple[str, int, int]]:
    """State, amount and remaining of each lot, in the order in which they were made."""
    rows = await db.fetch(
        "SELECT l.state, l.amount, l.remaining FROM lots l JOIN transfers t ON t.id = l.source_id"
        " WHERE l.member_id = $1 AND t.currency_id = engage.ledger_currency($2) ORDER BY t.version_after",
        member_id,
        program,
    )
    return [tuple(row) for row in rows]


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
        for table in _EVERYTHING
    }


async def assert_whole() -> None:
    """The ledger of this database verifies."""
    report = await verify_ledger()
    assert report.first_wrong is None, str(report.first_wrong)


async def assert_all_whole() -> None:
    """The same, and the laws that verify asks in its own way."""
    await assert_sound()
    await assert_whole()


def amounts(records: Sequence[TransferRecord]) -> list[int]:
    return [record.amount for record in records]
