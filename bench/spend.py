"""spendPoints over HTTP and through the service, against pgbench on the same SQL function; many members and one."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from datetime import timedelta
from uuid import UUID, uuid4

import orjson

from bench.harness import CONNECTIONS, Environment, Row, alternate
from bench.load import Load, post
from bench.people import MEMBER_SQL, MEMBERS, make_members, member_id
from engage.api.relay import global_id
from engage.base import crypto
from engage.base.actor import Actor, Role
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.wiring import connected

SECONDS = 2.0
QUERY = """mutation Spend($input: SpendPointsInput!) {
  spendPoints(input: $input) {
    ... on SpendPointsPayload { transferId position balance { available } }
    ... on Problem { code message }
  }
}"""


def _script(last: int) -> str:
    return (
        f"\\set n random(1, {last})\n"
        "SELECT engage.ledger_spend(gen_random_uuid(), '\\x00', now() + '30 days', engage.uuid7(now()),"
        f" engage.uuid7(now()), {MEMBER_SQL}, 'default', 1, 'REDEMPTION', NULL, NULL, 'bench', now(), '{{}}');\n"
    )


async def run(environment: Environment) -> list[Row]:
    """Rows for cold and hot members."""
    config = await environment.settings()
    await make_members(config.database_url)
    rows: list[Row] = []
    for name, last in (("5,000 members", MEMBERS), ("one hot member", 1)):
        async with environment.process(config, "engage.cli", "serve") as port:
            rows.append(await _over_http(environment, config, port, name, last))
        rows.append(await _by_service(environment, config, name, last))
    return rows


async def _over_http(environment: Environment, config: Settings, port: int, name: str, last: int) -> Row:
    token = crypto.issue_token(config, Role.SERVICE, subject="bench", valid_for=timedelta(hours=1))
    keys = itertools.count()
    run_id = uuid4().hex

    def request() -> bytes:
        member = global_id("Member", member_id(random.randint(1, last)))
        variables = {"input": {"memberId": member, "amount": 1, "idempotencyKey": f"{run_id}-{next(keys)}"}}
        return post("/graphql", token, orjson.dumps({"query": QUERY, "variables": variables}))

    async def ours() -> float:
        return await Load(port, request, b'"transferId"', SECONDS).run()

    async def reference() -> float:
        return await environment.pgbench(config, _script(last), SECONDS)

    return Row(
        f"spendPoints over HTTP, {name}", "/s", *await alternate(ours, reference), bar=0.40 if last > 1 else None
    )


async def _by_service(environment: Environment, config: Settings, name: str, last: int) -> Row:
    actor = Actor("bench", Role.SERVICE)

    async def spender(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            member: UUID = member_id(random.randint(1, last))
            await service.spend_points(
                actor, member_id=member, program="default", amount=1, idempotency_key=uuid4().hex
            )
            done += 1
        return done

    async def ours() -> float:
        began = time.perf_counter()
        counts = await asyncio.gather(*(spender(began + SECONDS) for _ in range(CONNECTIONS)))
        return sum(counts) / (time.perf_counter() - began)

    async def reference() -> float:
        return await environment.pgbench(config, _script(last), SECONDS)

    async with connected(config, "engage-bench"):
        return Row(f"spend_points by the service, {name}", "/s", *await alternate(ours, reference))
