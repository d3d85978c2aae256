"""GraphQL over Server-Sent Events: what comes, when it ends, and that nothing stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from engage.api import sse
from engage.base.actor import Role
from tests.api.clients import DEADLINE_S, MEDIA_TYPE, HttpClient
from tests.api.conftest import People, Person, give
from tests.api.gateway import Gateway

WATCH = "subscription ($id: ID!) { pointsChanged(memberId: $id) { position balance { available } } }"
CHANNELS = "{ channels { code } }"


class Events:
    """The events of one response, as a browser reads them."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.comments = 0

    async def next(self) -> tuple[str, Any]:
        """Name and data of the next event."""
        name, data = "", ""
        async with asyncio.timeout(DEADLINE_S):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = line.removeprefix("data: ")
                elif not line and name:
                    return name, orjson.loads(data) if data else None
        raise StopAsyncIteration

    async def available(self) -> int:
        name, answer = await self.next()
        assert name == "next"
        return int(answer["data"]["pointsChanged"]["balance"]["available"])


@asynccontextmanager
async def events(
    http: HttpClient, query: str, variables: Any = None, *, token: str | None = None, get: bool = False
) -> AsyncIterator[Events]:
    headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {token}"} if token else {})
    if get:
        params = {"query": query} | ({"variables": orjson.dumps(variables).decode()} if variables else {})
        request = http.raw.build_request("GET", "/graphql", params=params, headers=headers)
    else:
        request = http.raw.build_request(
            "POST", "/graphql", json={"query": query, "variables": variables}, headers=headers
        )
    response = await http.raw.send(request, stream=True)
    try:
        yield Events(response)
    finally:
        await response.aclose()


async def gone(gateway: Gateway) -> None:
    """Wait until nobody subscribes any more."""
    async with asyncio.timeout(DEADLINE_S):
        while gateway.hub.subscribers:  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(100)


@pytest.mark.parametrize("get", [False, True])
async def test_changes_come_as_events(gateway: Gateway, http: HttpClient, member: Person, get: bool) -> None:  # noqa: FBT001 -- a parameter
    async with events(http, WATCH, {"id": member.gid}, token=member.token, get=get) as seen:
        assert seen.response.status_code == 200
        assert seen.response.headers["content-type"].startswith("text/event-stream")
        assert seen.response.headers["cache-control"] == "no-store"
        assert await seen.available() == 100
        await give(member.id, 5)
        assert await seen.available() == 105
    await gone(gateway)


async def test_a_query_and_a_mutation_answer_once(http: HttpClient, people: People) -> None:
    make = 'mutation { createChannel(input: {code: "sse", name: "Events"}) { __typename } }'
    for query, field in ((CHANNELS, "channels"), (make, "createChannel")):
        async with events(http, query, token=people.admin) as seen:
            name, answer = await seen.next()
            assert (name, list(answer["data"])) == ("next", [field])
            assert await seen.next() == ("complete", None)


async def test_a_refusal_comes_as_an_answer(http: HttpClient, member: Person, people: People) -> None:
    other = await people.new()
    async with events(http, WATCH, {"id": member.gid}, token=other.token) as seen:
        name, answer = await seen.next()
        assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", "FORBIDDEN")
        assert await seen.next() == ("complete", None)
    async with events(http, WATCH, {"id": None}, token=other.token) as seen:
        name, answer = await seen.next()
        assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", "BAD_REQUEST")
        assert await seen.next() == ("complete", None)


@pytest.mark.parametrize(("query", "variables"), [("{ nonsense }", None), ("{", None), (WATCH, {"id": [[0]] * 1001})])
async def test_what_is_no_operation_is_answered_without_events(
    http: HttpClient, member: Person, query: str, variables: Any
) -> None:
    async with events(http, query, variables, token=member.token) as seen:
        assert (seen.response.status_code, seen.response.headers["content-type"]) == (400, MEDIA_TYPE)
        assert orjson.loads(await seen.response.aread())["errors"]


async def test_a_bad_token_opens_no_stream(http: HttpClient) -> None:
    async with events(http, CHANNELS, token="x") as seen:
        assert seen.response.status_code == 401


async def test_a_mutation_does_not_come_by_get(http: HttpClient, people: People) -> None:
    query = 'mutation { createChannel(input: {code: "sse2", name: "Events"}) { __typename } }'
    async with events(http, query, token=people.admin, get=True) as seen:
        assert seen.response.status_code == 405


async def test_the_stream_ends_with_its_token(
    gateway: Gateway, http: HttpClient, member: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.config, "jwt_leeway_s", 0)
    token = gateway.token(Role.MEMBER, member.id, valid_for=timedelta(seconds=2))
    async with events(http, WATCH, {"id": member.gid}, token=token) as seen:
        assert await seen.available() == 100
        name, answer = await seen.next()
        assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
        assert await seen.next() == ("complete", None)
    await gone(gateway)


async def test_comments_keep_the_connection_and_tell_of_clients_that_left(
    gateway: Gateway, http: HttpClient, member: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.05)
    async with events(http, WATCH, {"id": member.gid}, token=member.token) as seen:
        assert await seen.available() == 100
        waiting = asyncio.create_task(seen.available())
        async with asyncio.timeout(DEADLINE_S):
            while seen.comments < 4:  # noqa: ASYNC110 -- the same
                await asyncio.sleep(0.01)
        await give(member.id, 1)
        assert await waiting == 101
    await gone(gateway)
