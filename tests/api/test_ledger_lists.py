"""Lists of the ledger and totals over HTTP: holds, gifts, top-ups, rates, the queue of corrections."""

from __future__ import annotations

from uuid import UUID

import pytest

from engage.api.relay import global_id
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.paging import encode_cursor
from engage.domains.ledger import service
from tests.api.clients import HttpClient
from tests.api.conftest import People
from tests.api.gateway import Gateway
from tests.ledger.books import NOON, new_key
from tests.ledger.publishing import program_with, rolling
from tests.ledger.whole_books import HOUR, Story, write_books


@pytest.fixture(scope="module")
async def story(gateway: Gateway) -> Story:
    assert gateway.url
    return await write_books()


@pytest.fixture(scope="module")
def token(gateway: Gateway, story: Story) -> str:
    """The member's."""
    return gateway.token(Role.MEMBER, story.member)


def gid(kind: str, local: UUID) -> str:
    return global_id(kind, local)


LISTS = """query ($member: ID!, $program: String!, $other: String!, $at: DateTime!) {
    lots(memberId: $member, program: $program, first: 3) { pageInfo { hasNextPage endCursor }
        edges { node { id state amount remaining held timesGiven expiresAt source { kind } } } }
    value: lots(memberId: $member, program: $program, first: 9, currency: CASH) {
        edges { node { amount money { amount currency } moneyRemaining { amount } } } }
    holds(memberId: $member, first: 9, state: EXPIRED) { edges { node { id purpose amount deadline closedAt } } }
    gifts(memberId: $member, direction: SENT, first: 9) { edges { node { state amount fee message decidedAt } } }
    topUps(memberId: $member, first: 9) { edges { node { transferId amount { amount } bonus { amount currency }
        refunded { amount } channel } } }
    exchangeRates(from: $program, to: $other, first: 9, at: $at) { edges { node { id numerator denominator } } } }"""


async def test_lists_over_http(http: HttpClient, people: People, token: str, story: Story) -> None:
    given = {
        "member": gid("Member", story.member), "program": story.program, "other": story.other_program,
        "at": (NOON + 2 * HOUR).isoformat(),
    }  # fmt: skip
    answers = [(await http.ask(LISTS, given, token=one)).data for one in (token, people.moderator)]
    assert answers[0] == answers[1]
    found = answers[0]
    newest = {edge["node"]["source"]["kind"] for edge in found["lots"]["edges"]}
    assert newest == {"MERGE_IN", "EARN", "ADJUST_UP"}
    assert found["lots"]["pageInfo"]["hasNextPage"]
    assert sorted(edge["node"]["money"]["amount"] for edge in found["value"]["edges"]) == ["2.05", "20.50"]
    assert {edge["node"]["id"] for edge in found["holds"]["edges"]} >= {gid("Hold", story.id("held"))}
    for edge in found["holds"]["edges"]:
        assert edge["node"]["closedAt"] == edge["node"]["deadline"]
    assert [edge["node"]["message"] for edge in found["gifts"]["edges"]] == [None, None, "for your birthday"]
    [top_up] = [edge["node"] for edge in found["topUps"]["edges"]]
    assert top_up == {
        "transferId": gid("Transfer", story.id("topped up")), "amount": {"amount": "20.50"}, "channel": "pos",
        "bonus": {"amount": "2.05", "currency": "EUR"}, "refunded": {"amount": "4.30"},
    }  # fmt: skip
    [rate] = [edge["node"] for edge in found["exchangeRates"]["edges"]]
    assert story.rate is not None
    assert rate == {"id": gid("ExchangeRate", story.rate.id), "numerator": 1, "denominator": 2}


async def test_the_queue_of_corrections(http: HttpClient, people: People) -> None:
    program = await program_with(rolling(adjust_alone_max=10))
    person = await people.new()
    asked = [
        await service.adjust_points(
            Actor("till-7", Role.STAFF), member_id=person.id, program=program, amount=amount, reason="MISTAKE",
            note="see the ticket", idempotency_key=new_key(),
        )
        for amount in (100, 200, 300)
    ]  # fmt: skip
    ids = [one.adjustment.id for one in asked if one.adjustment is not None]
    approved = await service.approve_adjustment(SYSTEM, adjustment_id=ids[0])
    ask = """query ($state: AdjustmentState, $after: String) { adjustments(first: 1, state: $state, after: $after) {
        pageInfo { hasNextPage endCursor } edges { node { id memberId amount note state askedBy transferId } } } }"""
    first = (await http.ask(ask, token=people.staff)).data[
        "adjustments"
    ]  # those that wait, unless another is asked for
    [edge] = first["edges"]
    assert edge["node"] == {
        "id": gid("Adjustment", ids[2]), "memberId": person.gid, "amount": 300, "note": "see the ticket",
        "state": "WAITING", "askedBy": "till-7", "transferId": None,
    }  # fmt: skip
    second = (await http.ask(ask, {"after": first["pageInfo"]["endCursor"]}, token=people.moderator)).data[
        "adjustments"
    ]
    assert ([one["node"]["amount"] for one in second["edges"]], second["pageInfo"]["hasNextPage"]) == ([200], False)
    [done] = (await http.ask(ask, {"state": "APPROVED"}, token=people.admin)).data["adjustments"]["edges"]
    assert approved.posted is not None
    assert done["node"]["transferId"] == gid("Transfer", approved.posted.transfer_id)
    assert (await http.ask(ask, {"after": encode_cursor("then", "that")}, token=people.staff)).code == "INVALID_INPUT"
    assert (await http.ask(ask, token=person.token)).code == "FORBIDDEN"


TOTALS = """query ($program: String!) { programTotals(program: $program) { pointsIssued pointsAdjusted
        pointsExchangedIn pointsReturned pointsSpent pointsExpired pointsDonated pointsForfeited pointsFees
        pointsExchangedOut pointsClawedBack pointsGifted pointsDebt pointsOutstanding }
    storedValueTotals(program: $program) { members toppedUp { amount currency } bonus { amount } paid { amount }
        refunded { amount } takenBack { amount } returned { amount } expired { amount } outstanding { amount } } }"""


async def test_totals_reconcile(http: HttpClient, people: People, story: Story) -> None:
    found = (await http.ask(TOTALS, {"program": story.program}, token=people.admin)).data
    of = {name.removeprefix("points"): figure for name, figure in found["programTotals"].items()}
    assert of["Outstanding"] == (
        of["Issued"] + of["Adjusted"] + of["ExchangedIn"] + of["Returned"] - of["Spent"] - of["Expired"]
        - of["Donated"] - of["Forfeited"] - of["Fees"] - of["ExchangedOut"] - of["ClawedBack"]
    )  # fmt: skip
    assert of["Gifted"] == 200
    value = found["storedValueTotals"]
    assert value["toppedUp"] == {"amount": "20.50", "currency": "EUR"}
    assert value["outstanding"] == {"amount": "12.82"}
    for name in ("programTotals { members }", "storedValueTotals { members }"):
        root = name.split(" ")[0]
        answer = await http.ask(f'{{ {root}(program: "nowhere") {{ members }} }}', token=people.admin)
        assert answer.code == "NOT_FOUND"
