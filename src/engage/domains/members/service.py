"""All writes of members and of the organisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from tortoise.exceptions import IntegrityError

from engage.base import audit, clock, db
from engage.base.actor import ADMIN_ROLES, STAFF_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.ids import new_id
from engage.base.readings import Fetch, fetch_together
from engage.domains.members import queries, rules
from engage.domains.members.errors import AlreadyExists, IdentityTaken
from engage.domains.members.events import MemberFrozen, MemberRegistered, MemberThawed
from engage.domains.members.models import Channel, Program, Store
from engage.domains.members.types import (
    IdentityRef,
    LockedMember,
    MemberRecord,
    MemberState,
    PlaceRecord,
    ProgramRecord,
)
from engage.outbox import record

DEFAULT_LOCALE = "en"


@db.command
async def register_member(
    actor: Actor,
    *,
    identities: Sequence[IdentityRef],
    display_name: str | None = None,
    locale: str = DEFAULT_LOCALE,
    birthday: date | None = None,
) -> MemberRecord:
    """Make a member who is known under `identities`.

    Raises Forbidden, InvalidInput, UnknownChannel, IdentityTaken. Says MemberRegistered.
    """
    require(actor, STAFF_ROLES, Scope.MEMBERS_WRITE)
    now = clock.now()
    clean = rules.check_identities(list(identities))
    name = None if display_name is None else rules.check_name(display_name, path="displayName")
    rules.check_locale(locale)
    rules.check_birthday(birthday, now.date())
    await queries.check_channels({ref.channel for ref in clean}, path=["identities", "channel"])
    member_id = new_id()
    audit.about(member_id)
    await db.execute(
        "INSERT INTO members (id, state, display_name, locale, birthday, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        member_id, MemberState.ACTIVE, name, locale, birthday, now,
    )  # fmt: skip
    if await _add_identities([(member_id, ref) for ref in clean]) < len(clean):
        raise IdentityTaken("Another member is known under one of these identities.", path=["identities"])
    await record(MemberRegistered(member_id, now))
    return await get_record(member_id)


async def get_record(member_id: UUID) -> MemberRecord:
    """A member's profile, for commands that answer with it. Raises NotFound."""
    [found] = await fetch_together([Fetch(queries.PROFILES, (member_id,))])
    if str(member_id) not in found:
        raise NotFound("There is no such member.", path=["memberId"])
    member: MemberRecord = found[str(member_id)]
    return member


async def _add_identities(owned: Sequence[tuple[UUID, IdentityRef]]) -> int:
    """Store identities, sorted so that two tills never deadlock; answers how many were free."""
    rows = sorted(owned, key=lambda row: (row[1].channel, row[1].identifier))
    tag = await db.execute(
        "INSERT INTO identities (id, member_id, channel, identifier, created_at)"
        " SELECT i, m, c, n, $5 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS u (i, m, c, n)"
        " ON CONFLICT (channel, identifier) DO NOTHING",
        [new_id() for _ in rows],
        [member_id for member_id, _ in rows],
        [ref.channel for _, ref in rows],
        [ref.identifier for _, ref in rows],
        clock.now(),
    )
    return db.rows_affected(tag)


@db.command
async def ensure_members(refs: Sequence[IdentityRef]) -> tuple[dict[IdentityRef, UUID], int]:
    """The members of these identities (normalised), made where nobody is known, and how many were made.

    For commands of domains above. Says MemberRegistered for each new one. Repeats itself when another till registers
    the same person meanwhile.
    """
    known = await queries.load_ids(refs)
    missing = sorted({ref for ref in refs if ref not in known}, key=lambda ref: (ref.channel, ref.identifier))
    if not missing:
        return known, 0
    now = clock.now()
    made = {ref: new_id() for ref in missing}
    await db.execute(
        "INSERT INTO members (id, state, locale, created_at) SELECT m, $2, $3, $4 FROM unnest($1::uuid[]) AS m",
        list(made.values()), MemberState.ACTIVE, DEFAULT_LOCALE, now,
    )  # fmt: skip
    if await _add_identities([(member_id, ref) for ref, member_id in made.items()]) < len(made):
        raise db.Retry("Someone else registered one of these members just now.")
    await record(*(MemberRegistered(member_id, now) for member_id in made.values()))
    return known | made, len(made)


