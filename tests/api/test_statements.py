"""The history over HTTP: what a member sees of it, what staff see, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.api.relay import global_id
from engage.base import clock
from engage.base.actor import SYSTEM, Role
from engage.base.ids import new_id
from engage.base.paging import encode_cursor
from engage.domains.ledger import service
from engage.domains.ledger.types import TransferKind
from tests.api.clients import HttpClient, Json
from tests.api.conftest import People
from tests.api.gateway import Gateway
from tests.ledger.books import NOON, earn, new_key
from tests.ledger.whole_books import DAY, HOUR, Story, write_books

LINK = "{ id memberId kind amount program currency postedAt }"
LINES = f"""query ($program: String!, $kinds: [TransferKind!], $after: String, $first: Int!,
        $currency: CurrencyKind!, $from: DateTime, $to: DateTime) {{
    me {{ transactions(first: $first, after: $after, program: $program, kinds: $kinds, currency: $currency,
            from: $from, to: $to) {{ pageInfo {{ hasNextPage endCursor }} edges {{ node {{
        id kind amount balanceAfter program currency money {{ amount currency }} moneyAfter {{ amount }}
        availableChange leftToReverse entries {{ bucket house amount balanceAfter }} reverses {LINK} reversals {LINK}
        counterMovement {LINK} hold {{ id state purpose remaining }} debt {{ transferId amount remaining }}
        gift {{ id senderId recipientId message state }}
        lots(first: 10) {{ edges {{ node {{ lotId amount held }} }} }} }} }} }} }} }}"""
TRANSFER = f"""query ($id: ID!) {{ transfer(id: $id) {{ id kind counterMovement {LINK} reverses {LINK}
    reversals {LINK} leftToReverse }} }}"""
LOT = f"""query ($id: ID!) {{ lot(id: $id) {{ id memberId remaining held state source {LINK}
    history(first: 50) {{ edges {{ node {{ transferId kind amount held }} }} }}
    origins {{ lotId amount source {LINK} }}
    successors(first: 9) {{ edges {{ node {{ lotId amount source {LINK} }} }} }} }} }}"""


@pytest.fixture(scope="module")
async def story(gateway: Gateway) -> Story:
    assert gateway.url
    return await write_books()


@pytest.fixture(scope="module")
def token(gateway: Gateway, story: Story) -> str:
    """The member's."""
    return gateway.token(Role.MEMBER, story.member)


@pytest.fixture(scope="module")
def friends_token(gateway: Gateway, story: Story) -> str:
    return gateway.token(Role.MEMBER, story.friend)


def gid(kind: str, local: UUID) -> str:
    return global_id(kind, local)


async def lines(http: HttpClient, token: str, story: Story, **more: Any) -> list[Json]:
    given = {"program": story.program, "first": 100, "currency": "POINTS", **more}
    found = await http.ask(LINES, given, token=token)
    return [edge["node"] for edge in found.data["me"]["transactions"]["edges"]]


async def transfer(http: HttpClient, token: str, transfer_id: UUID) -> Json:
    found: Json = (await http.ask(TRANSFER, {"id": gid("Transfer", transfer_id)}, token=token)).data["transfer"]
    return found


async def test_a_statement_tells_everything_of_every_line(http: HttpClient, token: str, story: Story) -> None:
    found = await lines(http, token, story)
    assert len(found) > 20
    for line in found:
        assert sum(entry["amount"] for entry in line["entries"]) == 0
        assert line["money"] is line["moneyAfter"] is None
    by_id = {line["id"]: line for line in found}
    captured = by_id[gid("Transfer", story.id("captured"))]
    assert (captured["amount"], captured["availableChange"], captured["leftToReverse"]) == (-60, 0, 60)
    assert captured["hold"]["id"] == gid("Hold", story.id("held"))
    assert {(entry["bucket"], entry["house"], entry["amount"]) for entry in captured["entries"]} == {
        ("HELD", None, -60), ("HOUSE", "REDEEMED", 60),
    }  # fmt: skip
    spent = by_id[gid("Transfer", story.id("spent"))]
    assert [(one["id"], one["amount"]) for one in spent["reversals"]] == [(gid("Transfer", story.id("returned")), 20)]
    assert by_id[gid("Transfer", story.id("returned"))]["reverses"]["id"] == spent["id"]
    assert sum(edge["node"]["amount"] for edge in spent["lots"]["edges"]) == -70


