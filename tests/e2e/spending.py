"""A load of spends by clients who repeat with the same key until they are answered, as apps should."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx

SPEND = """
mutation ($input: SpendPointsInput!) {
  spendPoints(input: $input) {
    __typename
    ... on SpendPointsPayload { transferId amount position replayed }
    ... on Problem { code message }
  }
}"""
EARN = """
mutation ($input: EarnPointsInput!) {
  earnPoints(input: $input) { __typename ... on EarnPointsPayload { transferId } ... on Problem { code message } }
}"""
REGISTER = """
mutation ($card: String!) {
  registerMember(input: { identities: [{ channel: "card", identifier: $card }] }) {
    __typename ... on RegisterMemberPayload { member { id } }
  }
}"""
TRY_S = 5.0
PAUSE_S = 0.1


@dataclass
class Spends:
    """What was asked for and what was answered, by idempotency key."""

    asked: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


async def post(http: httpx.AsyncClient, url: str, token: str, query: str, variables: dict[str, Any]) -> Any:
    """The data of an operation. Raises httpx.HTTPError or ValueError where there is none."""
    answer = await http.post(
        url, json={"query": query, "variables": variables}, headers={"Authorization": f"Bearer {token}"}
    )
    body = answer.json()
    if "errors" in body:
        raise ValueError(str(body["errors"]))
    return body["data"]


async def spend_until_stopped(info: dict[str, Any], name: str, members: list[str], spends: Spends) -> None:
    """One client: a spend after another, each repeated until it is answered. What is begun is brought to its end."""
    async with httpx.AsyncClient(timeout=TRY_S, trust_env=False) as http:
        for number in itertools.count():
            if spends.stopped.is_set():
                return
            key, amount = f"{name}-{number}", 1 + number % 3
            spends.asked[key] = amount
            given = {"memberId": members[number % len(members)], "amount": amount, "idempotencyKey": key}
            spends.acknowledged[key] = await _acknowledged(http, info, given, spends)


async def _acknowledged(http: httpx.AsyncClient, info: dict[str, Any], given: dict[str, Any], spends: Spends) -> str:
    """The transfer's id, whatever it takes."""
    while True:
        try:
            answer = await post(http, info["url"], info["tokens"]["staff"], SPEND, {"input": given})
        except (httpx.HTTPError, ValueError):
            outcome = {"code": "OUTCOME_UNKNOWN"}
        else:
            outcome = answer["spendPoints"]
        if "transferId" in outcome:
            assert outcome["amount"] == -given["amount"]
            return str(outcome["transferId"])
        assert outcome["code"] == "OUTCOME_UNKNOWN", outcome
        spends.repeated += 1
        await asyncio.sleep(PAUSE_S)