async def lock_members(member_ids: Sequence[UUID]) -> dict[UUID, MemberState]:
    """Take the locks under which anything of these members is moved, in sorted order; answers their states."""
    rows = await db.fetch("SELECT id, state FROM engage.members_lock_all($1)", sorted(set(member_ids)))
    return {row["id"]: MemberState(row["state"]) for row in rows}


async def lock_named(member_ids: Sequence[UUID]) -> dict[UUID, LockedMember]:
    """The same for members as they were named, following merges to the survivor; unknown ones are left out."""
    rows = await db.fetch("SELECT * FROM engage.members_lock_named($1)", sorted(set(member_ids)))
    return {row["named"]: LockedMember(row["id"], MemberState(row["state"]), row["frozen_at"]) for row in rows}


async def lock_member(member_id: UUID) -> LockedMember:
    """Take the lock of a member, following merges to the survivor. Raises NotFound."""
    row = await db.fetch_row(
        "SELECT l.id, l.state, engage.member_frozen_at(l.id) AS frozen_at FROM engage.members_lock($1) l", member_id
    )
    if row is None:
        raise NotFound("There is no such member.", path=["memberId"])
    return LockedMember(row["id"], MemberState(row["state"]), row["frozen_at"])


async def mark_frozen(member_id: UUID, reason: str) -> None:
    """Make a member FROZEN from now on, under their lock. Says MemberFrozen."""
    now = clock.now()
    await db.execute("UPDATE members SET state = 'FROZEN', frozen_at = $2 WHERE id = $1", member_id, now)
    await record(MemberFrozen(member_id, reason, now))


async def mark_thawed(member_id: UUID, reason: str) -> None:
    """Make a frozen member ACTIVE again, under their lock. Says MemberThawed."""
    await db.execute("UPDATE members SET state = 'ACTIVE', frozen_at = NULL WHERE id = $1", member_id)
    await record(MemberThawed(member_id, reason, clock.now()))


@db.command
async def create_program(
    actor: Actor,
    *,
    code: str,
    name: str,
    time_zone: str,
    money_currency: str,
    points_per_unit: Decimal = Decimal(1),
    points_valid_for: str | None = None,
) -> ProgramRecord:
    """Set a program up. Its ledger opens with the first movement.

    Raises Forbidden, InvalidInput, AlreadyExists.
    """
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    program = Program(
        id=new_id(),
        code=rules.check_code(code),
        name=rules.check_name(name),
        time_zone=rules.check_time_zone(time_zone).key,
        money_currency=rules.check_currency(money_currency),
        points_per_unit=rules.check_rate(points_per_unit),
        points_valid_for=rules.check_duration(points_valid_for, path=["pointsValidFor"]),
        created_at=clock.now(),
    )
    await _create(program, f"There is a program {code!r} already.")
    return await queries.get_program(code)


@db.command
async def create_store(actor: Actor, *, program: str, code: str, name: str) -> PlaceRecord:
    """Add a shop to a program. Raises Forbidden, InvalidInput, NotFound, AlreadyExists."""
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    owner = await queries.get_program(program)
    store = Store(id=new_id(), program_id=owner.id, code=rules.check_code(code), name=rules.check_name(name))
    await _create(store, f"There is a store {code!r} in this program already.")
    return PlaceRecord(store.id, store.code, store.name)


@db.command
async def create_channel(actor: Actor, *, code: str, name: str) -> PlaceRecord:
    """Add a channel to the organisation. Raises Forbidden, InvalidInput, AlreadyExists."""
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    channel = Channel(id=new_id(), code=rules.check_code(code), name=rules.check_name(name))
    await _create(channel, f"There is a channel {code!r} already.")
    return PlaceRecord(channel.id, channel.code, channel.name)


async def _create(row: Program | Store | Channel, taken: str) -> None:
    try:
        async with db.savepoint():
            await row.save(force_create=True)
    except IntegrityError as error:
        raise AlreadyExists(taken, path=["code"]) from error
