"""Who may follow a piece of work."""

from __future__ import annotations

from uuid import UUID

from engage.base import db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, may, require


async def require_follower(actor: Actor, job_id: UUID) -> None:
    """Let pass an admin, and who asked for this job: whatever their role, they see what becomes of it.

    Raises Forbidden, to all others with the same words whether or not there is such work.
    """
    if may(actor, ADMIN_ROLES):
        require(actor, ADMIN_ROLES, Scope.JOBS_READ)
        return
    if await db.fetch_value("SELECT asked_by FROM job_runs WHERE id = $1", job_id) != actor.id:
        require(actor, ADMIN_ROLES, Scope.JOBS_READ)
