"""Every problem of every mutation is reached, says what it should, and leaves everything as it was."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import engage
from engage.api.errors import PROBLEMS, ProblemCode
from engage.api.relay import global_id
from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import Refusal, Unauthenticated
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.earning import service as earning
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from engage.domains.notifications import service as notifications
from engage.domains.webhooks import service as webhooks
from engage.outbox import service as outbox
from engage.outbox.catalogue import known_events
from engage.realtime.errors import GoingAway, SubscriptionEnded, TooManySubscribers, TooSlow
from engage.wiring import register_all
from tests.api import hooks
from tests.api.clients import HttpClient, Json
from tests.api.conftest import People, Person, new_key
from tests.api.gateway import Gateway
from tests.api.inputs import SCHEMA, VALID, document, extras, problems
from tests.api.promised import DONE, job_gid, put_jobs
from tests.api.tables import everything, standstill

COMMANDS: dict[str, Callable[..., Awaitable[object]]] = {
    "registerMember": members.register_member,
    "earnPoints": ledger.earn_points,
    "spendPoints": ledger.spend_points,
    "recordPurchase": earning.record_purchase,
    "createProgram": members.create_program,
    "createStore": members.create_store,
    "createChannel": members.create_channel,
    "markMessagesRead": notifications.mark_read,
    "retryJobs": outbox.retry_jobs,
    "retryDeadJobs": outbox.retry_dead,
    "discardDeadJobs": outbox.discard_dead,
    "pauseJobKind": outbox.pause_kind,
    "resumeJobKind": outbox.resume_kind,
    "cancelJob": outbox.cancel_job,
    "createWebhookEndpoint": webhooks.create_endpoint,
    "updateWebhookEndpoint": webhooks.update_endpoint,
    "pauseWebhookEndpoint": webhooks.pause_endpoint,
    "resumeWebhookEndpoint": webhooks.resume_endpoint,
    "deleteWebhookEndpoint": webhooks.delete_endpoint,
    "rotateWebhookSecret": webhooks.rotate_secret,
    "replayWebhook": webhooks.replay,
    "testWebhook": webhooks.send_test,
}


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
    ("earnPoints", "InvalidInput"): Case(["expiresAt"], {"expiresAt": "2026-01-01T00:00:00Z"}),
    ("earnPoints", "NotFound"): Case(["memberId"], {"memberId": NOBODY}),
    ("earnPoints", "Forbidden"): FORBIDDEN,
    ("earnPoints", "MemberNotActive"): Case(["memberId"], state="SUSPENDED", known={"state": "SUSPENDED"}),
    ("earnPoints", "IdempotencyConflict"): Case(["idempotencyKey"], twice={"amount": 2}),
    ("spendPoints", "InsufficientPoints"): Case(
        ["amount"], {"amount": 101}, known={"available": 100, "required": 101}
    ),
    ("spendPoints", "InvalidInput"): Case(["amount"], {"amount": 0}),
    ("spendPoints", "NotFound"): Case(["program"], {"program": "nowhere"}),
    ("spendPoints", "Forbidden"): FORBIDDEN,
    ("spendPoints", "MemberNotActive"): Case(["memberId"], state="FROZEN", known={"state": "FROZEN"}),
    ("spendPoints", "IdempotencyConflict"): Case(["idempotencyKey"], twice={"reason": "OTHER"}),
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

OF_THE_API = {"OutcomeUnknown"}
"""Problems that come from running out of time and not from a command's own checks."""

OF_EVERY_INPUT = {"InvalidInput"}
"""What can be no id or no text is refused on its way to the command, which may have nothing more to check."""


@pytest.fixture(scope="module", autouse=True)
async def corner_shop(gateway: Gateway) -> None:
    assert gateway.port
    await members.create_store(SYSTEM, program="default", code="corner", name="The corner shop")
    await put_jobs()
    await hooks.put_webhooks()


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(100)


