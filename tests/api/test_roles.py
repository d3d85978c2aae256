"""Who may do what: every operation of the schema by every role, and a refused call changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from engage.api.relay import global_id
from engage.api.schema import build_schema
from engage.base import db
from engage.base.actor import SYSTEM, Role
from engage.base.ids import new_id
from engage.domains.members import service as members
from engage.domains.notifications.service import add_message
from engage.domains.notifications.types import MessageCode
from tests.api import hooks
from tests.api.clients import HttpClient, Json, socket
from tests.api.conftest import People, Person, new_key
from tests.api.corrections import BAD, GOOD, put_corrections
from tests.api.gateway import Gateway
from tests.api.ledger_inputs import LEDGER, OF_MEMBERS, PENALTIES, make_ready
from tests.api.previews import PRESENT, PROGRAM, preview_gid, put_previews
from tests.api.promised import DEAD, DONE, KIND, WAITING, job_gid, put_jobs
from tests.api.tables import everything

ANONYMOUS, OWN, OTHER, STAFF, MODERATOR, ADMIN, SERVICE = (
    "anonymous", "the member", "another member", "staff", "moderator", "admin", "service",
)  # fmt: skip
CALLERS = (ANONYMOUS, OWN, OTHER, STAFF, MODERATOR, ADMIN, SERVICE)

SIGNED_IN = {OWN, OTHER, STAFF, MODERATOR, ADMIN, SERVICE}
WORKERS = {STAFF, ADMIN, SERVICE}
READERS = {STAFF, MODERATOR, ADMIN, SERVICE}


@dataclass(frozen=True)
class Scene:
    """The member who is asked about, one who may be frozen, something of the first, and who asks."""

    member: Person
    troubled: Person
    message_id: UUID
    transfer: str
    lot: str
    tokens: dict[str, str | None]


@dataclass(frozen=True)
class Operation:
    """One root field: who may, how it is asked for, and with which variables."""

    allowed: set[str]
    document: str
    variables: Callable[[Scene], Json] = lambda _: {}


def mutation(name: str, allowed: set[str], given: Callable[[Scene], Json]) -> tuple[str, Operation]:
    title = name[0].upper() + name[1:]
    document = f"""mutation ($input: {title}Input!) {{
        {name}(input: $input) {{ __typename ... on Problem {{ code message path }} }} }}"""
    return f"Mutation.{name}", Operation(allowed, document, lambda scene: {"input": given(scene)})


def query(name: str, allowed: set[str], document: str, **given: Callable[[Scene], Any]) -> tuple[str, Operation]:
    return f"Query.{name}", Operation(
        allowed, document, lambda scene: {key: make(scene) for key, make in given.items()}
    )


def of_member(
    name: str, inside: str, gid: Callable[[Scene], str] = lambda scene: scene.member.gid
) -> tuple[str, Operation]:
    """Something that a member has, found by `$id`."""
    return query(name, {OWN, *READERS}, f"query ($id: ID!) {{ {inside} }}", id=gid)


def _of_webhook(**more: object) -> Callable[[Scene], Json]:
    return lambda _: {"id": hooks.endpoint_gid(hooks.PRESENT), **more}


WEBHOOK_COMMANDS: dict[str, Callable[[Scene], Json]] = {
    "createWebhookEndpoint": lambda _: {"url": hooks.URL, "events": [hooks.EVENT]},
    "updateWebhookEndpoint": _of_webhook(description="Till"),
    "pauseWebhookEndpoint": _of_webhook(),
    "resumeWebhookEndpoint": _of_webhook(),
    "rotateWebhookSecret": _of_webhook(),
    "replayWebhook": _of_webhook(since="2026-01-05T10:00:00Z"),
    "testWebhook": _of_webhook(),
    "deleteWebhookEndpoint": lambda _: {"id": hooks.endpoint_gid(hooks.DELETED)},
}

RATES = '{ exchangeRates(from: "default", to: "default", first: 1) { edges { cursor } } }'


def _of_member(given: Callable[[Person], Json]) -> Callable[[Scene], Json]:
    return lambda scene: given(scene.member)


def of_ledger(name: str) -> set[str]:
    """Who may give one of the ledger's commands."""
    if name in PENALTIES:
        return {MODERATOR, ADMIN}
    if name == "publishExchangeRate":
        return {ADMIN}
    return {OWN, *WORKERS} if name in OF_MEMBERS else WORKERS


