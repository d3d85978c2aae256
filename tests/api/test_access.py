"""API keys and revocations, as those who run a program and those who hold a key find them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import httpx
import jwt
import pytest

from engage.api.relay import local_id
from engage.base import clock, db
from engage.base.actor import SYSTEM, Role, Scope
from engage.base.crypto import issue_token
from engage.base.errors import Unauthenticated, Unavailable
from engage.domains.access import rules, service
from engage.domains.access.gate import Gate
from engage.domains.access.jobs import prune
from engage.domains.access.types import WithSecret
from tests.api.clients import DEADLINE_S, Answer, Closed, HttpClient, Json, socket
from tests.api.conftest import People, new_key
from tests.api.gateway import Gateway
from tests.api.test_sse import events
from tests.api.watching import watching

CREATE = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
    ... on CreateApiKeyPayload { secret apiKey { id actorId name role scopes state createdBy expiresAt lastUsedAt } }
    ... on Problem { code message path } } }"""
REVOKE = """mutation ($input: RevokeApiKeyInput!) { revokeApiKey(input: $input) {
    ... on RevokeApiKeyPayload { apiKey { id state revokedAt revokedBy } } ... on Problem { code path } } }"""
REVOKE_TOKENS = """mutation ($input: RevokeTokensInput!) { revokeTokens(input: $input) {
    ... on RevokeTokensPayload { revocation { kind value revokedBy } } ... on Problem { code message path } } }"""
KEYS = "{ apiKeys(first: 100) { edges { node { id state lastUsedAt } } } }"
EARN = """mutation ($input: EarnPointsInput!) { earnPoints(input: $input) {
    ... on EarnPointsPayload { transferId } ... on Problem { code message } } }"""
LOTS = "query ($id: ID!) { lots(memberId: $id, first: 1) { edges { cursor } } }"
CHANNELS = "{ channels { code } }"
TILL = {"name": "till 7", "role": "SERVICE", "scopes": ["POINTS_WRITE", "POINTS_READ"]}


async def made(http: HttpClient, people: People, **given: object) -> Json:
    answer = await http.ask(CREATE, {"input": TILL | given}, token=people.admin)
    found: Json = answer.data["createApiKey"]
    return found


async def earn(http: HttpClient, member: str, token: str) -> Json:
    given = {"memberId": member, "amount": 5, "idempotencyKey": new_key()}
    answer: Json = (await http.ask(EARN, {"input": given}, token=token)).data["earnPoints"]
    return answer


@asynccontextmanager
async def another_gate(gateway: Gateway) -> AsyncIterator[Gate]:
    """What another gateway, with the same database, lets people in by."""
    gate = Gate(gateway.config)
    await gate.start()
    try:
        yield gate
    finally:
        await gate.close()


