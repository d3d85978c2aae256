"""Budgets as clients meet them, over HTTP, a websocket and Server-Sent Events: told, exhausted, and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from engage.base import clock
from engage.base.actor import Role
from engage.base.ids import new_id
from engage.base.metrics import REGISTRY
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import MEDIA_TYPE, HttpClient, Json, Refused, read, socket
from tests.api.conftest import People, give, new_key
from tests.api.gateway import Gateway, serving
from tests.api.tables import everything
from tests.api.test_sse import events

SIZE, RESTORE = 100, 4
CHANNELS = "{ channels { code } }"  # 10
PROGRAMS = "{ programs { code stores { code } } }"  # 110
LIMIT = "{ rateLimit { cost limit remaining restoreRate resetAt } }"
EARN = """mutation ($input: EarnPointsInput!) { earnPoints(input: $input) {
    __typename ... on EarnPointsPayload { balance { available } } ... on Problem { code } } }"""
WATCH = "subscription ($id: ID!) { pointsChanged(memberId: $id) { balance { available } } }"
NOW = clock.now()


@pytest.fixture(scope="module")
async def gateway(config: Settings) -> AsyncIterator[Gateway]:
    small = {
        "operation_cost_max": 105,
        "budget_size": SIZE,
        "budget_restore_per_s": RESTORE,
        "service_budget_size": 10 * SIZE,
        "service_budget_restore_per_s": RESTORE,
    }
    async with serving(config.model_copy(update=small)) as started:
        await seed_basics()
        yield started


@pytest.fixture(autouse=True)
def _at_rest() -> Iterator[None]:
    """Nothing comes back while the clock stands."""
    with clock.frozen(NOW):
        yield


@asynccontextmanager
async def later(seconds: float) -> AsyncIterator[None]:
    with clock.frozen(NOW + timedelta(seconds=seconds)):
        yield


@pytest.fixture
def token(gateway: Gateway) -> Callable[[], str]:
    """Makes the token of a member that nobody else is, whose budget is full."""
    return lambda: gateway.token(Role.MEMBER, new_id())


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("engage_refused_by_limit_total", {"kind": kind}) or 0.0


async def test_each_answer_tells_what_it_cost(http: HttpClient, token: Callable[[], str]) -> None:
    mine = token()
    for left in (90, 80, 70):
        answer = await http.ask(CHANNELS, token=mine)
        assert answer.body["extensions"] == {
            "cost": {"requested": 10, "available": left, "maximum": SIZE, "restoreRate": RESTORE}
        }
    refused = await http.ask("{ jobs(first: 3) { edges { node { id } } } }", token=mine)
    assert refused.code == "FORBIDDEN"
    assert refused.body["extensions"]["cost"]["available"] == 70 - 4


async def test_the_budget_can_be_asked_for(http: HttpClient, people: People, token: Callable[[], str]) -> None:
    mine = token()
    await http.ask(CHANNELS, token=mine)
    standing = (await http.ask(LIMIT, token=mine)).data["rateLimit"]
    assert datetime.fromisoformat(standing.pop("resetAt")) - NOW == pytest.approx(
        timedelta(seconds=11 / RESTORE), abs=timedelta(milliseconds=1)
    )
    assert standing == {"cost": 1, "limit": SIZE, "remaining": 89, "restoreRate": RESTORE}
    assert (await http.ask("{ rateLimit { limit } }")).data == {"rateLimit": {"limit": SIZE}}  # without a token
    assert (await http.ask(LIMIT, token=people.service)).data["rateLimit"]["limit"] == 10 * SIZE


async def exhaust(http: HttpClient, token: str) -> None:
    for _ in range(SIZE // 10):
        assert (await http.ask(CHANNELS, token=token)).data


@pytest.mark.parametrize("accept", [MEDIA_TYPE, "application/json", "text/event-stream"])
async def test_who_has_spent_all_is_told_when_to_come_again(
    http: HttpClient, token: Callable[[], str], accept: str
) -> None:
    mine, before = token(), counted("budget")
    await exhaust(http, mine)
    headers = {"Accept": accept, "Authorization": f"Bearer {mine}"}
    answer = read(await http.raw.post("/graphql", json={"query": CHANNELS}, headers=headers))
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.error["extensions"] == {
        "code": "BUDGET_EXHAUSTED",
        "retryAfter": 3,
        "cost": 10,
        "available": 0,
        "maximum": SIZE,
        "restoreRate": RESTORE,
    }
    assert "data" not in answer.body
    assert counted("budget") == before + 1
    async with later(3):
        assert (await http.ask(CHANNELS, token=mine)).data


async def test_nothing_is_executed_and_nobody_else_is_harmed(http: HttpClient, people: People) -> None:
    member = await people.new(0)
    busy, calm = people.staff, people.admin

    async def earn(token: str) -> Any:
        given = {"memberId": member.gid, "amount": 5, "idempotencyKey": new_key()}
        return await http.ask(EARN, {"input": given}, token=token)

    await exhaust(http, busy)
    before = await everything()
    assert (await earn(busy)).code == "BUDGET_EXHAUSTED"
    assert await everything() == before
    done = await earn(calm)
    assert done.data["earnPoints"]["balance"] == {"available": 5}
    assert done.body["extensions"]["cost"]["available"] == SIZE - 11


async def test_one_operation_costs_so_much_and_no_more(http: HttpClient, people: People) -> None:
    before = counted("cost")
    page = 'exchangeRates(from: "a", to: "b", first: $n) { edges { node { version } } }'
    policies = " ".join(f"p{number}: pointsPolicy {{ version }}" for number in range(4))
    just = await http.ask(f"query ($n: Int!) {{ {page} {policies} }}", {"n": 100}, token=people.service)
    assert just.body["extensions"]["cost"]["requested"] == 105
    beyond = await http.ask(f"query ($n: Int!) {{ {page} {policies} me {{ id }} }}", {"n": 100}, token=people.service)
    assert (beyond.status, beyond.code) == (400, "COST_TOO_HIGH")
    assert beyond.error["extensions"] == {"code": "COST_TOO_HIGH", "cost": 106, "limit": 105}
    assert "106" in beyond.error["message"]
    assert "105" in beyond.error["message"]
    assert counted("cost") == before + 1


async def test_what_could_never_be_paid_for_is_too_dear(http: HttpClient, token: Callable[[], str]) -> None:
    answer = await http.ask(PROGRAMS, token=token())
    assert answer.error["extensions"] == {"code": "COST_TOO_HIGH", "cost": 110, "limit": SIZE}


async def test_over_a_socket_the_operation_is_refused_and_the_socket_stays(
    gateway: Gateway, http: HttpClient, people: People
) -> None:
    member = await people.new(10)
    async with socket(gateway.ws_url, member.token) as opened:
        watching = await opened.start(WATCH, {"id": member.gid})
        first = await watching.next()
        assert first["extensions"]["cost"] == {
            "requested": 11,
            "available": SIZE - 11,
            "maximum": SIZE,
            "restoreRate": RESTORE,
        }
        for _ in range(8):
            await (await opened.start(CHANNELS)).data()
        with pytest.raises(Refused) as refused:
            await (await opened.start(CHANNELS)).next()
        [error] = refused.value.errors
        assert (error["extensions"]["code"], error["extensions"]["retryAfter"]) == ("BUDGET_EXHAUSTED", 1)
        with pytest.raises(Refused) as refused:
            await (await opened.start(PROGRAMS)).next()
        assert refused.value.errors[0]["extensions"]["code"] == "COST_TOO_HIGH"
        assert (await http.ask(CHANNELS, token=member.token)).code == "BUDGET_EXHAUSTED"  # the same budget
        async with later(3):
            assert await (await opened.start(CHANNELS)).data()
        await give(member.id, 1)
        second = await watching.next()
        assert second["data"]["pointsChanged"]["balance"] == {"available": 11}
        assert "extensions" not in second


async def test_events_tell_it_with_the_first(http: HttpClient, people: People) -> None:
    member = await people.new(10)
    async with events(http, WATCH, {"id": member.gid}, token=member.token) as seen:
        _, answer = await seen.next()
        assert answer["extensions"]["cost"]["available"] == SIZE - 11
    async with events(http, CHANNELS, token=member.token) as seen:
        _, answer = await seen.next()
        assert answer["extensions"]["cost"]["available"] == SIZE - 21


async def test_persisted_and_got_queries_cost_the_same(http: HttpClient, token: Callable[[], str]) -> None:
    headers: Json = {"Accept": MEDIA_TYPE, "Authorization": f"Bearer {token()}"}
    answer = await http.raw.get("/graphql", params={"query": CHANNELS}, headers=headers)
    assert orjson.loads(answer.content)["extensions"]["cost"]["available"] == SIZE - 10


async def test_who_has_no_token_has_the_budget_of_the_address(http: HttpClient, token: Callable[[], str]) -> None:
    for _ in range(SIZE // 10):
        assert (await http.ask(CHANNELS)).code in ("UNAUTHENTICATED", "BUDGET_EXHAUSTED")
    assert (await http.ask(CHANNELS)).code == "BUDGET_EXHAUSTED"
    assert (await http.ask(CHANNELS, token=token())).data