TABLE = dict(
    [
        query("me", {OWN, OTHER}, "{ me { id } }"),
        query(
            "member",
            {OWN, *READERS},
            """query ($id: ID!) { member(id: $id) {
                id state displayName locale birthday createdAt identities { identifier } balance { available }
                expirySchedule { total } unreadCount transactions(first: 1) { edges { cursor } }
                purchases(first: 1) { edges { cursor } } messages(first: 1) { edges { cursor } }
                balanceAsOf(at: "2026-01-05T10:00:00Z") { available } storedValue { available { amount } } } }""",
            id=lambda scene: scene.member.gid,
        ),
        query(
            "member by identity",
            {OWN, *READERS},
            "query ($who: IdentityInput!) { member(identity: $who) { id balance { available } } }",
            who=lambda scene: {"channel": "card", "identifier": scene.member.card},
        ),
        query("programs", SIGNED_IN, "{ programs { code name } }"),
        query("programs with stores", READERS, "{ programs { stores { code } } }"),
        query("channels", SIGNED_IN, "{ channels { code name } }"),
        query("pointsPolicy", SIGNED_IN, "{ pointsPolicy { version expiryKind expiryAfter } }"),
        query("pointsPolicies", SIGNED_IN, "{ pointsPolicies(first: 2) { edges { node { version } } } }"),
        of_member("transfer", "transfer(id: $id) { entries { amount } }", lambda scene: scene.transfer),
        of_member("lot", "lot(id: $id) { held origins { amount } }", lambda scene: scene.lot),
        of_member("lots", "lots(memberId: $id, first: 1) { edges { node { remaining } } }"),
        of_member("holds", "holds(memberId: $id, first: 1) { edges { node { state } } }"),
        of_member("gifts", "gifts(memberId: $id, direction: SENT, first: 1) { edges { node { message } } }"),
        of_member("topUps", "topUps(memberId: $id, first: 1) { edges { node { paymentReference } } }"),
        query("adjustments", READERS, "{ adjustments(first: 1) { edges { node { note askedBy } } } }"),
        query("exchangeRates", SIGNED_IN, RATES),
        query("storedValueTotals", {ADMIN}, "{ storedValueTotals { outstanding { amount } } }"),
        query("programTotals", {ADMIN}, "{ programTotals { members spend { amount } } }"),
        query("jobs", {ADMIN}, "{ jobs(first: 2) { edges { node { id } } } }"),
        query(
            "job",
            {ADMIN},
            "query ($id: ID!) { job(id: $id) { state results(first: 1) { edges { cursor } } } }",
            id=lambda _: job_gid(DONE),
        ),
        query("jobKinds", {ADMIN}, "{ jobKinds { kind ready } }"),
        query("runningJobs", {ADMIN}, "{ runningJobs { id } }"),
        query("jobSchedules", {ADMIN}, "{ jobSchedules { name nextAt } }"),
        mutation(
            "registerMember", WORKERS, lambda _: {"identities": [{"channel": "phone", "identifier": new_key()}]}
        ),
        query(
            "waitingBulkCorrections",
            WORKERS,
            "{ waitingBulkCorrections(first: 2) { edges { node { jobId rows added state askedBy } } } }",
        ),
        mutation(
            "requestBulkPoints",
            WORKERS,
            lambda scene: {
                "operation": "ADJUST",
                "rows": [{"rowKey": "1", "memberId": scene.member.gid, "amount": 5}],
                "idempotencyKey": new_key(),
            },
        ),
        mutation("approveBulkPoints", WORKERS, lambda _: {"id": job_gid(GOOD)}),
        mutation("rejectBulkPoints", WORKERS, lambda _: {"id": job_gid(BAD)}),
        query("expiryPreview", {ADMIN}, "{ expiryPreview { total } }"),
        query(
            "expiryPreview of a member",
            {OWN, *READERS},
            "query ($id: ID!) { expiryPreview(memberId: $id) { total } }",
            id=lambda scene: scene.member.gid,
        ),
        mutation("previewExpiryChange", {ADMIN}, lambda _: {"program": PROGRAM, "version": 1}),
        mutation("applyExpiryChange", {ADMIN}, lambda _: {"previewId": preview_gid(PRESENT)}),
        *(
            mutation(name, WORKERS, lambda scene: {"memberId": scene.troubled.gid, "reason": "ACCOUNT_TAKEOVER"})
            for name in ("freezeMember", "thawMember")
        ),
        *(mutation(name, of_ledger(name), _of_member(given)) for name, given in LEDGER.items()),
        mutation(
            "recordPurchase",
            WORKERS,
            lambda scene: {
                "orderNo": new_key(),
                "member": {"channel": "card", "identifier": scene.member.card},
                "amount": "12.50",
                "purchasedAt": "2026-01-05T10:00:00Z",
            },
        ),
        mutation(
            "createProgram",
            {ADMIN},
            lambda _: {"code": new_key(), "name": "Brand", "timeZone": "Asia/Shanghai", "moneyCurrency": "CNY"},
        ),
        mutation("createStore", {ADMIN}, lambda _: {"program": "default", "code": new_key(), "name": "Shop"}),
        mutation(
            "publishPointsPolicy",
            {ADMIN},
            lambda _: {"idempotencyKey": new_key(), "policy": {"expiryKind": "ROLLING", "expiryAfter": "P12M"}},
        ),
        mutation("createChannel", {ADMIN}, lambda _: {"code": new_key(), "name": "Kiosk"}),
        mutation(
            "markMessagesRead",
            {OWN, *WORKERS},
            lambda scene: {
                "memberId": scene.member.gid,
                "messageIds": [global_id("Message", scene.message_id)],
            },
        ),
        mutation("retryJobs", {ADMIN}, lambda _: {"ids": [job_gid(DEAD)]}),
        mutation("retryDeadJobs", {ADMIN}, lambda _: {"kind": KIND}),
        mutation("discardDeadJobs", {ADMIN}, lambda _: {"kind": KIND}),
        mutation("pauseJobKind", {ADMIN}, lambda _: {"kind": KIND}),
        mutation("resumeJobKind", {ADMIN}, lambda _: {"kind": KIND}),
        mutation("cancelJob", {ADMIN}, lambda _: {"id": job_gid(WAITING)}),
        query(
            "webhookEndpoints", {ADMIN}, "{ webhookEndpoints(first: 2) { edges { node { url events failures } } } }"
        ),
        query(
            "webhookEndpoint",
            {ADMIN},
            "query ($id: ID!) { webhookEndpoint(id: $id) { url waiting } }",
            id=lambda _: hooks.endpoint_gid(hooks.PRESENT),
        ),
        query("auditLog", {ADMIN}, "{ auditLog(first: 2) { edges { node { at actor command result } } } }"),
        query("webhookEvents", SIGNED_IN, "{ webhookEvents }"),
        *(mutation(name, {ADMIN}, WEBHOOK_COMMANDS[name]) for name in WEBHOOK_COMMANDS),
    ]
)

