"""What clients are told when the database or Redis is away, busy or too slow, or when engage itself is at fault.

Each test has a gateway of its own, as its settings differ; so nothing here uses the module's gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import structlog
from pydantic import SecretStr

from engage.app import create_app
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import DEADLINE_S, Answer, HttpClient, http_client
from tests.api.conftest import People, Person, new_key
from tests.api.gateway import Gateway, serving
from tests.api.tables import standstill
from tests.conftest import Servers, create_database, drop_database
from tests.realtime.wire import Wire, wired

ME = "{ me { balance { available } } }"
SPEND = """mutation ($input: SpendPointsInput!) { spendPoints(input: $input) {
    __typename ... on Problem { code message } ... on SpendPointsPayload { replayed balance { available } } } }"""


class Scene:
    """A gateway with a member who has 100 points."""

    def __init__(self, gateway: Gateway, http: HttpClient, member: Person) -> None:
        self.gateway = gateway
        self.http = http
        self.member = member

    async def me(self) -> Answer:
        return await self.http.ask(ME, token=self.member.token)

    async def spend(self, key: str | None = None) -> Answer:
        given = {"memberId": self.member.gid, "amount": 1, "idempotencyKey": key or new_key()}
        return await self.http.ask(SPEND, {"input": given}, token=self.member.token)

    async def whole(self) -> None:
        """Every connection of the pool serves again."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                answers = await asyncio.gather(*(self.me() for _ in range(self.gateway.config.pool_size_max + 2)))
                if all("errors" not in answer.body for answer in answers):
                    return
                await asyncio.sleep(0.05)

    async def ready(self, **expected: str) -> int:
        """Wait until the gateway reports this of itself; answers the status."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                answer = await self.http.raw.get("/readyz")
                if expected.items() <= answer.json().items():
                    return answer.status_code
                await asyncio.sleep(0.05)


@asynccontextmanager
async def scene(config: Settings, **changes: Any) -> AsyncIterator[Scene]:
    """A gateway with other settings."""
    async with serving(config.model_copy(update={"pool_size_max": 3} | changes)) as gateway:
        await seed_basics()
        member = await People(gateway).new(100)
        async with http_client(gateway.url) as http:
            yield Scene(gateway, http, member)


@asynccontextmanager
async def cuttable(config: Settings) -> AsyncIterator[tuple[Scene, Wire]]:
    """A gateway whose database can be taken away."""
    async with wired(config.database_url, 5432) as wire, scene(config, database_url=wire.url) as opened:
        yield opened, wire


def check_masked(answer: Answer, code: str) -> None:
    """The error is of this code, and tells nothing of what is inside."""
    error = answer.error
    assert error["extensions"]["code"] == code
    assert error["extensions"]["requestId"]
    assert error["message"].endswith(".")
    for inside in ("asyncpg", "127.0.0.1", "Errno", "Error", "SQL", "engage_test", "Traceback"):
        assert inside not in str(answer.body), inside


async def test_a_query_without_database_is_told_to_come_again(config: Settings) -> None:
    async with cuttable(config) as (opened, wire):
        await wire.cut(for_good=True)
        for _ in range(2):
            check_masked(await opened.me(), "UNAVAILABLE")
        await wire.mend()
        await opened.whole()


async def test_a_mutation_without_database_is_unavailable_or_unknown(config: Settings) -> None:
    async with cuttable(config) as (opened, wire):
        key = new_key()
        await wire.cut(for_good=True)
        for _ in range(5):
            answer = await opened.spend(key)
            if "errors" in answer.body:
                check_masked(answer, "UNAVAILABLE")
            else:
                assert answer.data["spendPoints"]["code"] == "OUTCOME_UNKNOWN"
        check_masked(answer, "UNAVAILABLE")  # no connection is left to have lost it on
        await wire.mend()
        await opened.whole()
        done = (await opened.spend(key)).data["spendPoints"]
        assert done == {"__typename": "SpendPointsPayload", "replayed": False, "balance": {"available": 99}}


async def test_a_connection_lost_under_a_command_leaves_its_outcome_unknown(config: Settings) -> None:
    async with cuttable(config) as (opened, wire):
        key = new_key()
        async with standstill(config.database_url) as holder:
            spending = asyncio.create_task(opened.spend(key))
            await until_waiting(holder, 1)
            await wire.cut(for_good=False)
            lost = (await spending).data["spendPoints"]
        assert (lost["__typename"], lost["code"]) == ("OutcomeUnknown", "OUTCOME_UNKNOWN")
        await opened.whole()
        again = (await opened.spend(key)).data["spendPoints"]
        assert again["balance"] == {"available": 99}  # once, whether or not it had happened


async def until_waiting(holder: asyncpg.Connection, statements: int) -> None:
    """Wait until so many statements of the gateway's callers wait for a lock; it looks for revocations by itself."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            waiting = await holder.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'engage-gateway' AND wait_event_type = 'Lock'"
                " AND query NOT LIKE '%FROM revocations%'"
            )
            if waiting == statements:
                return
            await asyncio.sleep(0.01)


