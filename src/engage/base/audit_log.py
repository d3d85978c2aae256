"""Reading the audit log: for admins, newest first, each filter on an index of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from engage.base import db
from engage.base.actor import ADMIN_ROLES, Actor, Role, Scope, require
from engage.base.audit import COLUMNS, OK
from engage.base.ids import first_id
from engage.base.listings import Listing
from engage.base.origin import Via
from engage.base.paging import NEWEST_FIRST, Page, Window
from engage.base.readings import Read, Reading, read_alone, there

CLOCKS_APART = timedelta(minutes=1)
"""So much may lie between a row's moment and that in its id, which the index is in the order of."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted; what is None is not looked at. `since` is the first moment, `until` the first after."""

    actor: str | None = None
    role: Role | None = None
    command: str | None = None
    member_id: UUID | None = None
    result: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One command: who did what to whom, from where, with which result."""

    id: UUID
    at: datetime
    actor: str
    role: Role
    via: Via
    command: str
    subjects: dict[str, Any]
    member_id: UUID | None
    result: str
    request_id: str | None
    address: str | None
    credential: str | None


async def list_audit(actor: Actor, wanted: AuditFilter, window: Window) -> Page[AuditRecord]:
    """Rows in the order in which they were made, newest first. Raises Forbidden, InvalidInput."""
    require(actor, ADMIN_ROLES, Scope.AUDIT_READ)
    conditions, values = _conditions(wanted)
    listing: Listing[AuditRecord] = Listing(
        NEWEST_FIRST,
        f"SELECT {', '.join(COLUMNS)} FROM audit_log WHERE {' AND '.join(conditions)} ORDER BY id {{sort}} LIMIT $1",  # noqa: S608 -- ours
        row=_record,
        key=lambda record: (record.id,),
    )
    async with _planned_anew():
        page = await listing.page(window, *values)

    async def count() -> int | None:
        async with _planned_anew():
            return await page.count()

    return replace(page, count=count)


async def get_audit_entry(actor: Actor, entry_id: UUID, *, read: Read = read_alone) -> AuditRecord:
    """One row. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.AUDIT_READ)
    return there(await read(ENTRIES, entry_id), "entry of the audit log")


def _conditions(wanted: AuditFilter) -> tuple[list[str], list[object]]:
    """The conditions with their parameters; a statement has those that it needs, so that it uses their index."""
    given: list[tuple[str, object]] = [
        ("actor = {}", wanted.actor),
        ("role = {}", wanted.role),
        ("command = {}", wanted.command),
        ("member_id = {}", wanted.member_id),
        ("result = {}" if wanted.result == OK else "result = {} AND result <> 'OK'", wanted.result),
        ("at >= {}", wanted.since),
        ("id >= {}", wanted.since and first_id(wanted.since - CLOCKS_APART)),
        ("at < {}", wanted.until),
        ("id < {}", wanted.until and first_id(wanted.until + CLOCKS_APART)),
    ]
    asked = [(condition, value) for condition, value in given if value is not None]
    conditions = [text.format(f"${nth}") for nth, (text, _) in enumerate(asked, 3)]
    return ["id {past} $2", *conditions], [value for _, value in asked]


@asynccontextmanager
async def _planned_anew() -> AsyncIterator[None]:
    """Have statements planned for their values: which index is right depends on how rare what is looked for is."""
    async with db.transaction():
        await db.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        yield


def _record(row: Any) -> AuditRecord:  # noqa: ANN401 -- the driver's own
    return AuditRecord(
        id=row["id"],
        at=row["at"],
        actor=row["actor"],
        role=Role(row["role"]),
        via=Via(row["via"]),
        command=row["command"],
        subjects=orjson.loads(row["subjects"]),
        member_id=row["member_id"],
        result=row["result"],
        request_id=row["request_id"],
        address=row["address"],
        credential=row["credential"],
    )


def _record_of_json(value: dict[str, Any]) -> AuditRecord:
    member = value["member_id"]
    typed = {
        "id": UUID(value["id"]),
        "at": datetime.fromisoformat(value["at"]),
        "subjects": orjson.dumps(value["subjects"]),
        "member_id": None if member is None else UUID(member),
    }
    return _record(value | typed)


ENTRIES: Reading[AuditRecord | None] = Reading(
    "SELECT a.id::text, to_json(a) FROM audit_log a WHERE a.id = ANY ($1)", _record_of_json, None
)
"""Rows by their ids."""