WATCHED = {
    "Subscription.pointsChanged": Operation(
        {OWN, *READERS},
        "subscription ($id: ID!) { pointsChanged(memberId: $id) { position balance { available } } }",
        lambda scene: {"id": scene.member.gid},
    ),
    "Subscription.jobChanged": Operation(
        {ADMIN}, "subscription ($id: ID!) { jobChanged(id: $id) { state } }", lambda _: {"id": job_gid(DONE)}
    ),
}


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    await put_jobs()
    await hooks.put_webhooks()
    await put_previews()
    await put_corrections()
    member, other = await people.new(100), await people.new(100)
    await members.create_store(SYSTEM, program="default", code="corner", name="The corner shop")
    message = await add_message(
        member.id, MessageCode.POINTS_EXPIRING, {"program": "default", "amount": 5, "expires_on": "2026-12-31"}
    )
    tokens = {
        ANONYMOUS: None,
        OWN: member.token,
        OTHER: other.token,
        STAFF: people.staff,
        MODERATOR: people.moderator,
        ADMIN: people.admin,
        SERVICE: people.service,
    }
    lot = await db.fetch_row("SELECT id, source_id FROM lots WHERE member_id = $1", member.id)
    assert lot is not None
    transfer, its_lot = global_id("Transfer", lot["source_id"]), global_id("Lot", lot["id"])
    return Scene(member, await people.new(), message, transfer, its_lot, tokens)


def test_the_table_names_every_operation() -> None:
    schema = build_schema()._schema
    roots = {
        f"{root.name}.{name}"
        for root in (schema.query_type, schema.mutation_type, schema.subscription_type)
        if root is not None
        for name in root.fields
    }
    assert {name.split(" ")[0] for name in (*TABLE, *WATCHED)} == roots


def refusal(body: Json) -> Json | None:
    """The refusal in an answer, without what differs from one request to the next."""
    for error in body.get("errors", []):
        extensions = error["extensions"]
        return {"code": extensions["code"], "message": error["message"], "path": extensions.get("path")}
    [answer] = body["data"].values()
    return None if not isinstance(answer, dict) or "code" not in answer else answer


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", TABLE)
async def test_who_may(http: HttpClient, scene: Scene, name: str, caller: str) -> None:
    operation = TABLE[name]
    await put_jobs()
    await hooks.put_webhooks()
    await put_previews()
    await put_corrections()
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
    assert of_someone.status == of_nobody.status
    assert of_someone.body == of_nobody.body
    assert refusal(of_nobody.body) is not None


async def test_a_watcher_cannot_tell_whether_another_member_exists(gateway: Gateway, scene: Scene) -> None:
    document = WATCHED["Subscription.pointsChanged"].document
    async with socket(gateway.ws_url, scene.tokens[OTHER]) as opened:
        of_someone = await (await opened.start(document, {"id": scene.member.gid})).next()
        of_nobody = await (await opened.start(document, {"id": global_id("Member", new_id())})).next()
    assert of_someone == of_nobody


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
    assert answers[0].body == answers[1].body


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
