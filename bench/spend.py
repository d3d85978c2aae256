"""Spending and earning, against pgbench on the same SQL functions; many members and one.

By the service over 16 connections each (the bar: 0.65; one autocommit statement a command), and over HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import orjson

from bench.harness import CONNECTIONS, Environment, Row, alternate
from bench.load import Load, post
from bench.people import EARN, MEMBERS, SPEND, make_members, member_id
from engage.api.relay import global_id
from engage.base import crypto
from engage.base.actor import Actor, Role
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.wiring import connected

SECONDS = 2.0
ACTOR = Actor("bench", Role.SERVICE)
QUERY = """mutation Spend($input: SpendPointsInput!) {
  spendPoints(input: $input) {
    ... on SpendPointsPayload { transferId position balance { available } }
    ... on Problem { code message }
  }
}"""

Command = Callable[[UUID], Awaitable[object]]


async def spend(member: UUID) -> None:
    """Spend one point."""
    await service.spend_points(ACTOR, member_id=member, program="default", amount=1, idempotency_key=uuid4().hex)


async def earn(member: UUID) -> None:
    """Earn one."""
    await service.earn_points(ACTOR, member_id=member, program="default", amount=1, idempotency_key=uuid4().hex)


async def run(environment: Environment) -> list[Row]:
    """Rows for cold and hot members."""
    config = await environment.settings()
    await make_members(config.database_url)
    rows: list[Row] = []
    for name, last in (("5,000 members", MEMBERS), ("one hot member", 1)):
        async with environment.process(config, "engage.cli", "serve") as port:
            rows.append(await _over_http(environment, config, port, name, last))
        async with connected(config, "engage-bench"):
            rows.append(
                await _by_service(environment, config, f"spend_points by the service, {name}", spend, SPEND, last)
            )
            rows.append(
                await _by_service(environment, config, f"earn_points by the service, {name}", earn, EARN, last)
            )
    return rows


def _script(statement: str, last: int) -> str:
    return f"\\set n random(1, {last})\n{statement};\n"


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
        return await environment.pgbench(config, _script(SPEND, last), SECONDS)

    return Row(
        f"spendPoints over HTTP, {name}", "/s", *await alternate(ours, reference), bar=0.40 if last > 1 else None
    )


async def _by_service(
    environment: Environment, config: Settings, what: str, command: Command, statement: str, last: int
) -> Row:
    async def client(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            await command(member_id(random.randint(1, last)))
            done += 1
        return done

    async def ours() -> float:
        began = time.perf_counter()
        counts = await asyncio.gather(*(client(began + SECONDS) for _ in range(CONNECTIONS)))
        return sum(counts) / (time.perf_counter() - began)

    async def reference() -> float:
        return await environment.pgbench(config, _script(statement, last), SECONDS)

    return Row(what, "/s", *await alternate(ours, reference), bar=0.65)