async def test_a_statement_of_stored_value_is_of_money(http: HttpClient, token: str, story: Story) -> None:
    found = await lines(http, token, story, currency="CASH", kinds=["TOP_UP", "SPEND"])
    assert [(line["amount"], line["money"], line["moneyAfter"]) for line in found] == [
        (-500, {"amount": "-5.00", "currency": "EUR"}, {"amount": "17.55"}),
        (2050, {"amount": "20.50", "currency": "EUR"}, {"amount": "20.50"}),
    ]


async def test_a_statement_can_be_of_some_kinds_and_times(http: HttpClient, token: str, story: Story) -> None:
    whole = await lines(http, token, story)
    some = await lines(http, token, story, kinds=["EARN", "GIFT"])
    assert some == [line for line in whole if line["kind"] in ("EARN", "GIFT")]
    begin, end = (NOON + HOUR).isoformat(), (NOON + 2 * HOUR).isoformat()
    timed = await lines(http, token, story, **{"from": begin, "to": end})
    assert {line["kind"] for line in timed} == {"HOLD", "GIFT", "FEE", "RELEASE"}
    paged: list[Json] = []
    after: str | None = None
    while True:
        given = {
            "program": story.program,
            "first": 3,
            "currency": "POINTS",
            "kinds": ["EARN", "HOLD"],
            "after": after,
        }
        page = (await http.ask(LINES, given, token=token)).data["me"]["transactions"]
        paged += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert paged == [line for line in whole if line["kind"] in ("EARN", "HOLD")]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"from": "2026-03-11T00:00:00Z", "to": "2026-03-11T00:00:00Z"}, ["to"]),
        ({"from": "2026-03-11T00:00:00"}, ["from"]),
        ({"after": "junk"}, ["after"]),
        ({"after": encode_cursor("1")}, ["after"]),
        ({"first": 0}, ["first"]),
        ({"first": 101}, ["first"]),
    ],
)
async def test_a_statement_that_cannot_be_is_refused(
    http: HttpClient, token: str, story: Story, given: Json, path: list[str]
) -> None:
    answer = await http.ask(LINES, {"program": story.program, "first": 5, "currency": "POINTS", **given}, token=token)
    assert answer.error["extensions"] == {"code": "INVALID_INPUT", "path": path}


async def test_the_two_sides_of_a_gift_know_each_other_and_no_more(
    http: HttpClient, people: People, token: str, friends_token: str, story: Story
) -> None:
    [gift] = await lines(http, token, story, kinds=["GIFT"])
    [received] = await lines(http, friends_token, story, kinds=["RECEIVE"])
    there, back = gift["counterMovement"], received["counterMovement"]
    assert (there["kind"], there["amount"], there["id"]) == ("RECEIVE", 200, None)
    assert (back["kind"], back["amount"], back["id"]) == ("GIFT", -200, None)
    assert there["memberId"] == gid("Member", story.friend)
    assert back["memberId"] == gid("Member", story.member)
    for line in (gift, received):
        assert line["gift"]["message"] == "for your birthday"
    seen = await transfer(http, people.moderator, story.id("given"))
    assert seen["counterMovement"]["id"] == received["id"]


async def test_the_two_sides_of_a_merge_do_not_know_each_other(
    http: HttpClient, people: People, token: str, story: Story
) -> None:
    [merged] = await lines(http, token, story, kinds=["MERGE_IN"])
    other = merged["counterMovement"]
    assert (other["kind"], other["amount"], other["id"], other["memberId"]) == ("MERGE_OUT", -60, None, None)
    answer = await http.ask(TRANSFER, {"id": merged["id"]}, token=people.staff)
    assert answer.data["transfer"]["counterMovement"]["memberId"] == gid("Member", story.twin)


async def test_both_sides_of_an_exchange_are_ones_own(http: HttpClient, friends_token: str, story: Story) -> None:
    [out] = await lines(http, friends_token, story, kinds=["EXCHANGE_OUT"])
    into = out["counterMovement"]
    assert (into["amount"], into["program"], into["memberId"]) == (
        40, story.other_program, gid("Member", story.friend),
    )  # fmt: skip
    found = await http.ask(TRANSFER, {"id": into["id"]}, token=friends_token)
    assert found.data["transfer"]["counterMovement"]["id"] == out["id"]