async def test_an_operation_that_takes_too_long_is_ended_with_its_statement(config: Settings) -> None:
    async with scene(config, operation_timeout_s=0.3) as opened:
        async with standstill(config.database_url) as holder:
            asking = [asyncio.create_task(opened.me()) for _ in range(3)]
            for answer in await asyncio.gather(*asking):
                check_masked(answer, "TIMEOUT")
            told = (await opened.spend()).data["spendPoints"]
            assert told["code"] == "OUTCOME_UNKNOWN"
            await until_waiting(holder, 0)
        await opened.whole()


async def test_a_statement_that_takes_too_long_is_ended_by_the_database(config: Settings) -> None:
    async with scene(config, statement_timeout_ms=200) as opened:
        async with standstill(config.database_url):
            check_masked(await opened.me(), "TIMEOUT")
            assert (await opened.spend()).data["spendPoints"]["code"] == "OUTCOME_UNKNOWN"
        await opened.whole()


async def test_who_waits_too_long_for_a_lock_is_told_to_come_again(config: Settings) -> None:
    async with scene(config, lock_timeout_ms=200) as opened:
        key = new_key()
        async with standstill(config.database_url):
            check_masked(await opened.me(), "UNAVAILABLE")
            check_masked(await opened.spend(key), "UNAVAILABLE")  # for certain nothing has happened
        assert (await opened.spend(key)).data["spendPoints"]["replayed"] is False
        await opened.whole()


async def test_who_finds_all_connections_busy_is_told_to_come_again(config: Settings) -> None:
    async with scene(config, acquire_timeout_s=0.2) as opened:
        async with standstill(config.database_url) as holder:
            busy = [asyncio.create_task(opened.me()) for _ in range(3)]
            await until_waiting(holder, 3)
            check_masked(await opened.me(), "UNAVAILABLE")
            check_masked(await opened.spend(), "UNAVAILABLE")
        assert all([(await one).data for one in busy])
        await opened.whole()


async def test_a_fault_of_ours_is_masked_and_logged_whole(servers: Servers, template: str, config: Settings) -> None:
    url = await create_database(servers, template)
    try:
        async with scene(config, database_url=url) as opened:
            connection = await asyncpg.connect(url)
            await connection.execute("DROP FUNCTION engage.ledger_balances; DROP FUNCTION engage.ledger_spend")
            await connection.close()
            with structlog.testing.capture_logs() as logs:
                query, mutation = await opened.me(), await opened.spend()
            for answer in (query, mutation):
                check_masked(answer, "INTERNAL")
                request_id = answer.error["extensions"]["requestId"]
                assert request_id in answer.error["message"]
                [line] = [line for line in logs if line.get("request_id") == request_id]
                assert (line["event"], line["log_level"]) == ("unexpected error", "error")
                assert line["path"] == answer.error["path"]
                assert isinstance(line["exc_info"], asyncpg.UndefinedFunctionError)
            assert "data" in query.body
            assert (await opened.http.ask("{ me { id } }", token=opened.member.token)).data["me"]
    finally:
        await drop_database(servers, url)


async def test_health_without_database(config: Settings) -> None:
    async with cuttable(config) as (opened, wire):
        assert await opened.ready(database="ok", redis="ok") == 200
        await wire.cut(for_good=True)
        assert await opened.ready(database="away") == 503
        alive = await opened.http.raw.get("/healthz")
        assert (alive.status_code, alive.text) == (200, "ok\n")
        await wire.mend()
        assert await opened.ready(database="ok") == 200


async def test_without_redis_engage_goes_on(config: Settings) -> None:
    async with wired(config.redis_url, 6379) as wire, scene(config, redis_url=wire.url) as opened:
        await wire.cut(for_good=True)
        assert await opened.ready(redis="away", database="ok") == 200
        assert (await opened.spend()).data["spendPoints"]["balance"] == {"available": 99}
        assert (await opened.me()).data["me"]["balance"] == {"available": 99}
        await wire.mend()
        assert await opened.ready(redis="ok") == 200


async def test_health_of_a_database_that_is_not_migrated(servers: Servers, config: Settings) -> None:
    url = await create_database(servers)
    try:
        async with (
            serving(config.model_copy(update={"database_url": url})) as gateway,
            http_client(gateway.url) as http,
        ):
            answer = await http.raw.get("/readyz")
            assert answer.status_code == 503
            assert answer.json() == {
                "ready": False,
                "database": "run engage db migrate",
                "redis": "ok",
                "limits": "common",
            }
            assert (await http.raw.get("/healthz")).status_code == 200
    finally:
        await drop_database(servers, url)


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_gateway_does_not_start_with_a_weak_secret(config: Settings, secret: str) -> None:
    with pytest.raises(ValueError, match="ENGAGE_JWT_SECRET must have at least 32 characters"):
        create_app(config.model_copy(update={"jwt_secret": SecretStr(secret)}))
