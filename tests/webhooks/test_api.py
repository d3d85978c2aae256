"""Webhooks as an admin's client sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engage.base import clock
from engage.base.actor import Role
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import HttpClient, http_client
from tests.api.gateway import Gateway, serving
from tests.webhooks.conftest import hang_up
from tests.webhooks.receivers import answer, receiving
from tests.webhooks.telling import NOW, REGISTERED, carry_out, happen

ENDPOINT = """id url description events state disabledReason failures failingSince nextTryAt waiting dead
    formerSecretUntil"""


@pytest.fixture(scope="module")
async def gateway(config: Settings) -> AsyncIterator[Gateway]:
    async with serving(config) as started:
        await seed_basics()
        yield started
    await hang_up()


@pytest.fixture(scope="module")
async def http(gateway: Gateway) -> AsyncIterator[HttpClient]:
    async with http_client(gateway.url) as client:
        yield client


class Admin:
    """Runs commands of webhooks; fails where one is refused."""

    def __init__(self, http: HttpClient, token: str) -> None:
        self._http = http
        self._token = token

    async def run(self, name: str, fields: str, **given: object) -> Any:
        title = name[0].upper() + name[1:]
        document = f"""mutation ($input: {title}Input!) {{
            {name}(input: $input) {{ ... on {title}Payload {{ {fields} }} }} }}"""
        answered = await self._http.ask(document, {"input": given}, token=self._token)
        assert answered.data[name], answered.body
        return answered.data[name]

    async def ask(self, document: str, **given: object) -> Any:
        return (await self._http.ask(document, given, token=self._token)).data


@pytest.fixture
def admin(gateway: Gateway, http: HttpClient) -> Admin:
    return Admin(http, gateway.token(Role.ADMIN))


async def test_the_life_of_an_endpoint(admin: Admin) -> None:
    async with receiving() as receiver:
        made = await admin.run(
            "createWebhookEndpoint",
            f"secret endpoint {{ {ENDPOINT} }}",
            url=receiver.url, events=[REGISTERED], description="Till",
        )  # fmt: skip
        endpoint, secret = made["endpoint"], made["secret"]
        assert endpoint | {"id": ""} == {
            "id": "", "url": receiver.url, "description": "Till", "events": [REGISTERED], "state": "ACTIVE",
            "disabledReason": None, "failures": 0, "failingSince": None, "nextTryAt": None, "waiting": 0, "dead": 0,
            "formerSecretUntil": None,
        }  # fmt: skip
        tested = await admin.run("testWebhook", "messageId", id=endpoint["id"])
        await carry_out()
        assert receiver.deliveries[0].headers["webhook-id"] == tested["messageId"]
        assert receiver.deliveries[0].signed_with(secret)

        receiver.answers = [answer(503)]
        with clock.frozen(NOW):
            await happen(3)
            await carry_out()
        seen = await admin.ask(f"query ($id: ID!) {{ webhookEndpoint(id: $id) {{ {ENDPOINT} }} }}", id=endpoint["id"])
        shown = seen["webhookEndpoint"]
        assert (shown["failures"], shown["waiting"], shown["dead"]) == (1, 3, 0)
        assert shown["failingSince"] == "2026-06-01T12:00:00+00:00"
        assert shown["nextTryAt"] > shown["failingSince"]

        paused = await admin.run("pauseWebhookEndpoint", "endpoint { state }", id=endpoint["id"])
        assert paused["endpoint"]["state"] == "PAUSED"
        resumed = await admin.run("resumeWebhookEndpoint", "endpoint { state failures }", id=endpoint["id"])
        assert resumed["endpoint"] == {"state": "ACTIVE", "failures": 0}
        await carry_out()
        assert len(receiver.deliveries) == 5

        rotated = await admin.run(
            "rotateWebhookSecret", "secret endpoint { formerSecretUntil }", id=endpoint["id"], overlapHours=1
        )
        assert rotated["secret"] != secret
        assert rotated["endpoint"]["formerSecretUntil"] is not None
        replayed = await admin.run("replayWebhook", "jobId askedBefore", id=endpoint["id"], since=NOW.isoformat())
        assert replayed["askedBefore"] is False
        job = await admin.ask("query ($id: ID!) { job(id: $id) { kind } }", id=replayed["jobId"])
        assert job["job"] == {"kind": "webhooks.replay"}
        await carry_out()
        assert [one.signed_with(rotated["secret"]) for one in receiver.deliveries[5:]] == [True] * 3

        updated = await admin.run("updateWebhookEndpoint", "endpoint { events }", id=endpoint["id"], events=["*"])
        assert updated["endpoint"]["events"] == ["*"]
        deleted = await admin.run("deleteWebhookEndpoint", "id", id=endpoint["id"])
        assert deleted["id"] == endpoint["id"]
        left = await admin.ask("{ webhookEndpoints(first: 10) { edges { node { id } } } }")
        assert endpoint["id"] not in [edge["node"]["id"] for edge in left["webhookEndpoints"]["edges"]]


async def test_endpoints_are_paged_and_events_are_named(admin: Admin) -> None:
    ids = [
        (await admin.run("createWebhookEndpoint", "endpoint { id }", url="http://127.0.0.1:9/", events=["*"]))[
            "endpoint"
        ]["id"]
        for _ in range(3)
    ]
    document = """query ($after: String) { webhookEndpoints(first: 2, after: $after) {
        edges { node { id } } pageInfo { hasNextPage endCursor } } }"""
    first = (await admin.ask(document))["webhookEndpoints"]
    rest = (await admin.ask(document, after=first["pageInfo"]["endCursor"]))["webhookEndpoints"]
    assert [edge["node"]["id"] for edge in first["edges"] + rest["edges"]] == ids[::-1]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert REGISTERED in (await admin.ask("{ webhookEvents }"))["webhookEvents"]


async def test_no_field_shows_a_secret_again(gateway: Gateway) -> None:
    async with http_client(gateway.url) as http:
        types = await http.ask("{ __schema { types { name fields { name } } } }", token=gateway.token(Role.ADMIN))
        showing = {
            one["name"]
            for one in types.data["__schema"]["types"]
            for field in one["fields"] or []
            if field["name"] == "secret"
        }
    assert showing == {"CreateWebhookEndpointPayload", "RotateWebhookSecretPayload", "CreateApiKeyPayload"}