async def test_what_is_taken_back_from_another_holder_tells_neither_of_the_other(
    http: HttpClient, gateway: Gateway, people: People
) -> None:
    story = await write_books()
    with clock.frozen(NOON + 3 * DAY):
        earned = await earn(story.twin, story.other_program, 50)
        await service.gift_points(
            SYSTEM, member_id=story.member, recipient_id=story.friend, program=story.other_program, amount=50,
            idempotency_key=new_key(),
        )  # fmt: skip
        await service.reverse_transfer(SYSTEM, transfer_id=earned.transfer_id, idempotency_key=new_key())
    own, other = gateway.token(Role.MEMBER, story.member), gateway.token(Role.MEMBER, story.friend)
    as_own = await transfer(http, own, earned.transfer_id)
    as_staff = await transfer(http, people.staff, earned.transfer_id)
    assert (as_own["reversals"], as_own["leftToReverse"]) == ([], 0)
    [taken] = as_staff["reversals"]
    assert (taken["kind"], taken["amount"], taken["memberId"]) == ("CLAWBACK", -50, gid("Member", story.friend))
    seen = (await http.ask(TRANSFER, {"id": taken["id"]}, token=other)).data["transfer"]
    assert seen["reverses"] is None
    staff = (await http.ask(TRANSFER, {"id": taken["id"]}, token=people.staff)).data["transfer"]
    assert staff["reverses"]["id"] == gid("Transfer", earned.transfer_id)


async def test_the_lots_of_a_transfer_come_page_by_page(http: HttpClient, gateway: Gateway, people: People) -> None:
    person = await people.new()
    for amount in (1, 2, 3):
        await earn(person.id, "default", amount, expires_at=clock.now() + amount * HOUR)
    spent = await service.spend_points(
        SYSTEM, member_id=person.id, program="default", amount=6, idempotency_key=new_key()
    )
    ask = """query ($id: ID!, $after: String) { transfer(id: $id) { lots(first: 2, after: $after) {
        pageInfo { hasNextPage endCursor } edges { node { amount } } } } }"""
    pages = []
    after = None
    for more in (True, False):
        given = {"id": gid("Transfer", spent.transfer_id), "after": after}
        page = (await http.ask(ask, given, token=person.token)).data["transfer"]["lots"]
        assert page["pageInfo"]["hasNextPage"] is more
        pages.append([edge["node"]["amount"] for edge in page["edges"]])
        after = page["pageInfo"]["endCursor"]
    assert pages == [[-1, -2], [-3]]
    answer = await http.ask(ask, {"id": gid("Transfer", spent.transfer_id), "after": "junk"}, token=person.token)
    assert answer.code == "INVALID_INPUT"
    assert gateway.url


BALANCES = """query ($program: String!, $at: DateTime!) { me {
    balanceAsOf(program: $program, at: $at) { available pending held debt }
    storedValue(program: $program, at: $at) { available { amount currency } held { amount } debt { amount } } } }"""


async def test_balances_of_the_past(http: HttpClient, token: str, story: Story) -> None:
    async def at(moment: Any) -> Any:
        given = {"program": story.program, "at": moment.isoformat()}
        return (await http.ask(BALANCES, given, token=token)).data["me"]

    nothing = await at(NOON - timedelta(microseconds=1))
    assert nothing["balanceAsOf"] == {"available": 0, "pending": 0, "held": 0, "debt": 0}
    assert nothing["storedValue"]["available"] == {"amount": "0.00", "currency": "EUR"}
    first = await at(NOON)
    assert first["balanceAsOf"] == {"available": 935, "pending": 40, "held": 30, "debt": 0}
    # The points that were pending for a day are usable then, the hold of two days is over then: sweeps came later.
    day, two = await at(NOON + DAY), await at(NOON + 2 * DAY)
    assert (day["balanceAsOf"]["pending"], day["balanceAsOf"]["held"]) == (0, 30 + 18)
    assert two["balanceAsOf"]["held"] == 18
    assert two["storedValue"] == {
        "available": {"amount": "11.62", "currency": "EUR"}, "held": {"amount": "1.20"}, "debt": {"amount": "0.00"},
    }  # fmt: skip


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00Z", "2026-03-10T12:00:00"])
@pytest.mark.parametrize("name", ["balanceAsOf", "storedValue"])
async def test_balances_of_the_future_are_refused(http: HttpClient, token: str, name: str, at: str) -> None:
    inside = "available" if name == "balanceAsOf" else "available { amount }"
    answer = await http.ask(f'{{ me {{ {name}(at: "{at}") {{ {inside} }} }} }}', token=token)
    assert answer.error["extensions"] == {"code": "INVALID_INPUT", "path": ["at"]}


