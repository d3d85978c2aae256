"""Each command of the ledger over HTTP: what it answers, that a repetition answers the same and moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLObjectType, GraphQLUnionType, get_named_type, is_object_type

from engage.api.relay import global_id, local_id
from engage.base import db
from engage.base.actor import SYSTEM
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from tests.api.clients import HttpClient, Json
from tests.api.conftest import People, Person, new_key
from tests.api.gateway import Gateway
from tests.api.inputs import SCHEMA, VALID
from tests.api.ledger_inputs import LEDGER, OFFERS, made, make_ready, tomorrow, top_up
from tests.api.tables import everything

GIVEN = 100


@pytest.fixture(scope="module", autouse=True)
async def corner_shop(gateway: Gateway) -> None:
    assert gateway.port
    await members.create_store(SYSTEM, program="default", code="corner", name="The corner shop")


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(GIVEN)


def selection(type_: GraphQLObjectType) -> str:
    """All fields, and those of what they hold."""
    parts = []
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        parts.append(f"{name} {{ {selection(inner)} }}" if is_object_type(inner) else name)
    return " ".join(parts)


def document(name: str) -> str:
    """A mutation that asks for all that its payload tells."""
    title = name[0].upper() + name[1:]
    result = SCHEMA.type_map[f"{title}Result"]
    assert isinstance(result, GraphQLUnionType)
    payload = result.types[0]
    return f"""mutation ($input: {title}Input!) {{ {name}(input: $input) {{ __typename
        ... on {payload.name} {{ {selection(payload)} }} ... on Problem {{ code message path }} }} }}"""


async def run(http: HttpClient, token: str, name: str, given: Json) -> Json:
    answer = await http.ask(document(name), {"input": given}, token=token)
    told: Json = answer.data[name]
    assert told.pop("__typename") == f"{name[0].upper()}{name[1:]}Payload", told
    return told


def usd(amount: str) -> Json:
    return {"amount": amount, "currency": "USD"}


def points(available: int, pending: int = 0, held: int = 0, debt: int = 0) -> Json:
    return {"available": available, "pending": pending, "held": held, "debt": debt}


def value(available: str, held: str = "0.00", debt: str = "0.00") -> Json:
    return {"available": usd(available), "held": usd(held), "debt": usd(debt)}


@dataclass(frozen=True)
class Success:
    """What differs from a valid input, and what the payload tells, beside ids and moments."""

    tells: Json
    change: Callable[[Person], Json] = lambda _: {}


EXPECTED: dict[str, Success] = {
    "earnPoints": Success({"amount": 1, "balance": points(101)}),
    "confirmPending": Success({"amount": 10, "balance": points(110)}),
    "cancelPending": Success({"amount": -1, "balance": points(100, pending=9)}),
    "spendPoints": Success({"amount": -1, "balance": points(99)}),
    "donatePoints": Success({"amount": -1, "balance": points(99)}),
    "holdPoints": Success({"amount": -1, "balance": points(99, held=1)}),
    "captureHold": Success(
        {"amount": -1, "stillHeld": 9, "holdState": "OPEN", "balance": points(100, held=9), "value": None}
    ),
    "releaseHold": Success(
        {"amount": 1, "stillHeld": 9, "holdState": "OPEN", "balance": points(101, held=9), "value": None}
    ),
    "reverseTransfer": Success(
        {"amount": 1, "leftToReverse": 9, "shortfall": 0, "debt": 0, "balance": points(101), "value": None}
    ),
    "clawbackPoints": Success(
        {"amount": -120, "taken": 100, "shortfall": 20, "debt": 20, "balance": points(0, debt=20)},
        lambda _: {"amount": 120},
    ),
    "deductPoints": Success(
        {"amount": -100, "taken": 100, "shortfall": 0, "debt": 0, "balance": points(0)}, lambda _: {"amount": None}
    ),
    "restorePoints": Success({"amount": 1, "leftToReverse": 9, "balance": points(101)}),
    "giftPoints": Success({"amount": -1, "giftState": "GIVEN", "fee": 0, "deadline": None, "balance": points(99)}),
    "acceptGift": Success({"amount": 5, "giftState": "ACCEPTED", "balance": points(5)}),
    "declineGift": Success({"giftState": "DECLINED"}),
    "withdrawGift": Success({"amount": 6, "giftState": "WITHDRAWN", "balance": points(20)}),
    "exchangePoints": Success(
        {"amount": -3, "received": 4, "balance": points(97), "receivedBalance": points(4)}, lambda _: {"amount": 3}
    ),
    "publishExchangeRate": Success({}),
    "adjustPoints": Success({"adjustment": None}),
    "approveAdjustment": Success({}),
    "rejectAdjustment": Success({}),
    "topUp": Success(
        {"amount": usd("20.00"), "bonus": usd("2.00"), "balance": value("22.00")},
        lambda _: {"program": OFFERS, "amount": "20", "store": None},
    ),
    "payStoredValue": Success({"amount": usd("-0.01"), "balance": value("49.99")}),
    "holdStoredValue": Success({"amount": usd("-0.01"), "balance": value("49.99", held="0.01")}),
    "refundTopUp": Success(
        {"amount": usd("-0.01"), "bonus": usd("0.00"), "unspent": usd("49.99"), "balance": value("49.99")}
    ),
}

OF_THEIR_OWN_KEY = {"approveAdjustment", "rejectAdjustment"}
"""What is decided once needs no key, and has nothing to say of a repetition but what it says."""

IDS = {"transferId": "Transfer", "memberId": "Member", "holdId": "Hold", "giftId": "Gift", "recipientId": "Member",
       "rateId": "ExchangeRate", "receivedTransferId": "Transfer"}  # fmt: skip


def test_each_command_is_tried() -> None:
    assert set(EXPECTED) == set(LEDGER)


@pytest.mark.parametrize("name", EXPECTED)
async def test_it_is_done_once(http: HttpClient, people: People, member: Person, name: str) -> None:
    await make_ready("exchangePoints", member)  # the program `offers`
    await make_ready(name, member)
    given = VALID[name](member) | EXPECTED[name].change(member)
    told = await run(http, people.admin, name, given)
    assert {key: told[key] for key in EXPECTED[name].tells} == EXPECTED[name].tells
    for field, kind in IDS.items():
        if field in told:
            assert global_id(kind, local_id(kind, told[field], path=[field])) == told[field]
    after = await everything()
    again = await run(http, people.admin, name, given)
    assert await everything() == after
    assert again == told | ({} if name in OF_THEIR_OWN_KEY else {"replayed": True}) | nested(told)
    assert told.get("replayed", False) is False


def nested(told: Json) -> Json:
    """What was posted inside of an answer, as a repetition tells it."""
    posted = told.get("posted")
    return {} if posted is None else {"posted": posted | {"replayed": True}}


TELLING_WHOSE = [name for name in EXPECTED if name not in {"publishExchangeRate", "declineGift", *OF_THEIR_OWN_KEY}]


@pytest.mark.parametrize("name", TELLING_WHOSE)
async def test_it_tells_whose_and_where(http: HttpClient, people: People, member: Person, name: str) -> None:
    await make_ready("exchangePoints", member)
    await make_ready(name, member)
    told = await run(http, people.admin, name, VALID[name](member) | EXPECTED[name].change(member))
    told = told.get("posted") or told
    assert told["memberId"] == member.gid
    assert told["position"] == await last_position(member)


async def last_position(member: Person) -> int:
    sql = "SELECT max(position) FROM events WHERE stream = 'member:' || $1::text"
    found: int = await db.fetch_value(sql, str(member.id))
    return found


async def test_stored_value_is_held_and_paid_with_in_money(http: HttpClient, people: People, member: Person) -> None:
    await top_up(member)
    given: Json = {"memberId": member.gid, "amount": "20.5", "idempotencyKey": new_key(), "deadline": tomorrow()}
    hold = await run(http, member.token, "holdStoredValue", given)
    assert hold["balance"] == value("29.50", held="20.50")
    given = {"holdId": hold["holdId"], "idempotencyKey": new_key(), "value": "10.25", "keepRest": True}
    done = await run(http, people.staff, "captureHold", given)
    assert (done["amount"], done["stillHeld"], done["balance"], done["holdState"]) == (None, None, None, "OPEN")
    assert done["value"] == {
        "amount": usd("-10.25"), "stillHeld": usd("10.25"), "balance": value("29.50", held="10.25"),
    }  # fmt: skip
    captured = done["transferId"]
    given = {"holdId": hold["holdId"], "idempotencyKey": new_key()}
    done = await run(http, people.staff, "releaseHold", given)
    assert done["holdState"] == "RELEASED"
    assert done["value"] == {"amount": usd("10.25"), "stillHeld": usd("0.00"), "balance": value("39.75")}
    given = {"transferId": captured, "idempotencyKey": new_key(), "value": "0.25"}
    done = await run(http, people.staff, "reverseTransfer", given)
    assert done["amount"] is None
    assert done["value"] == {
        "amount": usd("0.25"), "leftToReverse": usd("10.00"), "shortfall": usd("0.00"), "debt": usd("0.00"),
        "balance": value("40.00"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "given", "path"),
    [
        (1, None, ["amount"]),
        (1, "1.00", ["value"]),
        (None, "1.001", ["value"]),
        (None, "0", ["value"]),
        (None, "-1", ["value"]),
        (None, "1e300", ["value"]),
        (None, "NaN", ["value"]),
    ],
)
async def test_a_part_of_stored_value_is_money(
    http: HttpClient, people: People, member: Person, amount: int | None, given: str | None, path: list[str]
) -> None:
    await top_up(member)
    hold = await ledger.hold_stored_value(
        SYSTEM, member_id=member.id, program="default", amount=500, idempotency_key=new_key()
    )
    before = await everything()
    part = {"amount": amount, "value": given, "idempotencyKey": new_key()}
    for name, field, kind in (
        ("captureHold", "holdId", "Hold"),
        ("releaseHold", "holdId", "Hold"),
        ("reverseTransfer", "transferId", "Transfer"),
    ):
        answer = await http.ask(
            document(name), {"input": {**part, field: global_id(kind, hold.hold_id)}}, token=people.staff
        )
        told = answer.data[name]
        assert (told["__typename"], told["path"]) == ("InvalidInput", path)
    assert await everything() == before


async def test_a_large_correction_waits_until_another_approves_it(
    http: HttpClient, people: People, member: Person
) -> None:
    await make_ready("approveAdjustment", member)
    given = VALID["adjustPoints"](member) | {"program": OFFERS, "amount": 500}
    asked = await run(http, people.staff, "adjustPoints", given)
    assert asked["posted"] is None
    waiting = asked["adjustment"]
    assert (waiting["state"], waiting["amount"], waiting["note"]) == ("WAITING", 500, "Counted twice.")
    assert (waiting["askedBy"], waiting["decidedBy"], waiting["transferId"]) == ("staff-1", None, None)
    answer = await http.ask(
        document("approveAdjustment"), {"input": {"adjustmentId": waiting["id"]}}, token=people.staff
    )
    assert answer.data["approveAdjustment"]["__typename"] == "SecondPersonNeeded"
    done = await run(http, people.service, "approveAdjustment", {"adjustmentId": waiting["id"]})
    assert done["posted"]["balance"]["available"] == 500
    assert done["adjustment"] == waiting | {
        "state": "APPROVED",
        "decidedBy": "service-1",
        "decidedAt": done["adjustment"]["decidedAt"],
        "transferId": done["posted"]["transferId"],
    }
    again = await run(http, people.staff, "adjustPoints", given)
    assert (again["adjustment"]["state"], again["replayed"]) == ("APPROVED", True)


async def test_who_accepts_or_declines_a_gift_sees_nothing_of_its_sender(http: HttpClient, member: Person) -> None:
    for name in ("acceptGift", "declineGift"):
        await make_ready(name, member)
        given = {"giftId": made(member, "received Gift"), "idempotencyKey": new_key()}
        told = await run(http, member.token, name, given)
        if name == "acceptGift":
            assert (told["memberId"], told["balance"]) == (member.gid, points(5))
        else:
            assert set(told) == {"giftId", "giftState", "replayed"}


async def test_a_rate_is_published_and_told_whole(http: HttpClient, people: People, member: Person) -> None:
    await make_ready("publishExchangeRate", member)
    given = VALID["publishExchangeRate"](member)
    told = await run(http, people.admin, "publishExchangeRate", given)
    rate: dict[str, Any] = told["rate"]
    shown = {key: rate[key] for key in ("fromProgram", "toProgram", "numerator", "denominator")}
    assert shown == {key: given[key] for key in shown}
    assert (rate["effectiveAt"], rate["endsAt"]) == ("2098-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00")
