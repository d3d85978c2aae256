"""Reading the audit log: for admins, newest first, each filter on an index of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from engage.base import db
from engage.base.actor import ADMIN_ROLES, Actor, Role, require
from engage.base.audit import COLUMNS, OK
from engage.base.ids import first_id
from engage.base.origin import Via
from engage.base.paging import Page, page_of

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


async def list_audit(actor: Actor, wanted: AuditFilter, below: UUID | None, first: int) -> Page[AuditRecord]:
    """Rows in the order in which they were made, newest first, those below an id. Raises Forbidden."""
    require(actor, ADMIN_ROLES)
    conditions, values = _conditions(wanted, below)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = await db.fetch(
        f"SELECT {', '.join(COLUMNS)} FROM audit_log{where} ORDER BY id DESC LIMIT ${len(values) + 1}",  # noqa: S608
        *values,
        first + 1,
    )
    return page_of([_record(row) for row in rows], first)


def _conditions(wanted: AuditFilter, below: UUID | None) -> tuple[list[str], list[object]]:
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
        ("id < {}", below),
    ]
    asked = [(condition, value) for condition, value in given if value is not None]
    return [text.format(f"${nth}") for nth, (text, _) in enumerate(asked, 1)], [value for _, value in asked]


def _record(row: asyncpg.Record) -> AuditRecord:
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
