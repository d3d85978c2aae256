"""All reads of points policies. They are published: everyone who is signed in may read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, READING_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.listings import Listing
from engage.base.paging import NEWEST_VERSION_FIRST, Page, Window, encode_cursor
from engage.domains.ledger.policy import rules
from engage.domains.ledger.policy.types import (
    ExpiryKind,
    ExpiryMonth,
    ExpiryOutlook,
    ExpiryPeriod,
    ExpiryRound,
    MovedExpiry,
    PolicyRecord,
    PolicyTerms,
    ReturnedKind,
)
from engage.domains.ledger.types import TransferKind
from engage.domains.members.queries import check_program, get_program

_PREVIEW = "SELECT engage.ledger_preview($1, $2, $3, $4, $5)"

_KINDS: dict[str, Callable[[str], object]] = {
    "expiry_kind": ExpiryKind,
    "expiry_round": ExpiryRound,
    "expiry_period": ExpiryPeriod,
    "expiry_activities": lambda text: tuple(TransferKind(one) for one in orjson.loads(text)),
    "returned_kind": ReturnedKind,
    "gift_expiry": MovedExpiry,
    "exchange_expiry": MovedExpiry,
}
"""What is made of a column's text; other columns hold their values as they are."""


def record_of(row: Mapping[str, Any], currency: str) -> PolicyRecord:
    """A row of the table, or of `engage.ledger_policy`, of a program with this currency of money."""
    terms = {one.name: row[one.name] for one in fields(PolicyTerms)}
    terms |= {name: kind(terms[name]) for name, kind in _KINDS.items() if terms[name] is not None}
    terms["top_up_bonus"] = rules.bonus_of(orjson.loads(row["top_up_bonus"]), currency)
    return PolicyRecord(
        program=row["program_code"],
        version=row["version"],
        effective_at=row["effective_at"],
        published_at=row["published_at"],
        published_by=row["published_by"],
        terms=PolicyTerms(**terms),
    )


_POLICIES = Listing(
    NEWEST_VERSION_FIRST,
    """
    SELECT p.*, engage.program_money(p.program_code) AS money FROM points_policies p
     WHERE p.program_code = $3 AND p.version {past} $2 ORDER BY p.version {sort} LIMIT $1
    """,
    row=lambda row: record_of(row, row["money"]),
    key=lambda record: (record.version,),
)


async def get_points_policy(program: str, at: datetime | None = None) -> PolicyRecord:
    """The version that holds at a moment, now if it is left out, by what is published now. Raises NotFound."""
    currency = (await get_program(program)).money_currency
    [row] = await db.fetch("SELECT * FROM engage.ledger_policy($1, $2)", program, at or clock.now())
    return record_of(row, currency)


async def get_version(program: str, version: int) -> PolicyRecord:
    """One published version, for the command that answers it. Raises NotFound."""
    page = await list_points_policies(program, Window(1, cursor=encode_cursor(version + 1)))
    return page.rows[0]


async def list_points_policies(program: str, window: Window) -> Page[PolicyRecord]:
    """Published versions, newest first. Raises InvalidInput, NotFound."""
    await check_program(program)
    return await _POLICIES.page(window, program)


async def get_expiry_outlook(
    actor: Actor, *, program: str, member_id: UUID | None = None, version: int | None = None
) -> ExpiryOutlook:
    """What would expire when, for a member or, for those who manage a program, for all of it.

    With `version`, beside it as if that version's rules held for the points that are there.
    Raises Forbidden, NotFound.
    """
    if member_id is None:
        require(actor, ADMIN_ROLES, Scope.REPORTS_READ)
    else:
        require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    await check_version(program, version)
    return await load_outlook(program, member_id, version, "P0D")


async def check_version(program: str, version: int | None) -> None:
    """Raise NotFound where there is no such program, or a version is named that it has not published."""
    await check_program(program)
    known = "SELECT EXISTS (SELECT FROM points_policies WHERE program_code = $1 AND version = $2)"
    if version is not None and not await db.fetch_value(known, program, version):
        raise NotFound(f"Program {program!r} has published no version {version}.", path=["version"])


async def load_outlook(program: str, member_id: UUID | None, version: int | None, notice: str) -> ExpiryOutlook:
    """What expires when, and by a version that leaves everyone `notice`."""
    value: dict[str, Any] = orjson.loads(
        await db.fetch_value(_PREVIEW, program, member_id, version, notice, clock.now())
    )
    months = tuple(
        ExpiryMonth(None if month is None else date.fromisoformat(month), present, proposed)
        for month, present, proposed in value["lines"]
    )
    return ExpiryOutlook(months, value["sooner"], value["later"], value["lots"])
