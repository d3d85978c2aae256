"""Tokens of an identity provider at the gateway, over HTTP and sockets, and without a secret of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import Closed, HttpClient, http_client, socket
from tests.api.gateway import Gateway, serving
from tests.base.provider import Provider, providing

CHANNELS = "{ channels { code } }"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as one:
        yield one


@pytest.fixture
async def gateway(config: Settings, provider: Provider) -> AsyncIterator[Gateway]:
    changed = {"jwks_url": provider.url, "jwt_secret": SecretStr(""), "sealing_key": SecretStr("k" * 48)}
    async with serving(config.model_copy(update=changed)) as started:
        await seed_basics()
        yield started


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[HttpClient]:
    async with http_client(gateway.url) as client:
        yield client


async def test_who_is_known_there_is_known_here(gateway: Gateway, http: HttpClient, provider: Provider) -> None:
    provider.add("one", "RS256")
    token = provider.token(gateway.config, "one")
    assert len((await http.ask(CHANNELS, token=token)).data["channels"]) == 8
    async with socket(gateway.ws_url, token) as one:
        assert len((await (await one.start(CHANNELS)).data())["channels"]) == 8


async def test_without_its_keys_nobody_is(gateway: Gateway, http: HttpClient, provider: Provider) -> None:
    provider.add("one")
    provider.status = 500
    token = provider.token(gateway.config, "one")
    answer = await http.ask(CHANNELS, token=token)
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert "JWKS" not in str(answer.body)
    async with socket(gateway.ws_url, init=False) as one:
        with pytest.raises(Closed) as closed:
            await one.init({"token": token})
    assert closed.value.code == 1013


async def test_another_key_opens_nothing(gateway: Gateway, http: HttpClient, provider: Provider) -> None:
    provider.add("one")
    provider.add("two")
    provider.withdraw("two")
    assert (await http.ask(CHANNELS, token=provider.token(gateway.config, "one"))).status == 200
    assert (await http.ask(CHANNELS, token=provider.token(gateway.config, "two"))).status == 401
