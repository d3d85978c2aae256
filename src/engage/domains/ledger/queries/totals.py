"""Figures of a program: its points and its stored value. What is outstanding follows from the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.domains.ledger.queries.records import ProgramPoints, ProgramValue
from engage.domains.ledger.types import CurrencyKind, TransferKind
from engage.domains.members.queries import get_program

Sum = Callable[..., int]


async def _totals(program: str, currency: CurrencyKind) -> tuple[Any, Sum]:
    """The row of a program's figures, and the sum of what kinds of transfers have moved."""
    row = await db.fetch_row("SELECT * FROM engage.ledger_totals($1, $2, $3)", program, currency, clock.now())
    if row is None:
        raise NotFound(f"There is no program {program!r}.", path=["program"])
    moved: dict[str, int] = orjson.loads(row["moved"])
    return row, lambda *kinds: sum(moved.get(kind, 0) for kind in kinds)


async def get_program_points(actor: Actor, program: str) -> ProgramPoints:
    """What a program has issued, and owes. Raises Forbidden."""
    require(actor, ADMIN_ROLES, Scope.REPORTS_READ)
    row, moved = await _totals(program, CurrencyKind.POINTS)
    kind = TransferKind
    return ProgramPoints(
        members=row["members"],
        issued=moved(kind.EARN),
        spent=moved(kind.SPEND, kind.CAPTURE),
        expired=moved(kind.EXPIRE) + row["lapsed"],
        reversed=row["reversed"],
        outstanding=row["outstanding"],
        donated=moved(kind.DONATE),
        forfeited=moved(kind.DEDUCT),
        adjusted=moved(kind.ADJUST_UP) - moved(kind.ADJUST_DOWN),
        exchanged_in=moved(kind.EXCHANGE_IN),
        exchanged_out=moved(kind.EXCHANGE_OUT),
        gifted=moved(kind.GIFT),
        fees=moved(kind.FEE),
        clawed_back=moved(kind.CLAWBACK),
        returned=moved(kind.REVERSE, kind.RESTORE),
        debt=row["debt"],
    )


async def get_program_value(actor: Actor, program: str) -> ProgramValue:
    """What members have paid into a program, and what it owes them of that. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.REPORTS_READ)
    money = (await get_program(program)).money_currency
    row, moved = await _totals(program, CurrencyKind.CASH)
    kind = TransferKind
    return ProgramValue(
        members=row["members"],
        money=money,
        topped_up=moved(kind.TOP_UP),
        bonus=moved(kind.EARN),
        paid=moved(kind.SPEND, kind.CAPTURE),
        refunded=moved(kind.REFUND),
        taken_back=moved(kind.CLAWBACK),
        returned=moved(kind.REVERSE, kind.RESTORE),
        expired=moved(kind.EXPIRE) + row["lapsed"],
        outstanding=row["outstanding"],
    )
