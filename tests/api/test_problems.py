"""Every problem of every mutation is reached, says what it should, and leaves everything as it was."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import engage
from engage.api import ledger_problems
from engage.api.budget.refusals import BudgetExhausted, CostTooHigh, RateLimited, TooMany
from engage.api.documents import DocumentNotTrusted, PersistedQueryMismatch, PersistedQueryNotFound
from engage.api.errors import PROBLEMS, ProblemCode
from engage.api.limits import ListTooLong
from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import Refusal, Unauthenticated
from engage.base.settings import settings
from engage.domains.access import service as access
from engage.domains.earning import bulk
from engage.domains.earning import service as earning
from engage.domains.ledger import service as ledger
from engage.domains.ledger.policy import service as policies
from engage.domains.lifecycle import service as lifecycle
from engage.domains.members import service as members
from engage.domains.notifications import service as notifications
from engage.domains.webhooks import service as webhooks
from engage.outbox import service as outbox
from engage.realtime.errors import GoingAway, SubscriptionEnded, TooManySubscribers, TooSlow
from tests.api import hooks, keys
from tests.api.cases import CASES
from tests.api.clients import HttpClient
from tests.api.conftest import People, Person, new_key
from tests.api.corrections import put_corrections
from tests.api.gateway import Gateway
from tests.api.inputs import SCHEMA, VALID, document, extras, problems
from tests.api.ledger_cases import LEDGER_CASES
from tests.api.ledger_inputs import LEDGER, make_ready
from tests.api.previews import put_previews
from tests.api.promised import put_jobs
from tests.api.reaching import reach
from tests.api.tables import everything, standstill

COMMANDS: dict[str, Callable[..., Awaitable[object]]] = {
    "registerMember": members.register_member,
    **{name: getattr(ledger, "".join(f"_{c.lower()}" if c.isupper() else c for c in name)) for name in LEDGER},
    "requestBulkPoints": bulk.request_rows,
    "approveBulkPoints": bulk.approve_bulk_points,
    "rejectBulkPoints": bulk.reject_bulk_points,
    "previewExpiryChange": policies.preview_expiry_change,
    "applyExpiryChange": policies.apply_expiry_change,
    "freezeMember": lifecycle.freeze_member,
    "thawMember": lifecycle.thaw_member,
    "recordPurchase": earning.record_purchase,
    "createProgram": members.create_program,
    "createStore": members.create_store,
    "createChannel": members.create_channel,
    "publishPointsPolicy": policies.publish_points_policy,
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
    "createApiKey": access.create_key,
    "revokeApiKey": access.revoke_key,
    "revokeTokens": access.revoke_tokens,
}


ALL_CASES = CASES | LEDGER_CASES

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
    await keys.put_keys()
    await put_previews()
    await put_corrections()


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


def test_every_problem_of_every_mutation_has_its_case() -> None:
    every = {(name, one.name) for name in VALID for one in problems(name) if one.name not in OF_THE_API}
    assert set(ALL_CASES) == every


@pytest.mark.parametrize(("name", "problem"), CASES)
@pytest.mark.usefixtures("known_members_only")
async def test_each_problem_is_reached(
    http: HttpClient, people: People, member: Person, name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name, problem]
    if problem == "TooManyWebhooks":
        monkeypatch.setattr(webhooks, "ENDPOINTS_MAX", case.known["limit"])
    if problem == "TooManyApiKeys":
        monkeypatch.setattr(access, "KEYS_MAX", case.known["limit"])
    await reach(http, people, member, name, problem, case)


@pytest.mark.parametrize(("name", "problem"), ALL_CASES)
def test_paths_lead_to_a_field_of_the_input(name: str, problem: str) -> None:
    case = ALL_CASES[name, problem]
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
    await make_ready(name, member)
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


IN_MONEY = {kind.__name__: of_value.__name__ for kind, (of_value, _) in ledger_problems.IN_MONEY.items()}
STORED_VALUE = {"topUp", "payStoredValue", "holdStoredValue", "refundTopUp"}
POINTS_OR_VALUE = {"captureHold", "releaseHold", "reverseTransfer"}
"""Whose figures are money, or may be."""

OF_DOCUMENTS = {PersistedQueryNotFound, PersistedQueryMismatch, DocumentNotTrusted}
OF_LIMITS = {ListTooLong, CostTooHigh, TooMany, BudgetExhausted, RateLimited}
OF_SUBSCRIPTIONS = {TooManySubscribers, SubscriptionEnded, TooSlow, GoingAway}
NOT_OF_COMMANDS = {Unauthenticated, *OF_SUBSCRIPTIONS, *OF_DOCUMENTS, *OF_LIMITS}
"""Who calls is not known, or the document; a limit refused it; or it is a subscription that was refused or ended."""


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
        if name in STORED_VALUE:
            raised = {IN_MONEY.get(one, one) for one in raised}
        elif name in POINTS_OR_VALUE:
            raised |= {IN_MONEY[one] for one in raised if one in IN_MONEY}
        assert {one.name for one in problems(name)} == raised | OF_THE_API | OF_EVERY_INPUT, name


def test_what_a_problem_tells_beside_its_sentence_is_typed() -> None:
    told = {
        one.name: {key: str(one.fields[key].type) for key in extras(one)} for name in VALID for one in problems(name)
    }
    assert {name: fields for name, fields in told.items() if fields} == {
        "AdjustmentDecided": {"adjustmentState": "AdjustmentState!"},
        "BalanceLimit": {"limit": "Points!", "present": "Points!", "required": "Points!"},
        "ExceedsHold": {"remaining": "Points!", "required": "Points!"},
        "ExceedsReversible": {"remaining": "Points!", "required": "Points!"},
        "GiftDecided": {"giftState": "GiftState!"},
        "GiftLimit": {"limitKind": "GiftLimitKind!", "limit": "Points!", "remaining": "Points!"},
        "HoldNotOpen": {"holdState": "HoldState!", "deadline": "DateTime!"},
        "InsufficientPoints": {"available": "Points!", "required": "Points!"},
        "InsufficientValue": {"availableValue": "Money!", "requiredValue": "Money!"},
        "NotPending": {"lotState": "LotState!"},
        "NotReversible": {"kind": "TransferKind!"},
        "RateNotInForce": {"currentRateId": "ID"},
        "ValueLimit": {"limitValue": "Money!", "presentValue": "Money!", "requiredValue": "Money!"},
        "JobNotCancellable": {"state": "JobState!"},
        "JobNotRetryable": {"state": "JobState!"},
        "MemberNotActive": {"state": "MemberState!"},
        "PreviewOutdated": {"inForce": "Int!"},
        "UnknownChannel": {"known": "[String!]!"},
        "TooManyApiKeys": {"limit": "Int!"},
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
    await db.execute("UPDATE accounts SET available = $2 WHERE member_id = $1", member.id, 2**53 - 5)
    before = await everything()
    given = {"memberId": member.gid, "amount": 5, "idempotencyKey": new_key()}
    answer = await http.ask(document("earnPoints"), {"input": given}, token=people.staff)
    assert answer.data["earnPoints"]["__typename"] == "BalanceLimit"
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
