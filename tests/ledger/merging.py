"""A merge as the life cycle of members is to do it: under both locks, in one transaction."""

from __future__ import annotations

from uuid import UUID

from engage.base import db
from engage.base.actor import SYSTEM
from engage.domains.ledger.service import merge_accounts
from engage.domains.members.service import lock_members


@db.command
async def merge(absorbed: UUID, survivor: UUID) -> None:
    await lock_members([absorbed, survivor])
    await db.execute("UPDATE members SET merged_into_id = $2 WHERE id = $1", absorbed, survivor)
    await merge_accounts(SYSTEM, absorbed_id=absorbed, survivor_id=survivor)
