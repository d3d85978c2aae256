"""All writes of points policies: publishing a version, and having it hold for the points that are there."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.base.errors import InvalidInput, NotFound
from engage.base.idempotency import find_answer, keep_until, make_key, save_answer
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.ledger.policy import rules
from engage.domains.ledger.policy.errors import PreviewOutdated
from engage.domains.ledger.policy.events import PolicyPublished
from engage.domains.ledger.policy.models import ExpiryPreview, PointsPolicy
from engage.domains.ledger.policy.queries import check_version, get_version, load_outlook
from engage.domains.ledger.policy.types import PolicyTerms, PreviewRecord, PublishedPolicy
from engage.domains.members.queries import get_program
from engage.domains.members.rules import check_duration
from engage.outbox import ask, record

_PUBLISHING = 0x706F6C696379  # "policy": versions are counted by one command at a time

EXPIRY_JOB = "ledger.apply_expiry"
PREVIEW_HOLDS = timedelta(days=1)
"""How long what was shown can be had done."""

_NEXT = "SELECT coalesce(max(version), 0) + 1 FROM points_policies WHERE program_code = $1"


@db.command
async def publish_points_policy(
    actor: Actor, *, program: str, policy: PolicyTerms, idempotency_key: str, effective_at: datetime | None = None
) -> PublishedPolicy:
    """Publish the next version of a program's policy, which holds from `effective_at` on, or at once.

    It stands for all rules: what it leaves out is not kept from the version before. What is planned under an older
    number and has not begun by then never holds. Lots that there are keep the end that they have.
    Raises Forbidden, InvalidInput, NotFound, IdempotencyConflict. Says PolicyPublished.
    """
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    now = clock.now()
    rules.check_terms(policy)
    rules.check_effective(effective_at, now)
    found = await get_program(program)
    columns = _columns(policy, found.money_currency)
    key = make_key(actor.id, "publish_points_policy", idempotency_key, [program, columns, effective_at])
    await db.execute("SELECT pg_advisory_xact_lock($1)", _PUBLISHING)
    if (first := await find_answer(key)) is not None:
        return PublishedPolicy(await get_version(program, first["version"]), first["position"], replayed=True)
    rules.refuse_past(effective_at or now, now)
    version = await db.fetch_value(_NEXT, program)
    row = PointsPolicy(
        id=new_id(),
        program_id=found.id,
        program_code=program,
        version=version,
        effective_at=effective_at or now,
        published_at=now,
        published_by=actor.id,
        **columns,
    )
    await row.save(force_create=True)
    [position] = await record(PolicyPublished(program, version, row.effective_at))
    until = keep_until(now, settings().idempotency_keep_days)
    await save_answer(key, {"version": version, "position": position}, until)
    return PublishedPolicy(await get_version(program, version), position, replayed=False)


@db.command
async def preview_expiry_change(actor: Actor, *, program: str, version: int, notice: str = "P30D") -> PreviewRecord:
    """Show what a published version would do to the points that are there, so that it can be had done.

    What would come sooner comes no sooner than after `notice`. Ends that were given by hand stay.
    Raises Forbidden, InvalidInput, NotFound.
    """
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    check_duration(notice, path=["notice"])
    await check_version(program, version)
    outlook = await load_outlook(program, None, version, notice)
    row = ExpiryPreview(
        id=new_id(),
        program_code=program,
        version=version,
        notice=notice,
        lots=outlook.lots,
        sooner=outlook.sooner,
        later=outlook.later,
        previewed_at=clock.now(),
        previewed_by=actor.id,
    )
    await row.save(force_create=True)
    return PreviewRecord(row.id, program, version, notice, outlook, row.previewed_at)


@db.command
async def apply_expiry_change(actor: Actor, *, preview_id: UUID) -> UUID:
    """Have done what a preview has shown, as a job; answers its id, the same one when asked again.

    Raises Forbidden, NotFound, PreviewOutdated. The job says `ledger.expiry_changed.v1` to each member concerned.
    """
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    row = await ExpiryPreview.select_for_update().get_or_none(id=preview_id)
    if row is None:
        raise NotFound("There is no such preview.", path=["previewId"])
    if row.job_id is not None:
        return row.job_id
    in_force = await db.fetch_value("SELECT (engage.ledger_policy($1, $2)).version", row.program_code, clock.now())
    if row.version != in_force or clock.now() > row.previewed_at + PREVIEW_HOLDS:
        raise PreviewOutdated(
            "A preview holds for a day and as long as its version is in force: make another.",
            path=["previewId"],
            in_force=in_force,
        )
    earliest = await db.fetch_value(
        "SELECT engage.ledger_after($1, $2, $3)", row.program_code, clock.now(), row.notice
    )
    args = {"program": row.program_code, "version": row.version, "earliest": earliest.isoformat()}
    asked = await ask(actor, EXPIRY_JOB, args, key=row.program_code)
    if not asked.new:
        raise InvalidInput("Ends of this program are being changed already: wait for that job.", path=["previewId"])
    row.job_id = asked.id
    await row.save(update_fields=["job_id"])
    return asked.id


def _columns(terms: PolicyTerms, currency: str) -> dict[str, Any]:
    """The rules as their table has them."""
    columns = {one.name: getattr(terms, one.name) for one in fields(PolicyTerms)}
    columns["expiry_activities"] = [kind.value for kind in terms.expiry_activities]
    columns["top_up_bonus"] = rules.bonus_in_minor_units(terms.top_up_bonus, currency)
    return columns