async def until_refused(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until it is refused: a gateway learns of revocations within a second or two."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await ask()
            if answer.status == 401:
                return answer
            await asyncio.sleep(0.05)


async def test_a_key_does_what_its_scopes_say(gateway: Gateway, http: HttpClient, people: People) -> None:
    member = await people.new(10)
    key = await made(http, people, scopes=["POINTS_WRITE"])
    assert key["apiKey"] | {"id": "", "actorId": "", "expiresAt": ""} == {
        "id": "", "actorId": "", "expiresAt": "", "name": "till 7", "role": "SERVICE", "scopes": ["POINTS_WRITE"],
        "state": "ACTIVE", "createdBy": "admin-1", "lastUsedAt": None,
    }  # fmt: skip
    assert "transferId" in await earn(http, member.gid, key["secret"])
    row = await db.fetch_row(
        "SELECT actor_id FROM transfers WHERE member_id = $1 ORDER BY id DESC LIMIT 1", member.id
    )
    assert row is not None
    assert row["actor_id"] == key["apiKey"]["actorId"]
    refused = await http.ask("query ($id: ID!) { member(id: $id) { id } }", {"id": member.gid}, token=key["secret"])
    assert refused.code == "FORBIDDEN"
    assert "the scope members:read" in refused.error["message"]
    async with socket(gateway.ws_url, key["secret"]) as one:
        assert (await (await one.start(CHANNELS)).data())["channels"]


async def test_the_secret_is_told_once_and_kept_nowhere(http: HttpClient, people: People) -> None:
    key = await made(http, people)
    key_id, secret = rules.taken_apart(key["secret"]) or (None, "")
    row = await db.fetch_row("SELECT api_keys::text AS whole, secret_hash FROM api_keys WHERE id = $1", key_id)
    assert row is not None
    assert secret not in row["whole"]
    assert row["secret_hash"] == rules.hashed(secret)
    events = await db.fetch("SELECT data::text AS text FROM events WHERE stream = 'access'")
    assert events
    assert not [one for one in events if secret in one["text"] or "till 7" in one["text"]]


async def test_a_revoked_key_opens_nothing_on_any_gateway(gateway: Gateway, http: HttpClient, people: People) -> None:
    member = await people.new(10)
    key = await made(http, people)
    async with another_gate(gateway) as other, socket(gateway.ws_url, key["secret"]) as one:
        assert (await http.ask(LOTS, {"id": member.gid}, token=key["secret"])).data
        grant = await other.admit(key["secret"])
        answer = await http.ask(REVOKE, {"input": {"id": key["apiKey"]["id"]}}, token=people.admin)
        assert answer.data["revokeApiKey"]["apiKey"]["state"] == "REVOKED"
        assert answer.data["revokeApiKey"]["apiKey"]["revokedBy"] == "admin-1"
        refused = await until_refused(lambda: http.ask(CHANNELS, token=key["secret"]))
        assert refused.code == "UNAUTHENTICATED"
        assert "revoked" in refused.error["message"]
        assert (await one.end()).code == 4403
        async with asyncio.timeout(DEADLINE_S):
            assert "revoked" in await other.over(grant)
        with pytest.raises(Unauthenticated, match="revoked"):
            await other.admit(key["secret"])
        with pytest.raises(Closed) as closed:
            async with socket(gateway.ws_url, key["secret"]):
                pass
        assert closed.value.code == 4403
        again = await http.ask(REVOKE, {"input": {"id": key["apiKey"]["id"]}}, token=people.admin)
        assert again.data["revokeApiKey"] == answer.data["revokeApiKey"]


async def test_two_revocations_at_once_are_one(http: HttpClient, people: People) -> None:
    key = await made(http, people)
    given = {"input": {"id": key["apiKey"]["id"]}}
    answers = await asyncio.gather(*(http.ask(REVOKE, given, token=people.admin) for _ in range(5)))
    assert len({answer.data["revokeApiKey"]["apiKey"]["revokedAt"] for answer in answers}) == 1
    value = str(local_id("ApiKey", key["apiKey"]["id"], path=[]))
    assert await db.fetch_value("SELECT count(*) FROM revocations WHERE value = $1", value) == 1


async def test_an_expired_key_opens_nothing(http: HttpClient, people: People) -> None:
    key = await made(http, people, validDays=1)
    assert (await http.ask(CHANNELS, token=key["secret"])).data
    with clock.frozen(clock.now() + timedelta(days=1, seconds=1)):
        refused = await http.ask(CHANNELS, token=key["secret"])
        assert (refused.status, refused.error["message"]) == (401, "The API key has expired; get a new one.")
        assert (await service.revoke_key(SYSTEM, local_id("ApiKey", key["apiKey"]["id"], path=[]))).state == "REVOKED"


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace(key[7:15], "0" * 8),
        lambda key: "engage_" + key[20:],
        lambda _: "engage_",
        lambda key: key.split("_")[0] + "_" + key.split("_")[1],
        lambda key: key.replace("engage_", "engage_é"),
    ],
    ids=["wrong secret", "unknown id", "short id", "nothing", "no secret", "other letters"],
)
async def test_what_is_no_key_opens_nothing(http: HttpClient, people: People, change: Callable[[str], str]) -> None:
    key = await made(http, people)
    answer = await http.raw.post(
        "/graphql",
        json={"query": CHANNELS},
        headers=httpx.Headers({"Authorization": f"Bearer {change(key['secret'])}"}, encoding="utf-8"),
    )
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["message"] == "The API key is not valid here."


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"role": "MEMBER"}, "INVALID_INPUT", "role"),
        ({"scopes": []}, "INVALID_INPUT", "scopes"),
        ({"scopes": ["JOBS_WRITE"]}, "INVALID_INPUT", "scopes"),
        ({"validDays": 0}, "INVALID_INPUT", "validDays"),
        ({"validDays": 367}, "INVALID_INPUT", "validDays"),
        ({"name": " "}, "INVALID_INPUT", "name"),
        ({"name": "n" * 81}, "INVALID_INPUT", "name"),
    ],
)
async def test_a_key_that_cannot_be(http: HttpClient, people: People, given: Json, code: str, path: str) -> None:
    problem = await made(http, people, **given)
    assert (problem["code"], problem["path"]) == (code, [path])


