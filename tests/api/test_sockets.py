"""The protocol graphql-transport-ws: how a socket begins, what it carries, and why it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from engage.api import sockets
from engage.api.documents import sha256
from engage.base.actor import Role, Scope
from engage.base.crypto import issue_token
from tests.api.clients import DEADLINE_S, Json, Operation, Refused, Socket, socket
from tests.api.conftest import People, Person, give, new_key
from tests.api.gateway import Gateway
from tests.api.test_http import bad_tokens

CHANNELS = "{ channels { code } }"
WATCH = "subscription ($id: ID!) { pointsChanged(memberId: $id) { position balance { available } } }"
SPEND = """mutation ($input: SpendPointsInput!) { spendPoints(input: $input) {
    __typename ... on SpendPointsPayload { position balance { available } } } }"""


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(100)


@pytest.fixture
async def opened(gateway: Gateway, people: People) -> AsyncIterator[Socket]:
    """A socket of a member of staff."""
    async with socket(gateway.ws_url, people.staff) as one:
        yield one


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.01)


async def test_a_socket_begins_with_a_token(gateway: Gateway, member: Person) -> None:
    for payload in (
        {"token": member.token},
        {"Authorization": f"Bearer {member.token}"},
        {"authorization": f"Bearer {member.token}", "x": 1},
    ):
        async with socket(gateway.ws_url, init=False) as one:
            assert await one.init(payload) == {"type": "connection_ack", "payload": {}}
            me = await (await one.start("{ me { id } }")).data()
            assert me == {"me": {"id": member.gid}}


@pytest.mark.parametrize("payload", [None, {}, {"token": 5}])
async def test_a_socket_without_a_token_may_do_nothing(gateway: Gateway, payload: dict[str, object] | None) -> None:
    async with socket(gateway.ws_url, init=False) as one:
        assert (await one.init(payload))["type"] == "connection_ack"
        answer = await (await one.start(CHANNELS)).next()
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_a_socket_that_does_not_begin_is_closed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gateway.sockets.connection_init_wait_timeout == sockets.INIT_TIMEOUT
    monkeypatch.setattr(gateway.sockets, "connection_init_wait_timeout", timedelta(seconds=0.05))
    async with socket(gateway.ws_url, init=False) as one:
        assert (await one.end()).code == 4408


async def test_a_second_beginning_closes_the_socket(opened: Socket) -> None:
    await opened.send({"type": "connection_init"})
    assert (await opened.end()).code == 4429


async def test_an_operation_before_the_beginning_closes_the_socket(gateway: Gateway) -> None:
    async with socket(gateway.ws_url, init=False) as one:
        await one.start(CHANNELS)
        assert (await one.end()).code == 4401


async def test_a_token_that_does_not_hold_closes_the_socket(gateway: Gateway) -> None:
    for fault, token in bad_tokens(gateway):
        async with socket(gateway.ws_url, init=False) as one:
            await one.send({"type": "connection_init", "payload": {"token": token}})
            assert (await one.end()).code == 4403, fault


async def test_an_id_that_is_in_use_closes_the_socket(opened: Socket, member: Person) -> None:
    watching = await opened.start(WATCH, {"id": member.gid}, name="same")
    await watching.data()
    await opened.start(CHANNELS, name="same")
    assert (await opened.end()).code == 4409


async def test_an_id_may_be_used_again_after_its_end(opened: Socket) -> None:
    for _ in range(3):
        operation = await opened.start(CHANNELS, name="again")
        assert len((await operation.data())["channels"]) == 8
        await operation.completion()


@pytest.mark.parametrize(
    "garbage",
    [
        "", "garbage", "{", "[]", "null", "5", '"text"', "{}", '{"type": null}', '{"type": 5}', '{"type": ["ping"]}',
        '{"type": "nonsense"}', '{"type": "start", "id": "1"}', '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": ["1"], "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1", "payload": "{ __typename }"}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 5}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": "x"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "operationName": 5}}',
        '{"type": "complete"}', '{"type": "complete", "id": {}}', '{"type": "ping", "payload": 5}', '{"\\ud800": 1}',
        "[" * 5000,
    ],
)  # fmt: skip
async def test_what_is_no_message_closes_the_socket(opened: Socket, garbage: str) -> None:
    await opened.send(garbage)
    closed = await opened.end()
    assert (closed.code, bool(closed.reason)) == (4400, True)


async def test_a_binary_frame_closes_the_socket(opened: Socket) -> None:
    await opened.connection.send(b'{"type": "ping"}')
    assert (await opened.end()).code == 4400


async def test_a_frame_that_is_too_large_closes_the_socket(gateway: Gateway, opened: Socket) -> None:
    await opened.send(f'{{"type": "ping", "payload": {{"x": "{"x" * gateway.config.body_size_max}"}}}}')
    assert (await opened.end()).code == 1009


@pytest.mark.parametrize("protocols", [[], ["graphql-ws"], ["mqtt"]])
async def test_other_protocols_are_closed(gateway: Gateway, protocols: list[str]) -> None:
    asked = [Subprotocol(one) for one in protocols] or None
    async with connect(gateway.ws_url, subprotocols=asked, proxy=None) as connection:
        async with asyncio.timeout(DEADLINE_S):
            await connection.wait_closed()
        assert connection.close_code == 4406


async def test_ping_is_answered_before_and_after_the_beginning(gateway: Gateway) -> None:
    async with socket(gateway.ws_url, init=False) as one:
        await one.send({"type": "ping"})
        assert await one.other() == {"type": "pong"}
        await one.init({})
        await one.send({"type": "pong", "payload": {"any": "thing"}})
        await one.send({"type": "ping", "payload": {"any": "thing"}})
        assert await one.other() == {"type": "pong"}


async def test_complete_ends_a_subscription(gateway: Gateway, opened: Socket, member: Person) -> None:
    await until(lambda: gateway.hub.subscribers == 0)
    watching = await opened.start(WATCH, {"id": member.gid})
    await watching.data()
    assert gateway.hub.subscribers == 1
    await watching.stop()
    await until(lambda: gateway.hub.subscribers == 0)
    await give(member.id, 1)
    assert len((await (await opened.start(CHANNELS)).data())["channels"]) == 8
    assert watching._inbox.empty()
    await opened.send({"type": "complete", "id": "of nothing"})
    assert len((await (await opened.start(CHANNELS)).data())["channels"]) == 8


async def test_a_socket_that_goes_ends_its_subscriptions(gateway: Gateway, people: People, member: Person) -> None:
    await until(lambda: gateway.hub.subscribers == 0)
    async with socket(gateway.ws_url, people.staff) as one:
        for _ in range(3):
            await (await one.start(WATCH, {"id": member.gid})).data()
        assert gateway.hub.subscribers == 3
    await until(lambda: gateway.hub.subscribers == 0)
    async with socket(gateway.ws_url, people.staff) as one:
        await (await one.start(WATCH, {"id": member.gid})).data()
        one.connection.transport.abort()
        assert (await one.end()).code == 1006
    await until(lambda: gateway.hub.subscribers == 0)


async def test_queries_and_mutations_go_over_a_socket(gateway: Gateway, member: Person) -> None:
    async with socket(gateway.ws_url, member.token) as one:
        operation = await one.start("{ me { balance { available } } }")
        assert await operation.data() == {"me": {"balance": {"available": 100}}}
        await operation.completion()
        given = {"memberId": member.gid, "amount": 40, "idempotencyKey": new_key()}
        spent = await (await one.start(SPEND, {"input": given})).data()
        assert spent["spendPoints"]["balance"] == {"available": 60}


async def test_two_operations_run_at_once(gateway: Gateway, people: People) -> None:
    one, two = await people.new(10), await people.new(20)
    async with socket(gateway.ws_url, people.staff) as opened:
        first = await opened.start(WATCH, {"id": one.gid})
        second = await opened.start(WATCH, {"id": two.gid})
        assert (await second.data())["pointsChanged"]["balance"] == {"available": 20}
        assert (await first.data())["pointsChanged"]["balance"] == {"available": 10}
        await give(two.id, 1)
        assert (await second.data())["pointsChanged"]["balance"] == {"available": 21}
        await give(one.id, 1)
        assert (await first.data())["pointsChanged"]["balance"] == {"available": 11}


async def test_a_faulty_document_ends_its_operation_alone(opened: Socket, member: Person) -> None:
    watching = await opened.start(WATCH, {"id": member.gid})
    await watching.data()
    for query in ("{", "{ nonsense }", "query A { __typename } query B { __typename }", ""):
        with pytest.raises(Refused) as refused:
            await (await opened.start(query)).next()
        assert [error["extensions"]["code"] for error in refused.value.errors] == ["BAD_REQUEST"]
    wrong = await (await opened.start(WATCH, {"id": None})).next()
    assert [error["extensions"]["code"] for error in wrong["errors"]] == ["BAD_REQUEST"]
    await give(member.id, 1)
    assert (await watching.data())["pointsChanged"]["balance"] == {"available": 101}


async def test_there_is_a_limit_to_operations_at_once(gateway: Gateway, opened: Socket, member: Person) -> None:
    watching = [await opened.start(WATCH, {"id": member.gid}) for _ in range(sockets.OPERATIONS_MAX)]
    for one in watching:
        await one.data()
    with pytest.raises(Refused):
        await (await opened.start(CHANNELS)).next()
    await watching[0].stop()
    await until(lambda: gateway.hub.subscribers == sockets.OPERATIONS_MAX - 1)
    assert (await (await opened.start(CHANNELS)).data())["channels"]


async def test_a_flood_of_messages_closes_its_socket_alone(gateway: Gateway, opened: Socket, member: Person) -> None:
    async with socket(gateway.ws_url, member.token) as other:
        watching = await other.start(WATCH, {"id": member.gid})
        await watching.data()
        with suppress(ConnectionClosed):
            for _ in range(2 * int(sockets.MESSAGES.size)):
                await opened.send({"type": "ping"})
        closed = await opened.end()
        assert (closed.code, closed.reason) == (1008, "Too many messages")
        await give(member.id, 1)
        assert (await watching.data())["pointsChanged"]["balance"] == {"available": 101}


async def test_ten_thousand_subscriptions_on_one_socket(gateway: Gateway, opened: Socket, member: Person) -> None:
    """As many as there may be begin; the rest is refused, and the socket closed. Others do not notice."""
    async with socket(gateway.ws_url, member.token) as other:
        with suppress(ConnectionClosed):
            for n in range(10_000):
                payload = {"query": WATCH, "variables": {"id": member.gid}}
                await opened.send({"type": "subscribe", "id": f"op-{n}", "payload": payload})
        assert (await opened.end()).code == 1008
        assert len((await (await other.start(CHANNELS)).data())["channels"]) == 8
    await until(lambda: gateway.hub.subscribers == 0)


def renewal(token: str) -> dict[str, object]:
    return {"type": "ping", "payload": {"token": token}}


async def test_a_socket_lives_on_with_a_new_token(
    gateway: Gateway, member: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.config, "jwt_leeway_s", 0)
    short, long_ = (
        gateway.token(Role.MEMBER, member.id, valid_for=timedelta(seconds=seconds)) for seconds in (2, 3600)
    )
    async with socket(gateway.ws_url, short) as one:
        watching = await one.start(WATCH, {"id": member.gid})
        await watching.data()
        await one.send(renewal(long_))
        assert await one.other() == {"type": "pong"}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await one.end()
        await give(member.id, 1)
        assert (await watching.data())["pointsChanged"]["balance"] == {"available": 101}


@pytest.mark.parametrize("what", ["bad", "of another", "of another role", "with fewer scopes"])
async def test_a_token_that_will_not_do_closes_the_socket(
    gateway: Gateway, people: People, member: Person, what: str
) -> None:
    other = await people.new()
    subject, hour = str(member.id), timedelta(hours=1)
    token = {
        "bad": member.token[:-4] + "AAAA",
        "of another": other.token,
        "of another role": issue_token(gateway.config, Role.STAFF, subject=subject, valid_for=hour),
        "with fewer scopes": issue_token(
            gateway.config,
            Role.MEMBER,
            subject=subject,
            member_id=member.id,
            scopes=[Scope.POINTS_READ],
            valid_for=hour,
        ),
    }[what]
    async with socket(gateway.ws_url, member.token) as one:
        await one.send(renewal(token))
        assert (await one.end()).code == 4403


async def test_a_document_comes_by_its_hash(opened: Socket) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256(CHANNELS)}}
    unknown = await _start(opened, {"extensions": extensions})
    with pytest.raises(Refused) as refused:
        await unknown.next()
    assert refused.value.errors[0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    for payload in ({"query": CHANNELS, "extensions": extensions}, {"extensions": extensions}):
        assert len((await (await _start(opened, payload)).data())["channels"]) == 8
    wrongs: list[Json] = [{"documentId": 5}, {"extensions": []}, {"extensions": {"persistedQuery": {}}}]
    for wrong in wrongs:
        with pytest.raises(Refused) as refused:
            await (await _start(opened, wrong)).next()
        assert refused.value.errors[0]["extensions"]["code"] == "BAD_REQUEST"


async def _start(one: Socket, payload: Json) -> Operation:
    operation = await one.start("{ __typename }")
    await operation.data()
    await operation.completion()
    operation.completed = False
    await one.send({"type": "subscribe", "id": operation.name, "payload": payload})
    return operation


async def test_a_socket_is_closed_when_its_token_expires(
    gateway: Gateway, member: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.config, "jwt_leeway_s", 0)
    token = gateway.token(Role.MEMBER, member.id, valid_for=timedelta(seconds=2))
    async with socket(gateway.ws_url, token) as one:
        watching = await one.start(WATCH, {"id": member.gid})
        await watching.data()
        closed = await one.end()
    assert (closed.code, closed.reason) == (4403, "The token has expired; get a new one.")
    await until(lambda: gateway.hub.subscribers == 0)
