"""The unified profile: what it shows, page by page, and how few round trips it takes.

The gateway of this module counts the statements that it sends, and reaches Redis through a wire that can be muted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engage.api.relay import global_id
from engage.base.actor import SYSTEM
from engage.base.settings import Settings
from engage.domains.earning import service as earning
from engage.domains.earning.types import PurchaseInput
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.domains.notifications.service import add_message
from engage.domains.notifications.types import MessageCode
from engage.domains.purchases.types import Order, OrderLine
from engage.seed import seed_basics
from tests.api.clients import HttpClient, Json
from tests.api.conftest import People, Person, give, new_key
from tests.api.counting import Statements
from tests.api.gateway import Gateway, serving
from tests.conftest import Servers
from tests.realtime.wire import Wire, wired

EVERYTHING = """id state displayName locale birthday createdAt identities { channel identifier verifiedAt }
    balance { available pending held debt } demo: balance(program: "demo") { available }
    expirySchedule { lines { expiresOn amount } later never total }
    balanceAsOf(at: "2026-03-01T00:00:00Z") { available pending held debt }
    storedValue { available { amount currency } held { amount } debt { amount } }
    before: storedValue(at: "2026-03-01T00:00:00Z") { available { amount } }
    some: transactions(first: 10, kinds: [EARN, SPEND], from: "2026-03-01T00:00:00Z", currency: CASH) {
        edges { node { money { amount } moneyAfter { amount } } } }
    transactions(first: 10) { edges { cursor node { id kind amount reason cause { type id } postedAt balanceAfter } }
        pageInfo { hasNextPage endCursor } }
    purchases(first: 10) { edges { node { id orderNo channel store total { amount currency } quantity points
        purchasedAt lines { item category brand quantity cost { amount currency } } } } }
    messages(first: 10) { edges { node { id code title body createdAt readAt } } } unreadCount"""
LINK = "{ id memberId kind amount }"
OF_A_TRANSFER = f"""id entries {{ bucket amount }} availableChange leftToReverse reverses {LINK} reversals {LINK}
    counterMovement {LINK} hold {{ id }} debt {{ amount }} gift {{ id }} lots(first: 5) {{ edges {{ cursor }} }}"""
SPEND = """mutation ($input: SpendPointsInput!) { spendPoints(input: $input) {
    ... on SpendPointsPayload { balance { available pending held debt } position } } }"""


@pytest.fixture(scope="module")
def statements() -> Statements:
    return Statements()


@pytest.fixture(scope="module")
async def wire(servers: Servers) -> AsyncIterator[Wire]:
    async with wired(servers.redis_url, 6379) as one:
        yield one


@pytest.fixture(scope="module")
async def gateway(config: Settings, statements: Statements, wire: Wire) -> AsyncIterator[Gateway]:
    with statements.of_connections():
        async with serving(config.model_copy(update={"redis_url": wire.url})) as started:
            await seed_basics()
            await members.create_program(SYSTEM, code="demo", name="Demo", time_zone="UTC", money_currency="EUR")
            yield started


async def buy(member: Person, number: int, *, lines: int = 0) -> None:
    order = Order(
        order_no=f"{member.card}-{number}",
        amount=Decimal("10.50"),
        purchased_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number // 5),  # five at the same moment
        channel="pos",
        quantity=1,
        lines=tuple(OrderLine(f"ITEM-{line}", 1, Decimal("1.25"), "tea", None) for line in range(lines)),
    )
    await earning.record_purchases(
        SYSTEM, program="default", rows=[PurchaseInput(IdentityRef("card", member.card), order)]
    )


async def remind(member: Person, amount: int) -> str:
    params: dict[str, object] = {"program": "default", "amount": amount, "expires_on": "2026-12-31"}
    return global_id("Message", await add_message(member.id, MessageCode.POINTS_EXPIRING, params))


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(100)


@pytest.fixture
async def rich(people: People) -> Person:
    """A member of whom there is something of everything, more than a page of it."""
    member = await people.new(100)
    for number in range(12):
        await buy(member, number, lines=2)
        await remind(member, number + 1)
    return member


async def test_the_profile_shows_everything(http: HttpClient, people: People) -> None:
    person = await people.new()
    await ledger.earn_points(
        SYSTEM, member_id=person.id, program="default", amount=30, idempotency_key=new_key(),
        expires_at=datetime(2099, 5, 1, 12, tzinfo=UTC),
    )  # fmt: skip
    await buy(person, 0, lines=1)
    await remind(person, 1234)
    found = (await http.ask(f"{{ me {{ {EVERYTHING} }} }}", token=person.token)).data["me"]
    assert found["id"] == person.gid
    assert found["identities"] == [{"channel": "card", "identifier": person.card, "verifiedAt": None}]
    assert found["balance"] == {"available": 40, "pending": 0, "held": 0, "debt": 0}
    assert found["demo"] == {"available": 0}
    assert found["expirySchedule"] == {
        "lines": [{"expiresOn": "2099-05-01", "amount": 30}], "later": 0, "never": 10, "total": 40,
    }  # fmt: skip
    bought, given = [edge["node"] for edge in found["transactions"]["edges"]]
    assert (bought["kind"], bought["amount"], bought["balanceAfter"]) == ("EARN", 10, 40)
    assert (given["kind"], given["amount"], given["cause"]) == ("EARN", 30, None)
    [order] = [edge["node"] for edge in found["purchases"]["edges"]]
    assert bought["cause"]["type"] == "purchase"
    assert (order["points"], order["total"]) == (10, {"amount": "10.50", "currency": "USD"})
    [line] = order["lines"]
    assert (line["item"], line["cost"]) == ("ITEM-0", {"amount": "1.25", "currency": "USD"})
    assert found["unreadCount"] == 1
    totals = await http.ask("{ programTotals { purchases spend { amount currency } } }", token=people.admin)
    assert totals.data["programTotals"]["spend"]["currency"] == "USD"


SELECTIONS = {
    "the id": ("id", 1),
    "a balance": ("balance { available }", 2),
    "two balances": ('balance { available } other: balance(program: "demo") { available }', 2),
    "pages": ("transactions(first: 5) { edges { cursor } } purchases(first: 5) { edges { cursor } }", 2),
    "pages and their totals": (
        """transactions(first: 5) { totalCount } purchases(last: 5) { edges { cursor } totalCount }
        messages(first: 5) { totalCount }""",
        3,
    ),
    "everything": (EVERYTHING, 2),
    "all of a statement": (f"transactions(first: 10) {{ edges {{ node {{ {OF_A_TRANSFER} }} }} }}", 3),
    "everything twice": (
        EVERYTHING + ' later: transactions(first: 3, program: "demo") { edges { cursor } } again: unreadCount'
        " unread: messages(first: 5, unreadOnly: true) { edges { node { title } } }",
        2,
    ),
}


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_the_profile_takes_a_round_trip_for_each_level(
    http: HttpClient, statements: Statements, rich: Person, people: People, selection: str
) -> None:
    fields, trips = SELECTIONS[selection]
    by_identity = f'identity: {{ channel: "card", identifier: "{rich.card}" }}'
    for document, token in (
        (f"{{ me {{ {fields} }} }}", rich.token),
        (f'{{ member(id: "{rich.gid}") {{ {fields} }} }}', people.staff),
        (f"{{ member({by_identity}) {{ {fields} }} }}", people.moderator),
    ):
        async with statements.counted(lambda sent: sent == trips):
            assert (await http.ask(document, token=token)).data


async def test_all_of_many_lots_takes_two_round_trips(
    http: HttpClient, statements: Statements, rich: Person, people: People
) -> None:
    inside = f"""id history(first: 5) {{ edges {{ cursor }} }} origins {{ lotId source {LINK} }}
        successors(first: 5) {{ edges {{ cursor }} }}"""
    for document in (
        f'{{ lots(memberId: "{rich.gid}", first: 10) {{ edges {{ node {{ {inside} }} }} }} }}',
        f'{{ lots(memberId: "{rich.gid}", first: 1) {{ edges {{ node {{ {inside} }} }} }} }}',
    ):
        for token in (rich.token, people.staff):
            async with statements.counted(lambda sent: sent == 2):
                assert (await http.ask(document, token=token)).data["lots"]["edges"]


async def test_three_members_take_no_more_than_two_round_trips_each(
    http: HttpClient, statements: Statements, people: People
) -> None:
    persons = [await people.new(10) for _ in range(3)]
    parts = [f'm{n}: member(id: "{one.gid}") {{ {EVERYTHING} }}' for n, one in enumerate(persons)]
    async with statements.counted(lambda sent: sent <= 6):
        found = (await http.ask(f"{{ {' '.join(parts)} }}", token=people.staff)).data
    assert [found[f"m{n}"]["id"] for n in range(3)] == [one.gid for one in persons]


async def test_a_spend_is_one_round_trip_and_waits_for_no_redis(
    http: HttpClient, statements: Statements, member: Person, wire: Wire
) -> None:
    given: Json = {"memberId": member.gid, "amount": 10, "idempotencyKey": new_key()}
    for muted in (False, True):
        wire.muted = muted
        async with statements.counted(lambda sent: sent == 1):
            given["idempotencyKey"] = new_key()
            done = (await http.ask(SPEND, {"input": given}, token=member.token)).data["spendPoints"]
        assert done["position"]
        async with statements.counted(lambda sent: sent == 1):
            again = (await http.ask(SPEND, {"input": given}, token=member.token)).data["spendPoints"]
        assert again == done
    await wire.cut(for_good=False)
    await wire.mend()
    async with statements.counted(lambda sent: sent == 2):  # the second one records that it was refused
        refused = await http.ask(SPEND, {"input": given | {"amount": 999}}, token=member.token)
    assert refused.data["spendPoints"] == {}


async def pages(
    http: HttpClient, member: Person, field: str, size: int, between: Callable[[], Awaitable[Any]]
) -> list[str]:
    """The ids of all rows of a list, read page by page; `between` is done after each page."""
    query = f"""query ($after: String) {{ me {{ {field}(first: {size}, after: $after) {{
        edges {{ cursor node {{ id }} }} pageInfo {{ hasNextPage endCursor }} }} }} }}"""
    ids: list[str] = []
    after: str | None = None
    while True:
        page = (await http.ask(query, {"after": after}, token=member.token)).data["me"][field]
        ids += [edge["node"]["id"] for edge in page["edges"]]
        assert page["pageInfo"]["endCursor"] == (page["edges"][-1]["cursor"] if page["edges"] else None)
        if not page["pageInfo"]["hasNextPage"]:
            return ids
        assert len(page["edges"]) == size
        after = page["pageInfo"]["endCursor"]
        await between()


@pytest.mark.parametrize("size", [1, 4, 12, 13, 100])
@pytest.mark.parametrize("field", ["transactions", "purchases", "messages"])
async def test_pages_lead_to_the_end_without_repetition(
    http: HttpClient, rich: Person, field: str, size: int
) -> None:
    numbers = iter(range(1000, 2000))

    async def something_newer() -> None:
        await buy(rich, next(numbers))
        await remind(rich, 1)

    at_once = await pages(http, rich, field, 100, something_newer)
    assert len(at_once) == len(set(at_once)) == (13 if field == "transactions" else 12)
    assert await pages(http, rich, field, size, something_newer) == at_once


async def test_an_empty_list_has_an_empty_page(http: HttpClient, people: People) -> None:
    member = await people.new()
    for field in ("transactions", "purchases", "messages"):
        assert await pages(http, member, field, 1, lambda: remind(member, 1)) == []


@pytest.mark.parametrize("first", [-1, 0, 101, 2**31 - 1])
@pytest.mark.parametrize("field", ["transactions", "purchases", "messages", "expirySchedule"])
async def test_a_page_has_1_to_100_rows(http: HttpClient, member: Person, field: str, first: int) -> None:
    inside = "total" if field == "expirySchedule" else "edges { cursor }"
    query = f"query ($first: Int!) {{ me {{ {field}(first: $first) {{ {inside} }} }} }}"
    answer = await http.ask(query, {"first": first}, token=member.token)
    assert answer.error["extensions"] == {"code": "INVALID_INPUT", "path": ["first"]}
    assert answer.error["path"] == ["me", field]
    for right in (1, 100):
        assert (await http.ask(query, {"first": right}, token=member.token)).data["me"]


TEXTS = {
    "en": ("1,234 points of default expire on December 31, 2026", "Use them before then"),
    "zh-CN": ("您在default的 1,234 积分将于 2026年12月31日 到期", "请在此之前使用"),
}


@pytest.mark.parametrize(
    ("own", "asked", "language"),
    [
        ("en", None, "en"),
        ("zh-CN", None, "zh-CN"),
        ("zh-CN", "en", "en"),
        ("en", "zh-CN", "zh-CN"),
        ("en", "zh", "zh-CN"),
        ("fr", None, "en"),
        ("en", "junk", "en"),
    ],
)
async def test_messages_are_in_the_language_of_the_reader(
    http: HttpClient, people: People, own: str, asked: str | None, language: str
) -> None:
    reader = await people.new(locale=own)
    await remind(reader, 1234)
    answer = await http.ask(
        """query ($locale: String) { me { messages(first: 1, locale: $locale) {
            edges { node { code title body } } } } }""",
        {"locale": asked},
        token=reader.token,
    )
    [edge] = answer.data["me"]["messages"]["edges"]
    title, body = TEXTS[language]
    assert edge["node"]["code"] == "POINTS_EXPIRING"
    assert edge["node"]["title"] == title
    assert edge["node"]["body"].startswith(body)


async def test_messages_are_read_once(http: HttpClient, people: People) -> None:
    reader = await people.new()
    ids = [await remind(reader, number) for number in (1, 2, 3)]
    mark = """mutation ($input: MarkMessagesReadInput!) { markMessagesRead(input: $input) {
        ... on MarkMessagesReadPayload { marked unreadCount } } }"""
    inbox = "{ me { unreadCount messages(first: 9, unreadOnly: true) { edges { node { id readAt } } } } }"
    given = {"input": {"memberId": reader.gid, "messageIds": ids[:2]}}
    done = (await http.ask(mark, given, token=reader.token)).data["markMessagesRead"]
    assert done == {"marked": 2, "unreadCount": 1}
    again = (await http.ask(mark, given, token=reader.token)).data["markMessagesRead"]
    assert again == {"marked": 0, "unreadCount": 1}
    found = (await http.ask(inbox, token=reader.token)).data["me"]
    assert found == {"unreadCount": 1, "messages": {"edges": [{"node": {"id": ids[2], "readAt": None}}]}}


async def test_the_profile_is_of_this_moment(http: HttpClient, member: Person) -> None:
    query = "{ me { balance { available } } }"
    for points in (100, 107, 114):
        assert (await http.ask(query, token=member.token)).data["me"]["balance"]["available"] == points
        await give(member.id, 7)
