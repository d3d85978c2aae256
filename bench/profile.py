"""The profile query over HTTP, against a hand-written handler that answers the same JSON."""

from __future__ import annotations

import random
from datetime import timedelta

import orjson

from bench.handwritten import PROFILE_QUERY
from bench.harness import Environment, Row, alternate
from bench.load import Load, get, post
from bench.people import make_members, member_id
from engage.api.relay import global_id
from engage.base import crypto
from engage.base.actor import Actor, Role
from engage.domains.ledger import service
from engage.wiring import connected

SECONDS = 2.0
SEEN = 500
TRANSFERS = 20


async def run(environment: Environment) -> list[Row]:
    """One row: members with twenty and more transfers on their statement."""
    config = await environment.settings()
    await make_members(config.database_url)
    async with connected(config, "engage-bench"):
        for number in range(1, SEEN + 1):
            for nth in range(TRANSFERS):
                await service.spend_points(
                    Actor("bench", Role.SERVICE),
                    member_id=member_id(number),
                    program="default",
                    amount=1,
                    idempotency_key=f"profile-{nth}",
                )
    token = crypto.issue_token(config, Role.SERVICE, subject="bench", valid_for=timedelta(hours=1))

    def query() -> bytes:
        member = global_id("Member", member_id(random.randint(1, SEEN)))
        return post("/graphql", token, orjson.dumps({"query": PROFILE_QUERY, "variables": {"id": member}}))

    def plain() -> bytes:
        return get(f"/profile/{member_id(random.randint(1, SEEN))}")

    async with (
        environment.process(config, "engage.cli", "serve") as gateway,
        environment.process(config, "bench.handwritten", ready="/healthz") as handwritten,
    ):

        async def ours() -> float:
            return await Load(gateway, query, b'"balanceAfter"', SECONDS).run()

        async def reference() -> float:
            return await Load(handwritten, plain, b'"balanceAfter"', SECONDS).run()

        return [Row("profile with 20 transactions", "/s", *await alternate(ours, reference), bar=0.5)]
