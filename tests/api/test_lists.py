"""Every list of the schema over HTTP: from either end, counted, and refused by name if it is asked for otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from graphql import get_named_type

from engage.api.relay import global_id
from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role, Scope
from engage.base.ids import new_id
from engage.base.paging import encode_cursor
from engage.domains.access import service as access
from engage.domains.earning import service as earning
from engage.domains.earning.types import PurchaseInput
from engage.domains.ledger import service
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.members.types import IdentityRef
from engage.domains.notifications.service import add_message
from engage.domains.notifications.types import MessageCode
from engage.domains.purchases.types import Order
from tests.api import hooks
from tests.api.clients import Answer, HttpClient, Json
from tests.api.conftest import People, Person
from tests.api.corrections import put_corrections
from tests.api.inputs import SCHEMA
from tests.api.promised import DONE, job_gid, put_jobs
from tests.ledger.books import earn, new_key, new_member, new_program, spend
from tests.ledger.publishing import program_with, rolling
from tests.outbox.standing import put_results

ROWS = 3
"""Of every list, at the least."""


@dataclass(frozen=True)
class Scene:
    """Where there is something of everything."""

    member: Person
    recipient: UUID
    program: str
    other: str
    lot: UUID
    spent: UUID


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    member, recipient = await people.new(), await new_member()
    program, other = await program_with(rolling(adjust_alone_max=1)), await new_program()
    for amount in (1, 2, ROWS):
        await earn(member.id, program, amount, expires_at=clock.now() + amount * timedelta(hours=1))
    spent = await spend(member.id, program, 1 + 2 + ROWS)
    await earn(member.id, program, 1000)
    for number in range(ROWS):
        await _one_of_each(member, recipient, program, other, number)
    await _for_the_desk()
    lot = await db.fetch_value(
        "SELECT id FROM lots WHERE member_id = $1 AND amount = 1000 ORDER BY id LIMIT 1", member.id
    )
    return Scene(member, recipient, program, other, lot, spent.transfer_id)


async def _one_of_each(member: Person, recipient: UUID, program: str, other: str, number: int) -> None:
    whose: Json = {"member_id": member.id, "program": program}
    until = clock.now() + timedelta(days=1)
    await service.hold_points(SYSTEM, **whose, amount=5, deadline=until, idempotency_key=new_key())
    await service.gift_points(SYSTEM, **whose, recipient_id=recipient, amount=5, idempotency_key=new_key())
    await service.adjust_points(
        Actor("desk", Role.STAFF), **whose, amount=9, reason="MISTAKE", idempotency_key=new_key()
    )
    await service.top_up(
        SYSTEM,
        **whose,
        amount=500,
        channel="pos",
        payment_reference=new_key(),
        paid_at=clock.now(),
        idempotency_key=new_key(),
    )
    await service.publish_exchange_rate(
        SYSTEM, from_program=program, to_program=other, numerator=1 + number, denominator=1
    )
    await publish_points_policy(
        SYSTEM, program=program, policy=rolling(adjust_alone_max=1), idempotency_key=new_key()
    )
    order = Order(f"{member.card}-{number}", Decimal(1), datetime(2026, 1, 1, tzinfo=UTC), "pos")
    given = PurchaseInput(IdentityRef("card", member.card), order)
    await earning.record_purchases(SYSTEM, program="default", rows=[given])
    params: dict[str, object] = {"program": program, "amount": 1, "expires_on": "2026-12-31"}
    await add_message(member.id, MessageCode.POINTS_EXPIRING, params)


async def _for_the_desk() -> None:
    await put_jobs()
    await put_results(DONE, ROWS)
    await hooks.put_webhooks()
    await put_corrections()
    for number in range(ROWS):
        await access.create_key(
            SYSTEM, name=f"till {number}", role=Role.SERVICE, scopes=[Scope.POINTS_READ], valid_days=1
        )
        await access.revoke_tokens(SYSTEM, subject=f"nobody-{number}")


LISTS: dict[str, tuple[str, Callable[[Scene], Json]]] = {
    "Member.transactions": (
        "query ($id: ID!, $p: String!, %s) { member(id: $id) { list: transactions(program: $p, %s) { %s } } }",
        lambda scene: {"id": scene.member.gid, "p": scene.program},
    ),
    "Member.purchases": (
        "query ($id: ID!, %s) { member(id: $id) { list: purchases(%s) { %s } } }",
        lambda scene: {"id": scene.member.gid},
    ),
    "Member.messages": (
        "query ($id: ID!, %s) { member(id: $id) { list: messages(%s) { %s } } }",
        lambda scene: {"id": scene.member.gid},
    ),
    "Query.lots": (
        "query ($id: ID!, $p: String!, %s) { list: lots(memberId: $id, program: $p, %s) { %s } }",
        lambda scene: {"id": scene.member.gid, "p": scene.program},
    ),
    "Lot.history": (
        "query ($id: ID!, %s) { lot(id: $id) { list: history(%s) { %s } } }",
        lambda scene: {"id": global_id("Lot", scene.lot)},
    ),
    "Lot.successors": (
        "query ($id: ID!, %s) { lot(id: $id) { list: successors(%s) { %s } } }",
        lambda scene: {"id": global_id("Lot", scene.lot)},
    ),
    "Transfer.lots": (
        "query ($id: ID!, %s) { transfer(id: $id) { list: lots(%s) { %s } } }",
        lambda scene: {"id": global_id("Transfer", scene.spent)},
    ),
    "Query.holds": (
        "query ($id: ID!, %s) { list: holds(memberId: $id, %s) { %s } }",
        lambda scene: {"id": scene.member.gid},
    ),
    "Query.gifts": (
        "query ($id: ID!, %s) { list: gifts(memberId: $id, direction: RECEIVED, %s) { %s } }",
        lambda scene: {"id": global_id("Member", scene.recipient)},
    ),
    "Query.topUps": (
        "query ($id: ID!, %s) { list: topUps(memberId: $id, %s) { %s } }",
        lambda scene: {"id": scene.member.gid},
    ),
    "Query.adjustments": ("query (%s) { list: adjustments(%s) { %s } }", lambda _: {}),
    "Query.exchangeRates": (
        "query ($from: String!, $to: String!, %s) { list: exchangeRates(from: $from, to: $to, %s) { %s } }",
        lambda scene: {"from": scene.program, "to": scene.other},
    ),
    "Query.pointsPolicies": (
        "query ($p: String!, %s) { list: pointsPolicies(program: $p, %s) { %s } }",
        lambda scene: {"p": scene.program},
    ),
    "Query.waitingBulkCorrections": ("query (%s) { list: waitingBulkCorrections(%s) { %s } }", lambda _: {}),
    "Query.webhookEndpoints": ("query (%s) { list: webhookEndpoints(%s) { %s } }", lambda _: {}),
    "Query.auditLog": (
        "query ($id: ID!, %s) { list: auditLog(memberId: $id, %s) { %s } }",
        lambda scene: {"id": scene.member.gid},
    ),
    "Query.apiKeys": ("query (%s) { list: apiKeys(%s) { %s } }", lambda _: {}),
    "Query.revocations": ("query (%s) { list: revocations(%s) { %s } }", lambda _: {}),
    "Query.jobs": ("query (%s) { list: jobs(%s) { %s } }", lambda _: {}),
    "Job.results": (
        "query ($id: ID!, %s) { job(id: $id) { list: results(%s) { %s } } }",
        lambda _: {"id": job_gid(DONE)},
    ),
}
ARGUMENTS = "$first: Int, $after: String, $last: Int, $before: String"
GIVEN = "first: $first, after: $after, last: $last, before: $before"
PAGE = "edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


def test_every_list_is_tried() -> None:
    found = {
        f"{type_.name}.{name}"
        for type_ in SCHEMA.type_map.values()
        for name, field in getattr(type_, "fields", {}).items()
        if get_named_type(field.type).name.endswith("Connection")
    }
    assert found == set(LISTS)


@dataclass(frozen=True)
class Asking:
    """One list, asked for by an admin."""

    http: HttpClient
    token: str
    name: str
    scene: Scene

    async def answer(self, inside: str = PAGE, **given: object) -> Answer:
        document, variables = LISTS[self.name]
        return await self.http.ask(
            document % (ARGUMENTS, GIVEN, inside), variables(self.scene) | given, token=self.token
        )

    async def page(self, inside: str = PAGE, **given: object) -> Any:
        data = (await self.answer(inside, **given)).data
        while "list" not in data:
            [data] = data.values()
        return data["list"]

    async def walk(self, size: int, *, backward: bool) -> list[str]:
        """The cursors of all rows, as pages show them one after another."""
        names = ("last", "before", "startCursor", "hasPreviousPage", "hasNextPage")
        how_many, behind, edge, ahead, back = (
            names if backward else ("first", "after", "endCursor", "hasNextPage", "hasPreviousPage")
        )
        seen: list[str] = []
        given: Json = {how_many: size}
        while True:
            page = await self.page(**given)
            cursors, info = [one["cursor"] for one in page["edges"]], page["pageInfo"]
            assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
            assert info[back] is (behind in given)
            seen = [*cursors, *seen] if backward else [*seen, *cursors]
            if not info[ahead]:
                return seen
            given[behind] = info[edge]


@pytest.fixture(params=LISTS)
def asking(request: pytest.FixtureRequest, http: HttpClient, people: People, scene: Scene) -> Asking:
    return Asking(http, people.admin, request.param, scene)


async def test_a_list_is_the_same_from_either_end_and_as_long_as_it_says(asking: Asking) -> None:
    whole = await asking.walk(100, backward=False)
    assert len(whole) == len(set(whole)) >= ROWS
    for size in (1, 2, len(whole), 100):
        assert await asking.walk(size, backward=False) == whole
        assert await asking.walk(size, backward=True) == whole
    assert await asking.page("totalCount", first=1) == {"totalCount": len(whole)}
    assert await asking.page("totalCount", last=1, before=whole[0]) == {"totalCount": len(whole)}
    beyond = await asking.page(last=1, before=whole[0])
    assert beyond["edges"] == []
    assert beyond["pageInfo"]["startCursor"] is beyond["pageInfo"]["endCursor"] is None
    assert beyond["pageInfo"]["hasPreviousPage"] is False


REFUSED: list[tuple[Json, str]] = [
    ({}, "first"),
    ({"after": "x"}, "first"),
    ({"first": None, "last": None}, "first"),
    ({"first": 1, "last": 1}, "last"),
    ({"first": 1, "before": "x"}, "before"),
    ({"last": 1, "after": "x"}, "after"),
    ({"first": 0}, "first"),
    ({"first": 101}, "first"),
    ({"last": 0}, "last"),
    ({"last": 101}, "last"),
    ({"first": 1, "after": "x"}, "after"),
    ({"last": 1, "before": "x"}, "before"),
    ({"last": 1, "before": encode_cursor(True)}, "before"),
    ({"first": 1, "after": encode_cursor("x", str(new_id()))}, "after"),
]


async def test_another_combination_is_refused_at_its_argument(asking: Asking) -> None:
    for given, path in REFUSED:
        error = (await asking.answer(**given)).error
        assert error["extensions"] == {"code": "INVALID_INPUT", "path": [path]}, given
        assert error["path"][-1] == "list"


async def test_who_may_not_see_a_list_is_not_told_how_long_it_is(
    asking: Asking, people: People, http: HttpClient
) -> None:
    stranger = Asking(http, (await people.new()).token, asking.name, asking.scene)
    answer = await stranger.answer("totalCount", first=1)
    if asking.name in {"Query.exchangeRates", "Query.pointsPolicies"}:  # which everyone may see
        assert "errors" not in answer.body
    else:
        assert answer.code == "FORBIDDEN"
        assert "totalCount" not in str(answer.body["data"])


async def test_a_total_is_of_what_the_list_shows(http: HttpClient, people: People, scene: Scene) -> None:
    document = """query ($id: ID!, $p: String!) { member(id: $id) {
        all: transactions(program: $p, first: 1) { totalCount }
        held: transactions(program: $p, first: 1, kinds: [HOLD]) { totalCount }
        early: transactions(program: $p, first: 1, to: "2020-01-01T00:00:00Z") { totalCount }
        elsewhere: transactions(program: "nowhere", first: 1) { totalCount }
        unread: messages(first: 1, unreadOnly: true) { totalCount } } }"""
    given = {"id": scene.member.gid, "p": scene.program}
    found = (await http.ask(document, given, token=people.staff)).data["member"]
    totals = {name: one["totalCount"] for name, one in found.items()}
    assert totals.pop("all") > ROWS
    assert totals == {"held": ROWS, "early": 0, "elsewhere": 0, "unread": ROWS}
