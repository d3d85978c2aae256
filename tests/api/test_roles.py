"""Who may do what: every operation of the schema by every role, and a refused call changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engage.api.relay import global_id
from engage.api.schema import build_schema
from engage.base.actor import Role
from engage.base.ids import new_id
from engage.domains.notifications.service import add_message
from engage.domains.notifications.types import MessageCode
from tests.api.clients import HttpClient, socket, without_cost
from tests.api.conftest import People, Person, new_key
from tests.api.gateway import Gateway
from tests.api.ledger_inputs import make_ready
from tests.api.operations import (
    ANONYMOUS,
    CALLERS,
    OTHER,
    OWN,
    TABLE,
    WATCHED,
    Scene,
    make_scene,
    put_all,
    refusal,
)
from tests.api.tables import everything


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    return await make_scene(people)


def test_the_table_names_every_operation() -> None:
    schema = build_schema()._schema
    roots = {
        f"{root.name}.{name}"
        for root in (schema.query_type, schema.mutation_type, schema.subscription_type)
        if root is not None
        for name in root.fields
    }
    assert {name.split(" ")[0] for name in (*TABLE, *WATCHED)} == roots


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", TABLE)
async def test_who_may(http: HttpClient, scene: Scene, name: str, caller: str) -> None:
    operation = TABLE[name]
    await put_all()
    await make_ready(name.removeprefix("Mutation."), scene.member)
    before = await everything()
    answer = await http.ask(operation.document, operation.variables(scene), token=scene.tokens[caller])
    refused = refusal(answer.body)
    if caller in operation.allowed:
        assert refused is None
    else:
        assert refused is not None
        assert refused["code"] == ("UNAUTHENTICATED" if caller == ANONYMOUS else "FORBIDDEN")
        assert await everything() == before


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", WATCHED)
async def test_who_may_watch(gateway: Gateway, scene: Scene, name: str, caller: str) -> None:
    operation = WATCHED[name]
    async with socket(gateway.ws_url, scene.tokens[caller]) as opened:
        watching = await opened.start(operation.document, operation.variables(scene))
        payload = await watching.next()
        if caller in operation.allowed:
            assert "errors" not in payload
        else:
            [error] = payload["errors"]
            assert error["extensions"]["code"] == ("UNAUTHENTICATED" if caller == ANONYMOUS else "FORBIDDEN")
            assert payload["data"] is None
            await watching.completion()


ABOUT_A_MEMBER = [name for name, operation in TABLE.items() if OTHER not in operation.allowed]


@pytest.mark.parametrize("name", ABOUT_A_MEMBER)
async def test_a_member_cannot_tell_whether_another_exists(http: HttpClient, scene: Scene, name: str) -> None:
    operation = TABLE[name]
    transfer, lot = global_id("Transfer", new_id()), global_id("Lot", new_id())
    person = Person(new_id(), "CARD-OF-NOBODY", "")
    nobody = replace(scene, member=person, message_id=new_id(), transfer=transfer, lot=lot)
    of_someone = await http.ask(operation.document, operation.variables(scene), token=scene.tokens[OTHER])
    of_nobody = await http.ask(operation.document, operation.variables(nobody), token=scene.tokens[OTHER])
    assert (of_someone.status, without_cost(of_someone.body)) == (of_nobody.status, without_cost(of_nobody.body))
    assert refusal(of_nobody.body) is not None


async def test_a_watcher_cannot_tell_whether_another_member_exists(gateway: Gateway, scene: Scene) -> None:
    document = WATCHED["Subscription.pointsChanged"].document
    async with socket(gateway.ws_url, scene.tokens[OTHER]) as opened:
        of_someone = await (await opened.start(document, {"id": scene.member.gid})).next()
        of_nobody = await (await opened.start(document, {"id": global_id("Member", new_id())})).next()
    assert without_cost(of_someone) == without_cost(of_nobody)


async def test_registering_tells_a_member_nothing_about_an_identity(http: HttpClient, scene: Scene) -> None:
    document = TABLE["Mutation.registerMember"].document
    answers = [
        await http.ask(
            document,
            {"input": {"identities": [{"channel": "card", "identifier": card}]}},
            token=scene.tokens[OTHER],
        )
        for card in (scene.member.card, "CARD-OF-NOBODY")
    ]
    assert without_cost(answers[0].body) == without_cost(answers[1].body)


async def test_an_own_key_does_not_open_the_answer_of_another(http: HttpClient, scene: Scene) -> None:
    given = {"input": {"memberId": scene.member.gid, "amount": 1, "idempotencyKey": new_key()}}
    document = TABLE["Mutation.spendPoints"].document
    done = await http.ask(document, given, token=scene.tokens[OWN])
    assert done.data["spendPoints"]["__typename"] == "SpendPointsPayload"
    stolen = await http.ask(document, given, token=scene.tokens[OTHER])
    assert stolen.data["spendPoints"]["code"] == "FORBIDDEN"


async def test_a_member_marks_no_message_of_another(http: HttpClient, people: People, scene: Scene) -> None:
    reader = await people.new()
    message = await add_message(
        scene.member.id, MessageCode.POINTS_EXPIRING, {"program": "default", "amount": 1, "expires_on": "2026-12-31"}
    )
    before = await everything()
    answer = await http.ask(
        """mutation ($input: MarkMessagesReadInput!) { markMessagesRead(input: $input) {
            ... on MarkMessagesReadPayload { marked unreadCount } } }""",
        {"input": {"memberId": reader.gid, "messageIds": [global_id("Message", message)]}},
        token=reader.token,
    )
    assert answer.data["markMessagesRead"] == {"marked": 0, "unreadCount": 0}
    assert await everything() == before


async def test_a_member_who_does_not_exist_any_more_is_told_so(gateway: Gateway, http: HttpClient) -> None:
    answer = await http.ask("{ me { id } }", token=gateway.token(Role.MEMBER, new_id()))
    assert answer.code == "NOT_FOUND"