async def test_stored_value_now_and_of_no_program(http: HttpClient, people: People) -> None:
    person = await people.new()
    ask = "query ($program: String!) { me { storedValue(program: $program) { available { amount currency } } } }"
    found = await http.ask(ask, {"program": "default"}, token=person.token)
    assert found.data["me"]["storedValue"]["available"] == {"amount": "0.00", "currency": "USD"}
    await service.top_up(
        SYSTEM, member_id=person.id, program="default", amount=1234, channel="pos", payment_reference=new_key(),
        paid_at=clock.now(), idempotency_key=new_key(),
    )  # fmt: skip
    found = await http.ask(ask, {"program": "default"}, token=person.token)
    assert found.data["me"]["storedValue"]["available"] == {"amount": "12.34", "currency": "USD"}
    assert (await http.ask(ask, {"program": "nowhere"}, token=person.token)).code == "NOT_FOUND"


async def test_a_lot_tells_its_way_and_not_whose_it_is_elsewhere(
    http: HttpClient, people: People, token: str, friends_token: str, story: Story
) -> None:
    [received] = await lines(http, friends_token, story, kinds=["RECEIVE"])
    [share] = received["lots"]["edges"]
    lot = (await http.ask(LOT, {"id": share["node"]["lotId"]}, token=friends_token)).data["lot"]
    assert (lot["memberId"], lot["source"]["id"]) == (gid("Member", story.friend), received["id"])
    assert [edge["node"]["kind"] for edge in lot["history"]["edges"]][:2] == ["RECEIVE", "EXCHANGE_OUT"]
    [origin] = lot["origins"]
    assert (origin["lotId"], origin["source"]["id"], origin["source"]["memberId"]) == (None, None, None)
    assert (origin["source"]["kind"], origin["amount"]) == ("EARN", 1000)
    seen = (await http.ask(LOT, {"id": lot["id"]}, token=people.moderator)).data["lot"]
    assert seen["origins"][0]["source"]["memberId"] == gid("Member", story.member)
    own = (await http.ask(LOT, {"id": seen["origins"][0]["lotId"]}, token=token)).data["lot"]
    gone = [edge["node"] for edge in own["successors"]["edges"]]
    assert (gone[0]["lotId"], gone[0]["amount"], gone[0]["source"]["memberId"]) == (None, 200, None)


@pytest.mark.parametrize("kind", ["Transfer", "Lot"])
async def test_what_is_not_there_is_told_to_staff_alone(
    http: HttpClient, people: People, token: str, kind: str
) -> None:
    document = f"query ($id: ID!) {{ {kind.lower()}(id: $id) {{ id }} }}"
    missing = await http.ask(document, {"id": gid(kind, new_id())}, token=people.staff)
    assert (missing.code, missing.body["data"]) == ("NOT_FOUND", {kind.lower(): None})
    assert (await http.ask(document, {"id": gid(kind, new_id())}, token=token)).code == "FORBIDDEN"
    for wrong in (gid("Member", new_id()), "junk"):
        answer = await http.ask(document, {"id": wrong}, token=people.staff)
        assert answer.error["extensions"] == {"code": "INVALID_INPUT", "path": ["id"]}


async def test_every_kind_is_on_somebodys_statement(
    http: HttpClient, token: str, friends_token: str, gateway: Gateway, story: Story
) -> None:
    twins = gateway.token(Role.MEMBER, story.twin)
    seen = {
        line["kind"]
        for one in (token, friends_token, twins)
        for program in (story.program, story.other_program)
        for currency in ("POINTS", "CASH")
        for line in await lines(http, one, story, program=program, currency=currency)
    }
    assert seen == {kind.value for kind in TransferKind}
