"""All reads of members and of the organisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from engage.base import db
from engage.base.actor import READING_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.readings import Read, Reading, moment_of, read_alone, there
from engage.domains.members.errors import UnknownChannel
from engage.domains.members.models import Channel, Program, Store
from engage.domains.members.types import (
    IdentityRef,
    KnownIdentity,
    MemberRecord,
    MemberState,
    PlaceRecord,
    ProgramRecord,
)

LIST_MAX = 500
"""Programs, stores and channels of one organisation that a list shows; they are set up by hand."""


def _member(value: dict[str, Any]) -> MemberRecord:
    birthday = value["birthday"]
    return MemberRecord(
        id=UUID(value["id"]),
        state=MemberState(value["state"]),
        display_name=value["display_name"],
        locale=value["locale"],
        birthday=None if birthday is None else date.fromisoformat(birthday),
        created_at=datetime.fromisoformat(value["created_at"]),
        identities=tuple(
            KnownIdentity(one["channel"], one["identifier"], moment_of(one["verified_at"]))
            for one in value["identities"]
        ),
    )


PROFILES: Reading[MemberRecord | None] = Reading("SELECT key, value FROM engage.members_profiles($1)", _member, None)
"""Profiles of members by id."""


# The rate is text, since a JSON number would lose decimals.
_PROGRAMS = """
SELECT p.id::text, (to_jsonb(p) || jsonb_build_object('points_per_unit', p.points_per_unit::text))::json
  FROM programs p WHERE p.id = ANY ($1)
"""


def _place(value: list[str]) -> PlaceRecord:
    place_id, code, name = value
    return PlaceRecord(UUID(place_id), code, name)


PROGRAMS: Reading[ProgramRecord | None] = Reading(_PROGRAMS, lambda value: _program(Program(**value)), None)
"""Programs by their ids."""

STORES: Reading[PlaceRecord | None] = Reading(
    "SELECT s.id::text, json_build_array(s.id, s.code, s.name) FROM stores s WHERE s.id = ANY ($1)", _place, None
)
"""Stores by their ids."""

CHANNELS: Reading[PlaceRecord | None] = Reading(
    "SELECT c.id::text, json_build_array(c.id, c.code, c.name) FROM channels c WHERE c.id = ANY ($1)", _place, None
)
"""Channels by their ids."""


async def load_ids(refs: Sequence[IdentityRef]) -> dict[IdentityRef, UUID]:
    """Who is known under these identities (normalised), for commands of domains above."""
    rows = await db.fetch(
        "SELECT channel, identifier, member_id FROM engage.members_by_identity($1, $2)",
        [ref.channel for ref in refs],
        [ref.identifier for ref in refs],
    )
    return {IdentityRef(row["channel"], row["identifier"]): row["member_id"] for row in rows}


def _program(row: Program) -> ProgramRecord:
    return ProgramRecord(
        id=row.id,
        code=row.code,
        name=row.name,
        time_zone=row.time_zone,
        money_currency=row.money_currency,
        points_per_unit=row.points_per_unit,
        points_valid_for=row.points_valid_for,
        created_at=row.created_at,
    )


async def get_program(code: str) -> ProgramRecord:
    """A program by code; its settings are no secret to anyone who is signed in. Raises NotFound."""
    row = await Program.get_or_none(code=code)
    if row is None:
        raise NotFound(f"There is no program {code!r}.", path=["program"])
    return _program(row)


async def get_program_by_id(program_id: UUID, *, read: Read = read_alone) -> ProgramRecord:
    """A program by id, as open as by its code. Raises NotFound."""
    return there(await read(PROGRAMS, program_id), "program")


async def get_store(actor: Actor, store_id: UUID, *, read: Read = read_alone) -> PlaceRecord:
    """A store by id. Raises Forbidden, NotFound."""
    require(actor, READING_ROLES, Scope.MEMBERS_READ)
    return there(await read(STORES, store_id), "store")


async def get_channel(channel_id: UUID, *, read: Read = read_alone) -> PlaceRecord:
    """A channel by id; no secret to anyone who is signed in. Raises NotFound."""
    return there(await read(CHANNELS, channel_id), "channel")


async def list_programs() -> list[ProgramRecord]:
    """All programs, by code; at most LIST_MAX."""
    return [_program(row) for row in await Program.all().order_by("code").limit(LIST_MAX)]


async def list_stores(actor: Actor, program: str) -> list[PlaceRecord]:
    """The stores of a program, by code. Raises Forbidden, NotFound."""
    require(actor, READING_ROLES, Scope.MEMBERS_READ)
    found = await get_program(program)
    rows = await Store.filter(program_id=found.id).order_by("code").limit(LIST_MAX)
    return [PlaceRecord(row.id, row.code, row.name) for row in rows]


async def list_channels() -> list[PlaceRecord]:
    """The organisation's channels, by code."""
    return [PlaceRecord(row.id, row.code, row.name) for row in await Channel.all().order_by("code").limit(LIST_MAX)]


async def check_channels(codes: set[str], *, path: list[str]) -> None:
    """Raise UnknownChannel, which lists the known ones, when one of `codes` is not a channel."""
    known = {place.code for place in await list_channels()}
    for code in sorted(codes - known):
        raise UnknownChannel(
            f"There is no channel {code!r}; known are {', '.join(sorted(known))}.", path=path, known=sorted(known)
        )


async def check_program(code: str, *, path: str = "program") -> None:
    """Raise NotFound, which names the field, where there is no such program."""
    if not await Program.exists(code=code):
        raise NotFound(f"There is no program {code!r}.", path=[path])


async def check_store(program: str, code: str, *, path: list[str]) -> None:
    """Raise NotFound, which names the field, where the program has no such store."""
    if code not in await store_codes((await get_program(program)).id):
        raise NotFound(f"Program {program!r} has no store {code!r}.", path=path)


async def store_codes(program_id: UUID) -> frozenset[str]:
    """Codes of the stores of a program."""
    rows: list[asyncpg.Record] = await db.fetch("SELECT code FROM stores WHERE program_id = $1", program_id)
    return frozenset(row["code"] for row in rows)
