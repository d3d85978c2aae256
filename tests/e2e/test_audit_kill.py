"""A gateway that is killed between an effect and its answer: what was done is recorded, and nothing else is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from engage.api.relay import global_id
from engage.base.actor import SYSTEM, Role
from engage.base.crypto import issue_token
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.seed import seed_basics
from engage.wiring import connected as wired
from tests.api.clients import DEADLINE_S
from tests.api.test_shutdown import engage_serve
from tests.e2e.spending import SPEND, post
from tests.outbox.working import until

ADJUST = """mutation ($input: AdjustPointsInput!) { adjustPoints(input: $input) { __typename } }"""
KINDS = {"spend_points": "SPEND", "adjust_points": "ADJUST_UP"}
CLIENTS = 8
DONE_BEFORE = 40

SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE application_name = 'engage-gateway' AND datname = current_database()
"""
EFFECTS = "SELECT count(*) FROM transfers WHERE kind = $1"
ROWS = "SELECT count(*) FROM audit_log WHERE command = $1 AND result = 'OK' AND via = 'HTTP'"


async def until_killed(url: str, token: str, query: str, member: str) -> None:
    """One client, who asks again and again until nobody answers."""
    async with httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as http:
        try:
            while True:
                given = {"memberId": member, "amount": 1, "program": "default", "idempotencyKey": str(new_id())}
                reason = {"reason": "CORRECTION"}
                await post(http, url, token, query, {"input": given | reason})
        except httpx.HTTPError:
            return


@pytest.mark.parametrize("round_", range(3))
async def test_effects_and_rows_are_the_same_after_a_kill(config: Settings, tmp_path: Path, round_: int) -> None:
    async with wired(config, "engage-test"):
        await seed_basics()
        person = await members.register_member(SYSTEM, identities=[IdentityRef("card", f"KILLED-{round_}")])
        await ledger.earn_points(
            SYSTEM, member_id=person.id, program="default", amount=100_000, idempotency_key=f"killed-{round_}"
        )
    token = issue_token(config, Role.STAFF, subject="till", valid_for=timedelta(hours=1))
    reader = await asyncpg.connect(config.database_url)
    try:
        async with engage_serve(config, tmp_path / "gateway.log") as gateway:
            gid = global_id("Member", person.id)
            clients = [
                asyncio.create_task(until_killed(f"{gateway.url}/graphql", token, query, gid))
                for query in (SPEND, ADJUST) * (CLIENTS // 2)
            ]
            enough = await reader.fetchval("SELECT count(*) FROM transfers") + DONE_BEFORE

            async def are_at_work() -> bool:
                return await reader.fetchval("SELECT count(*) FROM transfers") >= enough  # type: ignore[no-any-return]

            await until(are_at_work, "some effects")
            gateway.process.kill()
            await gateway.process.wait()
            await asyncio.gather(*clients)

        async def has_ended() -> bool:
            return await reader.fetchval(SESSIONS) == 0  # type: ignore[no-any-return]

        await until(has_ended, "the end of what the server had been told")
        for command, kind in KINDS.items():
            done = await reader.fetchval(EFFECTS, kind)
            assert done >= 1
            assert await reader.fetchval(ROWS, command) == done
    finally:
        await reader.close()
