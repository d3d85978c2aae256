"""Metrics of worker and gateway, as whoever scrapes them gets them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engage.base import db
from engage.base.errors import Unavailable
from engage.base.metrics import served
from engage.base.settings import Settings
from engage.outbox import Bounds, OutboxEvent
from engage.outbox.backlog import Backlog
from engage.outbox.registry import Registry
from tests.e2e.programs import ENGAGE, assert_sentence, engage, environment
from tests.outbox.test_worker import all_is_done, working
from tests.outbox.working import Happened, happen, until

Samples = dict[tuple[str, str], float]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def measured(config: Settings) -> Settings:
    """Settings with a port for metrics that nobody has."""
    return config.model_copy(update={"metrics_port": free_port(), "port": free_port()})


def as_environment(config: Settings) -> dict[str, str]:
    return {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
        "ENGAGE_PORT": str(config.port),
        "ENGAGE_METRICS_PORT": str(config.metrics_port),
    }


async def scrape(config: Settings) -> Samples:
    """Values by name and kind or status."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{config.host}:{config.metrics_port}/metrics")
    return {
        (sample.name, sample.labels.get("kind", sample.labels.get("status", ""))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_what_was_done_and_what_failed_is_counted_by_kind(registry: Registry, measured: Settings) -> None:
    go_on = asyncio.Event()

    @registry.on(Happened, name="tests.measured")
    async def done(_event: OutboxEvent) -> None: ...

    @registry.on(Happened, name="tests.measured_failing", bounds=Bounds(attempts_max=1))
    async def failing(event: OutboxEvent) -> None:
        raise KeyError(event.id)

    @registry.on("tests.slow.v1", name="tests.measured_slow")
    async def slow(_event: OutboxEvent) -> None:
        await go_on.wait()

    with served(measured):
        async with working(measured):
            await happen(7)
            await until(all_is_done, "all of it")
            await db.execute(
                """INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at)
                   SELECT gen_random_uuid(), 'tests.measured_slow', gen_random_uuid(), 'test:1',
                          '{"name": "tests.slow.v1", "position": 1, "data": {}}', now(), now()"""
            )

            async def is_running() -> bool:
                return (await scrape(measured)).get(("engage_jobs_running", "tests.measured_slow")) == 1

            await until(is_running, "the slow one")
            found = await scrape(measured)
            assert found["engage_jobs_done_total", "tests.measured"] == 7
            assert found["engage_jobs_failed_total", "tests.measured_failing"] == 7
            assert found["engage_job_seconds_count", "tests.measured"] == 7
            assert found["engage_jobs_running", "tests.measured"] == 0
            assert ("engage_jobs_done_total", "tests.measured_failing") not in found
            assert ("process_cpu_seconds_total", "") in found
            go_on.set()
            await until(all_is_done, "the slow one's end")


async def test_what_lies_ready_and_dead_is_told_by_kind(clean: Registry, measured: Settings) -> None:
    @clean.on(Happened, name="tests.backlog")
    async def never(_event: OutboxEvent) -> None: ...

    @clean.job("tests.backlog_job", cron="* * * * *")
    async def tick() -> None: ...

    async def no_programs() -> dict[str, str]:
        return {}

    await happen(4)
    for figure, change in enumerate(
        ("due_at = now() - interval '1 minute'", "due_at = now() + interval '1 hour'", "dead_at = now()")
    ):
        await db.execute(f"UPDATE outbox SET {change} WHERE payload -> 'data' ->> 'figure' = $1", str(figure))  # noqa: S608 -- our own words
    backlog = Backlog(no_programs)
    with served(measured):
        telling = asyncio.create_task(backlog.run())

        async def is_told() -> bool:
            return ("engage_jobs_dead", "tests.backlog") in await scrape(measured)

        await until(is_told, "the figures")
        found = await scrape(measured)
        backlog.stop()
        await telling
        assert [found[f"engage_jobs_{name}", "tests.backlog"] for name in ("waiting", "ready", "dead")] == [1, 2, 1]
        assert 60 <= found["engage_jobs_oldest_due_seconds", "tests.backlog"] < 600
        assert found["engage_schedule_late", "tests.backlog_job"] == 0
        assert not await is_told()


async def test_without_a_port_nothing_is_served(config: Settings) -> None:
    assert Settings.model_fields["metrics_port"].default == 0
    with served(config.model_copy(update={"metrics_port": 0})):
        pass


async def test_a_port_that_is_taken_is_told_with_its_setting(measured: Settings) -> None:
    with served(measured), pytest.raises(Unavailable, match="ENGAGE_METRICS_PORT"), served(measured):
        pass
    with served(measured):  # free again
        assert await scrape(measured)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_commands_say_so_too(measured: Settings, command: str) -> None:
    with served(measured):
        done = engage(command, **as_environment(measured))
    assert_sentence(done, f"port {measured.metrics_port}", "ENGAGE_METRICS_PORT")


async def test_a_gateway_counts_its_requests(measured: Settings) -> None:
    url = f"http://127.0.0.1:{measured.port}"
    gateway = await asyncio.create_subprocess_exec(*ENGAGE, "serve", env=environment(**as_environment(measured)))
    try:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def is_up() -> bool:
                assert gateway.returncode is None
                with contextlib.suppress(httpx.TransportError):
                    return (await client.get(f"{url}/healthz")).is_success
                return False

            await until(is_up, "the gateway's start")
            await client.post(f"{url}/graphql", json={"query": "{ __typename }"})
            await client.post(f"{url}/graphql", json={})
        found = await scrape(measured)
        assert (found["engage_requests_total", "200"], found["engage_requests_total", "400"]) == (1, 1)
        assert found["engage_subscriptions", ""] == 0
    finally:
        gateway.terminate()
        await gateway.wait()
