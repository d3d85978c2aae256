"""The rows of the audit log that tests look for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson

from engage.api.relay import parts_of_id
from engage.base import db
from engage.base.actor import Role
from engage.base.audit import COLUMNS
from engage.base.ids import new_id

Row = dict[str, Any]


@asynccontextmanager
async def recording(*, via: str | None = None) -> AsyncIterator[list[Row]]:
    """The rows that were written in the block, in order, once it has ended; only those that came by one way."""
    rows: list[Row] = []
    mark = new_id()
    yield rows
    found = await db.fetch(
        f"SELECT {', '.join(COLUMNS)} FROM audit_log WHERE id > $1 AND ($2::text IS NULL OR via = $2) ORDER BY id",  # noqa: S608
        mark,
        via,
    )
    rows += [dict(row) | {"subjects": orjson.loads(row["subjects"])} for row in found]


def told(rows: list[Row]) -> list[tuple[str, str]]:
    """What was done, with which result."""
    return [(row["command"], row["result"]) for row in rows]


def snake(name: str) -> str:
    """The name of a command as services have it, of a mutation's."""
    return re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", name)


def check_recorded(rows: list[Row], mutation: str, role: Role, result: str, given: Mapping[str, Any]) -> None:
    """One row says who has done what to whom, by HTTP from here, and what became of it."""
    [row] = rows
    assert (row["command"], row["result"], row["role"]) == (snake(mutation), result, role)
    assert role is Role.MEMBER or row["actor"] == f"{role.lower()}-1"
    assert row["address"] == "127.0.0.1"
    assert str(UUID(row["request_id"])) == row["request_id"]
    ids = {name: parts[1] for name, value in given.items() for one in _each(value) if (parts := parts_of_id(one))}
    assert {str(one) for one in ids.values()} <= {one for value in row["subjects"].values() for one in _each(value)}
    if "memberId" in ids:
        assert row["member_id"] == ids["memberId"]


def _each(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
