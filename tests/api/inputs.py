"""A valid input for each mutation, with every field filled in, and the places in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_list_type,
    is_non_null_type,
)

from engage.api.relay import global_id
from engage.api.schema import build_schema
from engage.base.ids import new_id
from tests.api import corrections, hooks, keys, previews
from tests.api.clients import Json
from tests.api.conftest import Person, new_key
from tests.api.ledger_inputs import LEDGER
from tests.api.promised import DEAD, KIND, WAITING, job_gid

SCHEMA = build_schema()._schema

Place = tuple[str | int, ...]


def _person(member: Person) -> Json:
    return {"channel": "card", "identifier": member.card}


VALID: dict[str, Callable[[Person], Json]] = {
    "registerMember": lambda _: {
        "identities": [{"channel": "phone", "identifier": new_key()}],
        "displayName": "Ann",
        "locale": "en",
        "birthday": "1990-02-28",
    },
    "requestBulkPoints": lambda member: {
        "operation": "EARN",
        "rows": [
            {
                "rowKey": "1",
                "memberId": member.gid,
                "amount": 1,
                "reason": "BIRTHDAY",
                "cause": {"type": "campaign", "id": "7"},
                "usableAt": "2026-01-01T00:00:00Z",
                "expiresAt": "2099-01-01T00:00:00Z",
                "note": "from Ann",
            }
        ],
        "idempotencyKey": new_key(),
        "program": "default",
        "reason": "CORRECTION",
    },
    "approveBulkPoints": lambda _: {"id": job_gid(corrections.GOOD)},
    "rejectBulkPoints": lambda _: {"id": job_gid(corrections.BAD)},
    "previewExpiryChange": lambda _: {"version": 1, "program": previews.PROGRAM, "notice": "P1D"},
    "applyExpiryChange": lambda _: {"previewId": previews.preview_gid(previews.PRESENT)},
    "freezeMember": lambda member: {"memberId": member.gid, "reason": "ACCOUNT_TAKEOVER"},
    "thawMember": lambda member: {"memberId": member.gid, "reason": "OWNER_CONFIRMED"},
    "recordPurchase": lambda member: {
        "orderNo": new_key(),
        "member": _person(member),
        "amount": "12.50",
        "purchasedAt": "2026-01-05T10:00:00+08:00",
        "channel": "pos",
        "currency": "USD",
        "program": "default",
        "store": "corner",
        "quantity": 2,
        "lines": [{"item": "TEA", "quantity": 2, "amount": "12.50", "category": "tea", "brand": "West Lake"}],
    },
    "createProgram": lambda _: {
        "code": new_key(),
        "name": "Brand",
        "timeZone": "Asia/Shanghai",
        "moneyCurrency": "CNY",
        "pointsPerUnit": "1.5",
        "pointsValidFor": "P12M",
    },
    "createStore": lambda _: {"program": "default", "code": new_key(), "name": "Shop"},
    "createChannel": lambda _: {"code": new_key(), "name": "Kiosk"},
    "publishPointsPolicy": lambda _: {
        "idempotencyKey": new_key(),
        "program": "default",
        "effectiveAt": "2099-01-01T00:00:00Z",
        "policy": {
            "expiryKind": "ROLLING",
            "expiryAfter": "P12M",
            "expiryRound": "MONTH",
            "expiryActivities": ["EARN"],
            "returnedKind": "REISSUED",
            "returnedGrace": "P7D",
            "holdLongest": "P14D",
            "giftDailyPoints": 1000,
            "giftDailyCount": 3,
            "giftFeePerMille": 10,
            "giftFeeFixed": 1,
            "giftExpiry": "RENEW",
            "giftAcceptWithin": "P3D",
            "giftHopsMax": 2,
            "exchangeExpiry": "KEEP",
            "adjustAloneMax": 500,
            "topUpBonus": [{"fromAmount": "100", "perMille": 50, "fixed": "0.50"}],
            "topUpBonusValidFor": "P1Y",
        },
    },
    "markMessagesRead": lambda member: {
        "memberId": member.gid,
        "messageIds": [global_id("Message", new_id())],
    },
    "retryJobs": lambda _: {"ids": [job_gid(DEAD)]},
    "retryDeadJobs": lambda _: {"kind": "tests.retried", "target": "somebody"},
    "discardDeadJobs": lambda _: {"kind": "tests.discarded", "target": "somebody"},
    "pauseJobKind": lambda _: {"kind": KIND, "target": ""},
    "resumeJobKind": lambda _: {"kind": KIND, "target": ""},
    "cancelJob": lambda _: {"id": job_gid(WAITING)},
    "createWebhookEndpoint": lambda _: {"url": hooks.URL, "events": [hooks.EVENT], "description": "Till"},
    "updateWebhookEndpoint": lambda _: {
        "id": hooks.endpoint_gid(hooks.PRESENT),
        "url": hooks.URL,
        "events": [hooks.EVENT],
        "description": "Till",
    },
    "pauseWebhookEndpoint": lambda _: {"id": hooks.endpoint_gid(hooks.PRESENT)},
    "resumeWebhookEndpoint": lambda _: {"id": hooks.endpoint_gid(hooks.PRESENT)},
    "deleteWebhookEndpoint": lambda _: {"id": hooks.endpoint_gid(hooks.DELETED)},
    "rotateWebhookSecret": lambda _: {"id": hooks.endpoint_gid(hooks.PRESENT), "overlapHours": 1},
    "replayWebhook": lambda _: {
        "id": hooks.endpoint_gid(hooks.PRESENT),
        "stream": "member:1",
        "afterPosition": 1,
    },
    "testWebhook": lambda _: {"id": hooks.endpoint_gid(hooks.PRESENT)},
    "createApiKey": lambda _: keys.NEW,
    "revokeApiKey": lambda _: {"id": keys.key_gid(keys.PRESENT)},
    "revokeTokens": lambda _: keys.NOBODYS,
    **LEDGER,
}


def problems(name: str) -> list[GraphQLObjectType]:
    """The problem types that a mutation can answer."""
    result = SCHEMA.type_map[f"{name[0].upper()}{name[1:]}Result"]
    assert isinstance(result, GraphQLUnionType)
    return list(result.types[1:])


def extras(problem: GraphQLObjectType) -> list[str]:
    """What a problem tells beside code, message and path."""
    return [field for field in problem.fields if field not in {"code", "message", "path"}]


def _selection(problem: GraphQLObjectType) -> str:
    money = {name for name in extras(problem) if get_named_type(problem.fields[name].type).name == "Money"}
    return " ".join(f"{name} {{ amount currency }}" if name in money else name for name in extras(problem))


def document(name: str) -> str:
    """A mutation that asks for all that any problem tells."""
    more = "\n".join(f"... on {one.name} {{ {_selection(one)} }}" for one in problems(name) if extras(one))
    return f"""mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {{
        __typename ... on Problem {{ code message path }} {more} }} }}"""


def leaves(name: str) -> Iterator[tuple[Place, str]]:
    """The places of an input's plain values, and their types; of a list its first item's."""
    yield from _leaves(SCHEMA.type_map[f"{name[0].upper()}{name[1:]}Input"], ())


def _leaves(type_: Any, place: Place) -> Iterator[tuple[Place, str]]:
    for name, field in type_.fields.items():
        bare = field.type.of_type if is_non_null_type(field.type) else field.type
        at: Place = (*place, name, 0) if is_list_type(bare) else (*place, name)
        named = get_named_type(field.type)
        if isinstance(named, GraphQLInputObjectType):
            yield from _leaves(named, at)
        else:
            yield at, named.name


def replaced(given: Json, place: Place, value: object) -> Json:
    """The input with another value at a place."""
    changed = copy.deepcopy(given)
    target: Any = changed
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return changed
