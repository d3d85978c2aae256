"""Every operation of the schema: who may, how it is asked for, and with what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engage.api.relay import global_id
from engage.base import db
from engage.base.actor import SYSTEM
from engage.domains.members import service as members
from engage.domains.notifications.service import add_message
from engage.domains.notifications.types import MessageCode
from tests.api import hooks, keys
from tests.api.clients import Json
from tests.api.conftest import People, Person, new_key
from tests.api.corrections import BAD, GOOD, put_corrections
from tests.api.ledger_inputs import LEDGER, OF_MEMBERS, PENALTIES
from tests.api.previews import PRESENT, PROGRAM, preview_gid, put_previews
from tests.api.promised import DEAD, DONE, KIND, WAITING, job_gid, put_jobs

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

JOB = "query ($id: ID!) { job(id: $id) { state results(first: 1) { edges { cursor } } } }"
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
        of_member("node", "node(id: $id) { id ... on Transfer { kind } }", lambda scene: scene.transfer),
        of_member("nodes", "nodes(ids: [$id]) { id ... on Lot { held } }", lambda scene: scene.lot),
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
        query("job", {ADMIN}, JOB, id=lambda _: job_gid(DONE)),
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
        query("webhookEvents", SIGNED_IN, "{ webhookEvents }"),
        query("auditLog", {ADMIN}, "{ auditLog(first: 2) { edges { node { at actor command result } } } }"),
        query("rateLimit", set(CALLERS), "{ rateLimit { cost limit remaining resetAt } }"),
        *(mutation(name, {ADMIN}, WEBHOOK_COMMANDS[name]) for name in WEBHOOK_COMMANDS),
        query("apiKeys", {ADMIN}, "{ apiKeys(first: 2) { edges { node { name state } } } }"),
        query(
            "apiKey",
            {ADMIN},
            "query ($id: ID!) { apiKey(id: $id) { scopes lastUsedAt } }",
            id=lambda _: keys.key_gid(keys.PRESENT),
        ),
        query("revocations", {ADMIN}, "{ revocations(first: 2) { edges { node { kind value } } } }"),
        mutation("createApiKey", {ADMIN}, lambda _: keys.NEW),
        mutation("revokeApiKey", {ADMIN}, lambda _: {"id": keys.key_gid(keys.PRESENT)}),
        mutation("revokeTokens", {ADMIN}, lambda _: keys.NOBODYS),
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


async def put_all() -> None:
    """Have there what the table's operations take, whatever was done to it."""
    await put_jobs()
    await hooks.put_webhooks()
    await put_previews()
    await put_corrections()
    await keys.put_keys()


async def make_scene(people: People) -> Scene:
    """What the table's operations are about."""
    await put_all()
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


def refusal(body: Json) -> Json | None:
    """The refusal in an answer, without what differs from one request to the next."""
    for error in body.get("errors", []):
        return {
            "code": error["extensions"]["code"],
            "message": error["message"],
            "path": error["extensions"].get("path"),
        }
    [answer] = body["data"].values()
    return None if not isinstance(answer, dict) or "code" not in answer else answer
