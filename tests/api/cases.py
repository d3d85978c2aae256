"""How each problem of each mutation is met; of the ledger's in ledger_cases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from engage.api.relay import global_id
from engage.base.ids import new_id
from engage.outbox.catalogue import known_events
from engage.wiring import register_all
from tests.api import hooks, keys
from tests.api.clients import Json
from tests.api.conftest import Person
from tests.api.corrections import APPROVED, OF_ADMIN, REJECTED
from tests.api.previews import OUTDATED, preview_gid
from tests.api.promised import DONE, job_gid


@dataclass(frozen=True)
class Case:
    """How a problem is met: what differs from a valid input, whose it is, and what the problem says."""

    path: list[str] | None
    change: Json = field(default_factory=dict)
    state: str = "ACTIVE"
    role: str = "admin"
    known: Json = field(default_factory=dict)
    twice: Json | None = None
    """What differs when the same input is given again."""
    arrange: Callable[[Person], Awaitable[Json]] | None = None
    """What is done before, and what of that differs in the input."""


FORBIDDEN = Case(None, role="moderator")
CHANNELS = ["app", "card", "email", "marketplace", "phone", "pos", "web", "wechat"]
NOBODY = global_id("Member", new_id())

register_all()
EVENTS = known_events()

CASES: dict[tuple[str, str], Case] = {
    ("registerMember", "InvalidInput"): Case(["locale"], {"locale": "klingon!"}),
    ("registerMember", "Forbidden"): FORBIDDEN,
    ("registerMember", "IdentityTaken"): Case(["identities"], twice={}),
    ("registerMember", "UnknownChannel"): Case(
        ["identities", "channel"], {"identities": [{"channel": "fax", "identifier": "1"}]}, known={"known": CHANNELS}
    ),
    ("requestBulkPoints", "InvalidInput"): Case(["rows"], {"rows": []}),
    ("requestBulkPoints", "NotFound"): Case(["program"], {"program": "nowhere"}),
    ("requestBulkPoints", "Forbidden"): FORBIDDEN,
    ("requestBulkPoints", "IdempotencyConflict"): Case(["idempotencyKey"], twice={"reason": "OTHER"}),
    ("approveBulkPoints", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("approveBulkPoints", "NotFound"): Case(["id"], {"id": job_gid(new_id())}),
    ("approveBulkPoints", "Forbidden"): FORBIDDEN,
    ("approveBulkPoints", "SecondPersonNeeded"): Case(["id"], {"id": job_gid(OF_ADMIN)}),
    ("approveBulkPoints", "AdjustmentDecided"): Case(
        ["id"], {"id": job_gid(REJECTED)}, known={"adjustmentState": "REJECTED"}
    ),
    ("rejectBulkPoints", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("rejectBulkPoints", "NotFound"): Case(["id"], {"id": job_gid(new_id())}),
    ("rejectBulkPoints", "Forbidden"): FORBIDDEN,
    ("rejectBulkPoints", "AdjustmentDecided"): Case(
        ["id"], {"id": job_gid(APPROVED)}, known={"adjustmentState": "APPROVED"}
    ),
    ("previewExpiryChange", "InvalidInput"): Case(["notice"], {"notice": "a month"}),
    ("previewExpiryChange", "NotFound"): Case(["version"], {"version": 99}),
    ("previewExpiryChange", "Forbidden"): FORBIDDEN,
    ("applyExpiryChange", "InvalidInput"): Case(["previewId"], {"previewId": NOBODY}),
    ("applyExpiryChange", "NotFound"): Case(["previewId"], {"previewId": preview_gid(new_id())}),
    ("applyExpiryChange", "Forbidden"): FORBIDDEN,
    ("applyExpiryChange", "PreviewOutdated"): Case(
        ["previewId"], {"previewId": preview_gid(OUTDATED)}, known={"inForce": 1}
    ),
    ("freezeMember", "InvalidInput"): Case(["reason"], {"reason": "because"}),
    ("freezeMember", "NotFound"): Case(["memberId"], {"memberId": NOBODY}),
    ("freezeMember", "Forbidden"): FORBIDDEN,
    ("freezeMember", "MemberNotActive"): Case(["memberId"], state="SUSPENDED", known={"state": "SUSPENDED"}),
    ("thawMember", "InvalidInput"): Case(["reason"], {"reason": "because"}),
    ("thawMember", "NotFound"): Case(["memberId"], {"memberId": NOBODY}),
    ("thawMember", "Forbidden"): FORBIDDEN,
    ("thawMember", "MemberNotActive"): Case(["memberId"], state="CANCELLED", known={"state": "CANCELLED"}),
    ("recordPurchase", "InvalidInput"): Case(["purchasedAt"], {"purchasedAt": "2199-01-01T00:00:00Z"}),
    ("recordPurchase", "NotFound"): Case(["program"], {"program": "nowhere"}),
    ("recordPurchase", "Forbidden"): FORBIDDEN,
    ("recordPurchase", "OrderConflict"): Case(["orderNo"], twice={"amount": "12.51"}),
    ("recordPurchase", "UnknownChannel"): Case(["channel"], {"channel": "fax"}, known={"known": CHANNELS}),
    ("recordPurchase", "UnknownCurrency"): Case(["currency"], {"currency": "EUR"}, known={"known": ["USD"]}),
    ("recordPurchase", "UnknownMember"): Case(["member"], {"member": {"channel": "card", "identifier": "NEW"}}),
    ("recordPurchase", "UnknownStore"): Case(["store"], {"store": "nowhere"}),
    ("recordPurchase", "MemberNotActive"): Case(["member"], state="CANCELLED", known={"state": "CANCELLED"}),
    ("createProgram", "InvalidInput"): Case(["timeZone"], {"timeZone": "Mars/Olympus"}),
    ("createProgram", "Forbidden"): FORBIDDEN,
    ("createProgram", "AlreadyExists"): Case(["code"], {"code": "default"}),
    ("createStore", "InvalidInput"): Case(["code"], {"code": "No Code"}),
    ("createStore", "NotFound"): Case(["program"], {"program": "nowhere"}),
    ("createStore", "Forbidden"): FORBIDDEN,
    ("createStore", "AlreadyExists"): Case(["code"], {"code": "corner"}),
    ("createChannel", "InvalidInput"): Case(["name"], {"name": ""}),
    ("createChannel", "Forbidden"): FORBIDDEN,
    ("createChannel", "AlreadyExists"): Case(["code"], {"code": "card"}),
    ("publishPointsPolicy", "InvalidInput"): Case(
        ["policy", "expiryAfter"], {"policy": {"expiryKind": "ROLLING", "expiryAfter": None}}
    ),
    ("publishPointsPolicy", "NotFound"): Case(["program"], {"program": "nowhere"}),
    ("publishPointsPolicy", "Forbidden"): FORBIDDEN,
    ("publishPointsPolicy", "IdempotencyConflict"): Case(
        ["idempotencyKey"], twice={"effectiveAt": "2098-01-01T00:00:00Z"}
    ),
    ("markMessagesRead", "InvalidInput"): Case(["messageIds"], {"messageIds": []}),
    ("markMessagesRead", "Forbidden"): FORBIDDEN,
    ("retryJobs", "InvalidInput"): Case(["ids"], {"ids": []}),
    ("retryJobs", "NotFound"): Case(["ids"], {"ids": [job_gid(new_id())]}),
    ("retryJobs", "Forbidden"): FORBIDDEN,
    ("retryJobs", "JobNotRetryable"): Case(["ids"], {"ids": [job_gid(DONE)]}, known={"state": "DONE"}),
    ("retryDeadJobs", "InvalidInput"): Case(["kind"], {"kind": "no\0kind"}),
    ("retryDeadJobs", "Forbidden"): FORBIDDEN,
    ("discardDeadJobs", "InvalidInput"): Case(["target"], {"target": "no\0target"}),
    ("discardDeadJobs", "Forbidden"): FORBIDDEN,
    ("pauseJobKind", "InvalidInput"): Case(["target"], {"target": "no\0target"}),
    ("pauseJobKind", "NotFound"): Case(["kind"], {"kind": "nothing"}),
    ("pauseJobKind", "Forbidden"): FORBIDDEN,
    ("resumeJobKind", "InvalidInput"): Case(["kind"], {"kind": "no\0kind"}),
    ("resumeJobKind", "NotFound"): Case(["target"], {"target": "nobody"}),
    ("resumeJobKind", "Forbidden"): FORBIDDEN,
    ("cancelJob", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("cancelJob", "NotFound"): Case(["id"], {"id": job_gid(new_id())}),
    ("cancelJob", "Forbidden"): FORBIDDEN,
    ("cancelJob", "JobNotCancellable"): Case(["id"], {"id": job_gid(DONE)}, known={"state": "DONE"}),
    ("createApiKey", "InvalidInput"): Case(["scopes"], {"scopes": []}),
    ("createApiKey", "Forbidden"): FORBIDDEN,
    ("createApiKey", "TooManyApiKeys"): Case(None, known={"limit": 1}),
    ("revokeApiKey", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("revokeApiKey", "NotFound"): Case(["id"], {"id": keys.key_gid(new_id())}),
    ("revokeApiKey", "Forbidden"): FORBIDDEN,
    ("revokeTokens", "InvalidInput"): Case(["tokenId"], {"tokenId": "beside a subject"}),
    ("revokeTokens", "Forbidden"): FORBIDDEN,
    ("createWebhookEndpoint", "InvalidInput"): Case(["url"], {"url": "https://127.0.0.1/hook"}),
    ("createWebhookEndpoint", "Forbidden"): FORBIDDEN,
    ("createWebhookEndpoint", "UnknownEvent"): Case(["events"], {"events": ["no.event.v1"]}, known={"known": EVENTS}),
    ("createWebhookEndpoint", "TooManyWebhooks"): Case(None, known={"limit": 3}),
    ("updateWebhookEndpoint", "InvalidInput"): Case(["description"], {"description": "x" * 201}),
    ("updateWebhookEndpoint", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("updateWebhookEndpoint", "Forbidden"): FORBIDDEN,
    ("updateWebhookEndpoint", "UnknownEvent"): Case(["events"], {"events": ["no.event.v1"]}, known={"known": EVENTS}),
    ("rotateWebhookSecret", "InvalidInput"): Case(["overlapHours"], {"overlapHours": 169}),
    ("rotateWebhookSecret", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("rotateWebhookSecret", "Forbidden"): FORBIDDEN,
    ("replayWebhook", "InvalidInput"): Case(["since"], {"since": "2026-01-01T00:00:00Z"}),
    ("replayWebhook", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("replayWebhook", "Forbidden"): FORBIDDEN,
    ("replayWebhook", "WebhookDisabled"): Case(["id"], {"id": hooks.endpoint_gid(hooks.DISABLED)}),
    ("pauseWebhookEndpoint", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("pauseWebhookEndpoint", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("pauseWebhookEndpoint", "Forbidden"): FORBIDDEN,
    ("pauseWebhookEndpoint", "WebhookDisabled"): Case(["id"], {"id": hooks.endpoint_gid(hooks.DISABLED)}),
    ("resumeWebhookEndpoint", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("resumeWebhookEndpoint", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("resumeWebhookEndpoint", "Forbidden"): FORBIDDEN,
    ("deleteWebhookEndpoint", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("deleteWebhookEndpoint", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("deleteWebhookEndpoint", "Forbidden"): FORBIDDEN,
    ("testWebhook", "InvalidInput"): Case(["id"], {"id": NOBODY}),
    ("testWebhook", "NotFound"): Case(["id"], {"id": hooks.endpoint_gid(new_id())}),
    ("testWebhook", "Forbidden"): FORBIDDEN,
    ("testWebhook", "WebhookDisabled"): Case(["id"], {"id": hooks.endpoint_gid(hooks.DISABLED)}),
}
