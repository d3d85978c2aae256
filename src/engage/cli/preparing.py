"""What `engage dev` does to the database before it is used, and the tokens that it hands out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from engage.base import crypto
from engage.base.actor import Role
from engage.base.errors import Unavailable
from engage.base.settings import Settings
from engage.cli.environment import fail
from engage.migrations import migrate
from engage.seed import seed_basics, seed_demo
from engage.wiring import connected

TOKENS_HOLD = timedelta(days=7)


def prepare(config: Settings) -> dict[str, str]:
    """Migrate and seed; answers a token for each role, the member's for the demo member.

    Ends the program with a sentence when the database or the signing secret does not do.
    """
    try:
        crypto.check_secret(config)
        return _tokens(config, asyncio.run(_filled(config)))
    except (Unavailable, ValueError) as error:
        fail(str(error))


async def _filled(config: Settings) -> UUID:
    await migrate(config.database_url, config.database_role)
    async with connected(config, "engage-dev"):
        await seed_basics()
        return await seed_demo()


def _tokens(config: Settings, demo_member: UUID) -> dict[str, str]:
    made = {
        role.lower(): crypto.issue_token(config, role, subject=f"dev-{role.lower()}", valid_for=TOKENS_HOLD)
        for role in (Role.STAFF, Role.MODERATOR, Role.ADMIN, Role.SERVICE)
    }
    member = crypto.issue_token(
        config, Role.MEMBER, subject=f"member:{demo_member}", member_id=demo_member, valid_for=TOKENS_HOLD
    )
    return {"member": member} | made
