"""Previews of a change of ends for tests that try every operation, under known ids."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from engage.api.relay import global_id
from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.domains.ledger.policy.service import EXPIRY_JOB, publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from engage.domains.members.service import create_program

PROGRAM = "previewed"
PRESENT, OUTDATED = new_id(), new_id()

_PUT = """
    INSERT INTO expiry_previews (id, program_code, version, notice, lots, sooner, later, previewed_at, previewed_by)
      VALUES ($1, $2, 1, 'P1D', 0, 0, 0, $3, 'tests')
      ON CONFLICT (id) DO UPDATE SET job_id = NULL
"""


def preview_gid(id_: object) -> str:
    """The id as the API has it."""
    return global_id("ExpiryPreview", id_)  # type: ignore[arg-type]


async def put_previews() -> None:
    """Have a program with a published policy there, and two previews of it, one of them outdated; nothing applied."""
    if not await db.fetch_value("SELECT engage.program_id($1) IS NOT NULL", PROGRAM):
        await create_program(
            SYSTEM, code=PROGRAM, name=PROGRAM, time_zone="UTC", money_currency="EUR", points_per_unit=Decimal(1)
        )
        await publish_points_policy(
            SYSTEM, program=PROGRAM, policy=PolicyTerms(ExpiryKind.ROLLING, "P12M"), idempotency_key="first"
        )
    for one, days in ((PRESENT, 0), (OUTDATED, 2)):
        await db.execute(_PUT, one, PROGRAM, clock.now() - timedelta(days=days))
    await db.execute("DELETE FROM outbox WHERE handler = $1", EXPIRY_JOB)
