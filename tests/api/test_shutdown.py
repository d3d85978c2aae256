"""A gateway that is told to stop closes its sockets so that clients go on elsewhere, missing nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket as socket_module
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from engage.api.relay import global_id
from engage.base.actor import SYSTEM, Role
from engage.base.crypto import issue_token
from engage.base.settings import Settings
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.seed import seed_basics
from tests.api.clients import DEADLINE_S, HttpClient, Json, Operation, http_client, socket
from tests.api.conftest import give, new_key

WATCH = """subscription ($id: ID!, $after: String) { pointsChanged(memberId: $id, after: $after) {
    cursor position fromPosition reset balance { available } transfer { amount } } }"""
SPEND = """mutation ($input: SpendPointsInput!) { spendPoints(input: $input) {
    __typename ... on SpendPointsPayload { position } } }"""
SPENDS = 60


class Process:
    """`engage serve`, as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}/graphql"


def free_port() -> int:
    with socket_module.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@asynccontextmanager
async def engage_serve(config: Settings, log: Path) -> AsyncIterator[Process]:
    """A gateway that is ready."""
    environment = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
    }
    port = free_port()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engage.cli", "serve", "--port", str(port),
            env=environment, stdout=output, stderr=output,
        )  # fmt: skip
    started = Process(process, port)
    try:
        async with asyncio.timeout(DEADLINE_S), http_client(started.url) as http:
            while not await answers(http):
                assert process.returncode is None, log.read_text()  # noqa: ASYNC240 -- a small file
                await asyncio.sleep(0.05)
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answers(http: HttpClient) -> bool:
    try:
        return (await http.raw.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def member_id(connected: Settings) -> UUID:
    assert connected.database_url
    await seed_basics()
    record = await members.register_member(SYSTEM, identities=[IdentityRef("card", new_key())])
    await give(record.id, 1000)
    return record.id


async def watch(operation: Operation, seen: list[Json]) -> None:
    """Note what comes, until something else ends it."""
    while True:
        seen.append((await operation.data())["pointsChanged"])


async def test_a_client_goes_on_at_another_gateway(config: Settings, member_id: UUID, tmp_path: Path) -> None:
    token = issue_token(config, Role.MEMBER, subject="m", member_id=member_id, valid_for=timedelta(hours=1))
    gid = global_id("Member", member_id)
    seen: list[Json] = []
    written: list[int] = []
    async with engage_serve(config, tmp_path / "one.log") as one, engage_serve(config, tmp_path / "two.log") as two:

        async def spend() -> None:
            async with http_client(two.url) as http:
                for number in range(SPENDS):
                    if number == SPENDS // 3:
                        one.process.send_signal(signal.SIGTERM)
                    given = {"memberId": gid, "amount": 1, "idempotencyKey": new_key()}
                    done = await http.ask(SPEND, {"input": given}, token=token)
                    written.append(done.data["spendPoints"]["position"])

        async with socket(one.ws_url, token) as first:
            operation = await first.start(WATCH, {"id": gid})
            seen.append((await operation.data())["pointsChanged"])
            spending = asyncio.create_task(spend())
            watching = asyncio.create_task(watch(operation, seen))
            assert (await first.end()).code == 1012
            await asyncio.wait([watching])
        async with asyncio.timeout(DEADLINE_S):
            await one.process.wait()
        async with socket(two.ws_url, token) as second:
            operation = await second.start(WATCH, {"id": gid, "after": seen[-1]["cursor"]})
            await spending
            while seen[-1]["position"] < written[-1]:
                seen.append((await operation.data())["pointsChanged"])

    snapshot, *changes = seen
    assert (snapshot["transfer"], snapshot["reset"]) == (None, False)
    assert [frame["position"] for frame in changes] == written
    assert [frame["fromPosition"] for frame in changes] == written
    assert [frame["balance"]["available"] for frame in changes] == list(range(999, 999 - SPENDS, -1))
    assert not any(frame["reset"] for frame in changes)


async def test_a_gateway_that_is_told_to_stop_ends_what_it_began(
    config: Settings, member_id: UUID, tmp_path: Path
) -> None:
    token = issue_token(config, Role.MEMBER, subject="m", member_id=member_id, valid_for=timedelta(hours=1))
    async with engage_serve(config, tmp_path / "log") as one, http_client(one.url) as http:
        spends = [
            asyncio.create_task(
                http.ask(
                    SPEND,
                    {"input": {"memberId": global_id("Member", member_id), "amount": 1, "idempotencyKey": new_key()}},
                    token=token,
                )
            )
            for _ in range(20)
        ]
        await spends[0]
        one.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*spends, return_exceptions=True)
        async with asyncio.timeout(DEADLINE_S):
            await one.process.wait()
    done = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert done
    assert {answer.data["spendPoints"]["__typename"] for answer in done} == {"SpendPointsPayload"}
    assert "Traceback" not in (tmp_path / "log").read_text()
