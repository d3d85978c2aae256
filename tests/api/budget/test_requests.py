"""How many requests may come, by address and by caller: counted before anything of them is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from engage.api.budget.limiter import network_of
from engage.base import clock
from engage.base.actor import Role
from engage.base.ids import new_id
from engage.base.metrics import REGISTRY
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import MEDIA_TYPE, Closed, HttpClient, Refused, http_client, read, socket
from tests.api.conftest import People
from tests.api.gateway import Gateway, serving
from tests.api.test_limits import validated
from tests.api.test_sockets import until
from tests.api.test_sse import events

CHANNELS = "{ channels { code } }"
NOW = clock.now()


@pytest.fixture(autouse=True)
def _at_rest() -> Iterator[None]:
    """Nothing comes back while the clock stands."""
    with clock.frozen(NOW):
        yield


@asynccontextmanager
async def limited(config: Settings, **limits: Any) -> AsyncIterator[tuple[Gateway, HttpClient]]:
    async with serving(config.model_copy(update=limits)) as gateway:
        await seed_basics()
        async with http_client(gateway.url) as http:
            yield gateway, http


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("engage_refused_by_limit_total", {"kind": kind}) or 0.0


async def test_a_caller_may_ask_so_often_and_others_are_unharmed(config: Settings) -> None:
    async with limited(config, requests_per_minute=6) as (gateway, http):
        people, before = People(gateway), counted("caller")
        answers = [await http.ask(CHANNELS, token=people.staff) for _ in range(8)]
        assert [one.status for one in answers] == [200] * 6 + [429] * 2
        refused = answers[-1]
        assert refused.headers["retry-after"] == "10"
        assert refused.error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 10}
        assert refused.error["message"].endswith("Wait 10 s.")
        assert counted("caller") == before + 2
        assert (await http.ask(CHANNELS, token=people.admin)).status == 200
        with clock.frozen(NOW + timedelta(seconds=10)):
            again = [(await http.ask(CHANNELS, token=people.staff)).status for _ in range(2)]
        assert again == [200, 429]


async def test_a_service_has_a_limit_of_its_own_and_is_not_counted_by_address(config: Settings) -> None:
    limits = {"requests_per_minute": 1, "address_requests_per_minute": 2, "service_requests_per_minute": 9}
    async with limited(config, **limits) as (gateway, http):
        service = People(gateway).service
        assert [(await http.ask(CHANNELS, token=service)).status for _ in range(10)] == [200] * 9 + [429]


@pytest.mark.parametrize("accept", [MEDIA_TYPE, "application/json", "text/event-stream"])
async def test_an_address_may_ask_so_often_whoever_it_is(config: Settings, accept: str) -> None:
    async with limited(config, address_requests_per_minute=4) as (gateway, http):
        people = People(gateway)
        for token in (people.staff, people.admin, people.moderator, None):
            assert (await http.ask("{ __typename }", token=token)).status == 200
        before = validated()
        headers = {"Accept": accept, "Authorization": f"Bearer {people.admin}"}
        answer = read(await http.raw.post("/graphql", content=b"never read", headers=headers))
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "RATE_LIMITED", "15")
        assert (await http.ask("query New { __typename }", token=people.admin)).status == 429
        assert validated() == before


async def test_a_token_cannot_be_found_by_trying(config: Settings) -> None:
    async with limited(config, failed_tokens_per_minute=5) as (gateway, http):
        right = People(gateway).admin
        assert (await http.ask(CHANNELS, token=right)).status == 200
        wrong = [(await http.ask(CHANNELS, token=f"{right[:-4]}{number:04}")).status for number in range(5)]
        assert wrong == [401] * 5
        found = await http.ask(CHANNELS, token=right)
        assert (found.status, found.code) == (429, "RATE_LIMITED")  # even the right one is not looked at
        async with socket(gateway.ws_url, init=False) as one:
            with pytest.raises(Closed) as closed:
                await one.init({"token": right})
            assert closed.value.code == 1013
        with clock.frozen(NOW + timedelta(seconds=12)):
            assert (await http.ask(CHANNELS, token=right)).status == 200


async def test_tokens_that_are_tried_on_sockets_count_too(config: Settings) -> None:
    async with limited(config, failed_tokens_per_minute=2) as (gateway, http):
        for _ in range(2):
            async with socket(gateway.ws_url, init=False) as one:
                with pytest.raises(Closed) as closed:
                    await one.init({"token": "guess"})
                assert closed.value.code == 4403
        assert (await http.ask(CHANNELS, token=People(gateway).admin)).status == 429


async def test_messages_on_a_socket_are_requests(config: Settings) -> None:
    async with limited(config, requests_per_minute=3) as (gateway, http):
        token = gateway.token(Role.MEMBER, new_id())
        async with socket(gateway.ws_url, token) as opened:  # the first
            for _ in range(2):
                assert await (await opened.start(CHANNELS)).data()
            with pytest.raises(Refused) as refused:
                await (await opened.start(CHANNELS)).next()
            assert refused.value.errors[0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 20}
            with clock.frozen(NOW + timedelta(seconds=20)):
                assert await (await opened.start(CHANNELS)).data()
        assert (await http.ask(CHANNELS, token=token)).status == 429


async def test_events_are_limited_as_requests_are(config: Settings) -> None:
    async with limited(config, requests_per_minute=1) as (gateway, http):
        staff = People(gateway).staff
        async with events(http, CHANNELS, token=staff) as seen:
            assert (await seen.next())[0] == "next"
        async with events(http, CHANNELS, token=staff) as seen:
            assert seen.response.status_code == 429


async def test_behind_a_proxy_the_clients_address_counts(config: Settings) -> None:
    async with limited(config, address_requests_per_minute=1, trusted_proxies="127.0.0.1") as (_, http):

        async def ask(client: str) -> httpx.Response:
            headers = {"X-Forwarded-For": client, "Accept": MEDIA_TYPE}
            return await http.raw.post("/graphql", json={"query": "{ __typename }"}, headers=headers)

        asked = ["198.51.100.1", "198.51.100.2", "198.51.100.1", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2"]
        assert [(await ask(client)).status_code for client in asked] == [200, 200, 429, 200, 429]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_whoever_has_a_network_has_one_address(host: str | None, network: str) -> None:
    assert network_of(host) == network


@pytest.mark.parametrize(("most", "told"), [({"sockets_max": 3}, "all"), ({"address_sockets_max": 3}, "one address")])
async def test_only_so_many_sockets_are_open_at_once(config: Settings, most: dict[str, int], told: str) -> None:
    """One more is turned away with a code, those that are open go on, and one that closes makes room."""
    async with limited(config, **most) as (gateway, _):
        people, before = People(gateway), counted("sockets")
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(socket(gateway.ws_url, people.staff)) for _ in range(3)]
            async with socket(gateway.ws_url, init=False) as one:
                closed = await one.end()
            assert (closed.code, closed.reason) == (1013, "Too many sockets are open; connect again later"), told
            assert counted("sockets") == before + 1
            for each in opened:
                assert (await (await each.start(CHANNELS)).data())["channels"]
        await until(lambda: len(gateway.sockets.open) == 0)
        async with socket(gateway.ws_url, people.staff) as one:
            assert (await (await one.start(CHANNELS)).data())["channels"]
