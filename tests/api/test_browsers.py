"""What pages of other origins may do, and the headers of every answer. Each test has a gateway of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from engage.base.settings import Settings
from tests.api.clients import SUBPROTOCOL, HttpClient, http_client
from tests.api.gateway import Gateway, serving

APP = "https://app.example.com"
OTHER = "https://other.example.com"


@asynccontextmanager
async def opened(config: Settings, **changes: Any) -> AsyncIterator[tuple[Gateway, HttpClient]]:
    async with serving(config.model_copy(update=changes)) as gateway, http_client(gateway.url) as http:
        yield gateway, http


def allowed(answer: httpx.Response) -> str | None:
    found = answer.headers.get("access-control-allow-origin")
    return None if found is None else str(found)


async def preflight(http: HttpClient, origin: str) -> str | None:
    answer = await http.raw.options(
        "/graphql",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    return allowed(answer)


async def shared(http: HttpClient, origin: str) -> str | None:
    """To whom an answer is shown by a browser."""
    answer = await http.raw.post("/graphql", json={"query": "{ __typename }"}, headers={"Origin": origin})
    assert answer.status_code == 200
    assert "access-control-allow-credentials" not in answer.headers
    return allowed(answer)


async def may_open(gateway: Gateway, origin: str | None) -> bool:
    given = None if origin is None else Origin(origin)
    try:
        async with connect(gateway.ws_url, subprotocols=[Subprotocol(SUBPROTOCOL)], origin=given, proxy=None):
            return True
    except InvalidStatus as refused:
        return refused.response.status_code != 403


async def test_pages_of_named_origins_may_call_and_no_others(config: Settings) -> None:
    named = f"{APP}/, http://localhost:3000"
    async with opened(config, cors_origins=named, development=False) as (gateway, http):
        for origin in (APP, "http://localhost:3000"):
            assert await preflight(http, origin) == await shared(http, origin) == origin
            assert await may_open(gateway, origin)
        for origin in (OTHER, f"{APP}.evil.example", "http://app.example.com", "null"):
            assert await preflight(http, origin) is await shared(http, origin) is None
            assert not await may_open(gateway, origin)


@pytest.mark.parametrize("development", [True, False])
async def test_where_none_are_named_all_are_or_none(config: Settings, *, development: bool) -> None:
    async with opened(config, development=development) as (gateway, http):
        assert await shared(http, APP) == ("*" if development else None)
        assert await may_open(gateway, APP) == development
        assert await may_open(gateway, gateway.url)  # a page of the gateway itself
        assert await may_open(gateway, None)  # no browser


async def test_every_answer_has_its_headers(config: Settings) -> None:
    async with opened(config, development=False) as (_, http):
        answers = [
            await http.raw.post("/graphql", json={"query": "{ __typename }"}),
            await http.raw.post("/graphql", content=b"x"),
            await http.raw.get("/healthz"),
            await http.raw.get("/nowhere"),
        ]
        assert [one.status_code for one in answers] == [200, 415, 200, 404]
        for one in answers:
            assert one.headers["x-content-type-options"] == "nosniff"
            assert one.headers["x-frame-options"] == "DENY"
            assert one.headers["referrer-policy"] == "no-referrer"
            assert one.headers["content-security-policy"].startswith("default-src 'none'")
            assert one.headers["cache-control"] == "no-store"
            assert "server" not in one.headers or "uvicorn" not in one.headers["server"]
            assert "strict-transport-security" not in one.headers


@pytest.mark.parametrize(
    ("proxies", "believed"), [("", False), ("10.0.0.0/8", False), ("127.0.0.1, 10.0.0.0/8", True)]
)
async def test_a_proxy_is_believed_where_it_is_named(config: Settings, proxies: str, *, believed: bool) -> None:
    async with opened(config, trusted_proxies=proxies, development=False) as (_, http):
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
        answer = await http.raw.get("/healthz", headers=headers)
        assert ("strict-transport-security" in answer.headers) == believed
