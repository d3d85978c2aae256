"""What the audit log holds of commands through proxies, and of those that ran out of time.

Each test has a gateway of its own, as its settings differ; so nothing here uses the module's gateway.
"""

from __future__ import annotations

import asyncpg
import pytest

from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.audited import recording, told
from tests.api.clients import http_client
from tests.api.conftest import People, new_key
from tests.api.gateway import serving
from tests.api.tables import standstill
from tests.api.test_audit import SPEND, spending


@pytest.mark.parametrize(
    ("proxies", "said", "address"),
    [
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", "Ann Lee", None),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
        ("", "203.0.113.7", "127.0.0.1"),
    ],
)
async def test_the_address_is_that_which_a_trusted_proxy_says(
    config: Settings, proxies: str, said: str, address: str | None
) -> None:
    async with serving(config.model_copy(update={"trusted_proxies": proxies})) as gateway:
        await seed_basics()
        member = await People(gateway).new(10)
        async with http_client(gateway.url) as http, recording(via="HTTP") as rows:
            http.raw.headers["X-Forwarded-For"] = said
            await http.ask(SPEND, spending(member), token=member.token)
    assert [row["address"] for row in rows] == [address]


async def test_a_command_that_ran_out_of_time(config: Settings) -> None:
    """It is recorded as what its caller was told; where it has happened after all, that stands beside it."""
    async with serving(config.model_copy(update={"operation_timeout_s": 0.5})) as gateway:
        await seed_basics()
        member = await People(gateway).new(10)
        async with http_client(gateway.url) as http, recording(via="HTTP") as rows:
            other = await asyncpg.connect(config.database_url)
            async with other.transaction():
                await other.execute("SELECT FROM members WHERE id = $1 FOR UPDATE", member.id)
                answer = await http.ask(SPEND, spending(member), token=member.token)
            await other.close()
    assert answer.data["spendPoints"]["code"] == "OUTCOME_UNKNOWN"
    assert told(rows) == [("spend_points", "OUTCOME_UNKNOWN")]


async def test_the_log_that_is_locked_keeps_no_refusal_back(config: Settings) -> None:
    """An answer waits for its row for some seconds at the most."""
    async with serving(config) as gateway:
        await seed_basics()
        member = await People(gateway).new(10)
        async with http_client(gateway.url) as http, standstill(config.database_url):
            given = {"input": {"memberId": "no-id", "amount": 1, "idempotencyKey": new_key()}}
            answer = await http.ask(SPEND, given, token=member.token)
    assert answer.data["spendPoints"]["code"] == "INVALID_INPUT"