@pytest.fixture
def known_members_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The setting under which a purchase registers nobody; this process's own, and so the gateway's."""
    monkeypatch.setenv("ENGAGE_REGISTER_UNKNOWN_MEMBERS", "false")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def token(people: People, role: str) -> str:
    return people.moderator if role == "moderator" else people.admin


def test_every_problem_of_every_mutation_has_its_case() -> None:
    every = {(name, one.name) for name in VALID for one in problems(name) if one.name not in OF_THE_API}
    assert set(CASES) == every


@pytest.mark.parametrize(("name", "problem"), CASES)
@pytest.mark.usefixtures("known_members_only")
async def test_each_problem_is_reached(
    http: HttpClient, people: People, member: Person, name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name, problem]
    if problem == "TooManyWebhooks":
        monkeypatch.setattr(webhooks, "ENDPOINTS_MAX", case.known["limit"])
    given = {**VALID[name](member), **case.change}
    await db.execute("UPDATE members SET state = $2 WHERE id = $1", member.id, case.state)
    if case.twice is not None:
        first = await http.ask(document(name), {"input": given}, token=people.admin)
        assert first.data[name]["__typename"].endswith("Payload")
        given |= case.twice
    before = await everything()
    answer = await http.ask(document(name), {"input": given}, token=token(people, case.role))
    assert answer.status == 200
    told = answer.data[name]
    assert told.pop("__typename") == problem
    message = told.pop("message")
    assert re.fullmatch(r"[A-Z0-9].+\.", message), message
    code = "".join(f"_{char}" if char.isupper() else char for char in problem).lstrip("_").upper()
    assert told == {"code": code, "path": case.path, **case.known}
    assert await everything() == before


@pytest.mark.parametrize(("name", "problem"), CASES)
def test_paths_lead_to_a_field_of_the_input(name: str, problem: str) -> None:
    case = CASES[name, problem]
    type_: Any = SCHEMA.type_map[f"{name[0].upper()}{name[1:]}Input"]
    for key in case.path or []:
        if not key.isdigit():
            type_ = type_.fields[key].type
            while hasattr(type_, "of_type"):
                type_ = type_.of_type


@pytest.mark.parametrize("name", VALID)
async def test_a_command_that_runs_out_of_time_may_have_happened(
    gateway: Gateway, http: HttpClient, people: People, member: Person, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = VALID[name](member)
    before = await everything()
    monkeypatch.setattr(gateway.config, "operation_timeout_s", 0.2)
    async with standstill(gateway.config.database_url):
        answer = await http.ask(document(name), {"input": given}, token=people.admin)
    told = answer.data[name]
    assert told["__typename"] == "OutcomeUnknown"
    assert (told["code"], told["path"]) == ("OUTCOME_UNKNOWN", None)
    monkeypatch.undo()
    assert await everything() == before
    again = await http.ask(document(name), {"input": given}, token=people.admin)
    assert again.data[name]["__typename"].endswith("Payload")


def refusals() -> set[type[Refusal]]:
    """Every refusal that engage defines."""
    for module in pkgutil.walk_packages(engage.__path__, "engage."):
        if module.name.endswith((".errors", ".actor")):
            importlib.import_module(module.name)
    found: set[type[Refusal]] = set()
    left = [Refusal]
    while left:
        for one in left.pop().__subclasses__():
            if one.__module__.startswith("engage."):
                found.add(one)
                left.append(one)
    return found


NOT_OF_COMMANDS = {Unauthenticated, TooManySubscribers, SubscriptionEnded, TooSlow, GoingAway}
"""Who calls is not known; or it is a subscription that was refused or ended."""


def test_every_refusal_of_a_command_has_its_problem() -> None:
    assert refusals() - NOT_OF_COMMANDS == set(PROBLEMS)
    for refusal, problem in PROBLEMS.items():
        assert refusal.__name__ == problem.__name__
        assert ProblemCode(refusal.code).name == refusal.code


def test_each_result_has_the_problems_that_its_command_raises() -> None:
    assert SCHEMA.mutation_type is not None
    assert set(COMMANDS) == set(SCHEMA.mutation_type.fields)
    names = {refusal.__name__ for refusal in refusals()}
    for name, command in COMMANDS.items():
        assert command.__doc__ is not None
        told = re.search(r"Raises ([^.]*)\.", command.__doc__)
        assert told is not None, name
        raised = set(re.findall(r"[A-Z]\w+", told.group(1)))
        assert raised <= names, f"{name}: {raised - names}"
        assert {one.name for one in problems(name)} == raised | OF_THE_API | OF_EVERY_INPUT, name


def test_what_a_problem_tells_beside_its_sentence_is_typed() -> None:
    told = {
        one.name: {key: str(one.fields[key].type) for key in extras(one)} for name in VALID for one in problems(name)
    }
    assert {name: fields for name, fields in told.items() if fields} == {
        "InsufficientPoints": {"available": "Points!", "required": "Points!"},
        "JobNotCancellable": {"state": "JobState!"},
        "JobNotRetryable": {"state": "JobState!"},
        "MemberNotActive": {"state": "MemberState!"},
        "UnknownChannel": {"known": "[String!]!"},
        "TooManyWebhooks": {"limit": "Int!"},
        "UnknownCurrency": {"known": "[String!]!"},
        "UnknownEvent": {"known": "[String!]!"},
    }


async def test_a_failed_command_does_not_burn_its_key(http: HttpClient, people: People, member: Person) -> None:
    given = VALID["spendPoints"](member) | {"amount": 101}
    refused = await http.ask(document("spendPoints"), {"input": given}, token=people.staff)
    assert refused.data["spendPoints"]["__typename"] == "InsufficientPoints"
    done = await http.ask(document("spendPoints"), {"input": given | {"amount": 100}}, token=people.staff)
    assert done.data["spendPoints"]["__typename"] == "SpendPointsPayload"


async def test_a_balance_that_would_have_no_room_is_refused(http: HttpClient, people: People, member: Person) -> None:
    await db.execute("UPDATE accounts SET available = $2 WHERE member_id = $1", member.id, 2**63 - 5)
    before = await everything()
    given = {"memberId": member.gid, "amount": 5, "idempotencyKey": new_key()}
    answer = await http.ask(document("earnPoints"), {"input": given}, token=people.staff)
    assert answer.data["earnPoints"]["__typename"] == "InvalidInput"
    assert await everything() == before


async def test_several_commands_of_one_document_fail_one_by_one(http: HttpClient, member: Person) -> None:
    spend = """spendPoints(input: { memberId: "%s", amount: %d, idempotencyKey: "%s" }) {
        __typename ... on SpendPointsPayload { balance { available } } }"""
    parts = [f"m{n}: {spend % (member.gid, amount, new_key())}" for n, amount in enumerate((60, 60, 40))]
    answer = await http.ask(f"mutation {{ {' '.join(parts)} }}", token=member.token)
    assert answer.data == {
        "m0": {"__typename": "SpendPointsPayload", "balance": {"available": 40}},
        "m1": {"__typename": "InsufficientPoints"},
        "m2": {"__typename": "SpendPointsPayload", "balance": {"available": 0}},
    }