async def test_nobody_gives_away_more_than_is_theirs(gateway: Gateway, http: HttpClient) -> None:
    narrow = issue_token(
        gateway.config,
        Role.ADMIN,
        subject="keeper",
        scopes=[Scope.ACCESS_WRITE, Scope.POINTS_READ],
        valid_for=timedelta(hours=1),
    )
    answer = await http.ask(CREATE, {"input": TILL | {"scopes": ["POINTS_WRITE"]}}, token=narrow)
    problem = answer.data["createApiKey"]
    assert (problem["code"], problem["path"]) == ("FORBIDDEN", ["scopes"])
    answer = await http.ask(CREATE, {"input": TILL | {"scopes": ["POINTS_READ"]}}, token=narrow)
    assert answer.data["createApiKey"]["secret"]


async def test_there_are_only_so_many_keys(http: HttpClient, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    present: int = await db.fetch_value("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL")
    monkeypatch.setattr(service, "KEYS_MAX", present + 1)
    found = await asyncio.gather(*(made(http, people) for _ in range(4)))
    assert sorted(one.get("code", "made") for one in found) == ["TOO_MANY_API_KEYS"] * 3 + ["made"]


async def test_when_a_key_was_last_used_is_told(gateway: Gateway, http: HttpClient, people: People) -> None:
    key = await made(http, people)
    async with another_gate(gateway) as gate:
        await gate.admit(key["secret"])
    listed = (await http.ask(KEYS, token=people.admin)).data["apiKeys"]["edges"]
    [found] = [one["node"] for one in listed if one["node"]["id"] == key["apiKey"]["id"]]
    assert found["lastUsedAt"] is not None


def claims_of(token: str) -> Json:
    found: Json = jwt.decode(token, options={"verify_signature": False})
    return found


async def test_one_token_is_revoked(gateway: Gateway, http: HttpClient, people: People) -> None:
    one, other = gateway.token(Role.STAFF), gateway.token(Role.STAFF)
    given = {"input": {"tokenId": claims_of(one)["jti"]}}
    answer = await http.ask(REVOKE_TOKENS, given, token=people.admin)
    revocation = answer.data["revokeTokens"]["revocation"]
    assert revocation == {"kind": "TOKEN", "value": claims_of(one)["jti"], "revokedBy": "admin-1"}
    await until_refused(lambda: http.ask(CHANNELS, token=one))
    assert (await http.ask(CHANNELS, token=other)).data


@pytest.mark.parametrize("by", ["subject", "memberId"])
async def test_all_tokens_of_somebody_are_revoked_and_later_ones_are_good(
    gateway: Gateway, http: HttpClient, people: People, by: str
) -> None:
    member, other = await people.new(10), await people.new(10)
    tokens = [gateway.token(Role.MEMBER, member.id, valid_for=timedelta(minutes=10 + n)) for n in range(2)]
    async with watching(gateway, member) as open_socket, events(http, CHANNELS, token=tokens[0]):
        await open_socket.frame()
        value = member.gid if by == "memberId" else str(member.id)
        await http.ask(REVOKE_TOKENS, {"input": {by: value}}, token=people.admin)
        for token in tokens:
            await until_refused(lambda token=token: http.ask(CHANNELS, token=token))  # type: ignore[misc]
        with pytest.raises(Closed) as closed:
            await open_socket.frame()
        assert (closed.value.code, "revoked" in closed.value.reason) == (4403, True)
    assert (await http.ask(CHANNELS, token=other.token)).data
    with clock.frozen(clock.now() + timedelta(seconds=2)):
        later = gateway.token(Role.MEMBER, member.id)
        assert (await http.ask(CHANNELS, token=later)).data


async def test_a_stream_of_events_ends_when_its_token_is_revoked(http: HttpClient, people: People) -> None:
    member = await people.new(10)
    watch = "subscription ($id: ID!) { pointsChanged(memberId: $id) { position balance { available } } }"
    async with events(http, watch, {"id": member.gid}, token=member.token) as seen:
        assert await seen.available() == 10
        await service.revoke_tokens(SYSTEM, member_id=member.id)
        name, answer = await seen.next()
        assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
        assert "revoked" in answer["errors"][0]["message"]
        assert await seen.next() == ("complete", None)


@pytest.mark.parametrize(
    "given",
    [{}, {"tokenId": "a", "subject": "b"}, {"tokenId": ""}, {"subject": "s" * 81}],
    ids=["none", "two", "empty", "long"],
)
async def test_a_revocation_of_nothing(http: HttpClient, people: People, given: Json) -> None:
    before = await db.fetch_value("SELECT count(*) FROM revocations")
    answer = await http.ask(REVOKE_TOKENS, {"input": given}, token=people.admin)
    assert answer.data["revokeTokens"]["code"] == "INVALID_INPUT"
    assert await db.fetch_value("SELECT count(*) FROM revocations") == before


async def test_a_gateway_that_starts_knows_what_was_revoked(gateway: Gateway) -> None:
    token = gateway.token(Role.STAFF)
    await service.revoke_tokens(SYSTEM, token_id=claims_of(token)["jti"])
    async with another_gate(gateway) as gate:
        with pytest.raises(Unauthenticated, match="revoked"):
            await gate.admit(token)
        with pytest.raises(Unauthenticated, match="revoked"):
            await gate.admit(token)


async def test_without_knowing_what_was_revoked_nobody_is_let_in(gateway: Gateway) -> None:
    gate = Gate(gateway.config)
    with pytest.raises(Unavailable):
        await gate.admit(gateway.token(Role.STAFF))


async def test_a_token_that_holds_for_years_is_not_accepted(gateway: Gateway, http: HttpClient) -> None:
    token = gateway.token(Role.STAFF, valid_for=timedelta(days=368))
    assert (await http.ask(CHANNELS, token=token)).status == 401


@pytest.mark.usefixtures("http")
async def test_revocations_are_forgotten_when_nothing_they_are_about_holds() -> None:
    made_: WithSecret = await service.create_key(
        SYSTEM, name="gone", role=Role.SERVICE, scopes=[Scope.POINTS_READ], valid_days=1
    )
    await service.revoke_key(SYSTEM, made_.key.id)
    await prune()
    assert await _kept(made_.key.id) == 1
    with clock.frozen(clock.now() + timedelta(days=370)):
        await prune()
    assert await _kept(made_.key.id) == 0


async def _kept(key_id: UUID) -> int:
    found: int = await db.fetch_value("SELECT count(*) FROM revocations WHERE value = $1", str(key_id))
    return found


async def test_what_a_later_release_revokes_in_another_way_hides_nothing(gateway: Gateway) -> None:
    await db.execute(
        "INSERT INTO revocations (id, mark, value, revoked_at, revoked_by, keep_until)"
        " VALUES (engage.uuid7($1), 'DEVICE', 'phone-1', $1, 'later', $1 + interval '1 day')",
        clock.now(),
    )
    token = gateway.token(Role.STAFF)
    await service.revoke_tokens(SYSTEM, token_id=claims_of(token)["jti"])
    async with another_gate(gateway) as gate:
        with pytest.raises(Unauthenticated, match="revoked"):
            await gate.admit(token)
