"""Automatic persisted queries: a document is sent once, and then its hash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engage.api.documents import Documents, sha256
from engage.base.settings import Settings
from tests.api.clients import HttpClient
from tests.api.conftest import People
from tests.api.sending import persisted, send
from tests.conftest import Servers
from tests.realtime.wire import Wire, wired

CHANNELS = "query Channels { channels { code } }"
ME = "query Me { me { id } }"


@pytest.fixture(scope="module")
async def wire(servers: Servers) -> AsyncIterator[Wire]:
    async with wired(servers.redis_url, 6379) as one:
        yield one


@pytest.fixture(scope="module")
def config(config: Settings, wire: Wire) -> Settings:
    return config.model_copy(update={"redis_url": wire.url})


async def test_an_app_sends_a_document_once_and_then_its_hash(http: HttpClient, people: People) -> None:
    unknown = await send(http, people.staff, extensions=persisted(CHANNELS))
    assert (unknown.status, unknown.code) == (400, "PERSISTED_QUERY_NOT_FOUND")
    assert unknown.error["message"] == "PersistedQueryNotFound"  # what clients look for
    both = await send(http, people.staff, query=CHANNELS, extensions=persisted(CHANNELS))
    by_hash = await send(http, people.staff, extensions=persisted(CHANNELS))
    by_get = await send(http, people.staff, get=True, extensions=persisted(CHANNELS))
    assert both.data == by_hash.data == by_get.data
    assert len(both.data["channels"]) == 8


async def test_another_gateway_knows_it_too(config: Settings, http: HttpClient, people: People) -> None:
    query = "query Shared { channels { name } }"
    assert (await send(http, people.staff, query=query, extensions=persisted(query))).data
    another = Documents(config, {})
    try:
        assert await another.find(None, None, sha256(query)) == query
    finally:
        await another.close()


async def test_what_is_faulty_is_not_kept(http: HttpClient, people: People) -> None:
    for query in ("{ nonsense }", "{ channels { ", "{ " + "a " * 1000 + "}"):
        assert (await send(http, people.staff, query=query, extensions=persisted(query))).status == 400
        assert (await send(http, people.staff, extensions=persisted(query))).code == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_hash_is_that_of_its_document(http: HttpClient, people: People) -> None:
    answer = await send(http, people.staff, query=ME, extensions=persisted(CHANNELS))
    assert (answer.status, answer.code) == (400, "PERSISTED_QUERY_MISMATCH")


@pytest.mark.parametrize(
    "wrong",
    [
        {"persistedQuery": True},
        {"persistedQuery": {"version": 2, "sha256Hash": sha256(CHANNELS)}},
        {"persistedQuery": {"version": 1}},
        {"persistedQuery": {"version": 1, "sha256Hash": 7}},
        {"persistedQuery": {"version": 1, "sha256Hash": "a" * 1000}},
    ],
)
async def test_what_is_no_hash_is_told_so(http: HttpClient, people: People, wrong: dict[str, Any]) -> None:
    answer = await send(http, people.staff, extensions=wrong)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert "sha256Hash" in answer.error["message"]


async def test_a_mutation_does_not_come_by_the_hash_of_a_get(http: HttpClient, people: People) -> None:
    query = 'mutation Make { createChannel(input: {code: "x", name: "x"}) { __typename } }'
    assert (await send(http, people.staff, query=query, extensions=persisted(query))).data
    assert (await send(http, people.staff, get=True, extensions=persisted(query))).status == 405


async def test_without_redis_each_gateway_knows_its_own(http: HttpClient, people: People, wire: Wire) -> None:
    query = "query Alone { channels { code name } }"
    await wire.cut(for_good=True)
    try:
        assert (await send(http, people.staff, extensions=persisted(query))).code == "PERSISTED_QUERY_NOT_FOUND"
        assert (await send(http, people.staff, query=query, extensions=persisted(query))).data
        assert (await send(http, people.staff, extensions=persisted(query))).data
    finally:
        await wire.mend()
