"""All kinds of bad requests beside those of somebody who means well: each is refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import jwt
import orjson
import psutil
import pytest

from engage.api.schema import VALIDATED
from engage.base import clock
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import MEDIA_TYPE, HttpClient
from tests.api.conftest import People, give
from tests.api.gateway import Gateway, serving
from tests.api.test_limits import CALLED_OUT, document

QUERY = "{ channels { code } }"
ROUNDS = 6
PACKED = gzip.compress(b" " * 50 * 1024**2)
GROWTH_MAX = 48 * 1024**2


@pytest.fixture(scope="module")
async def gateway(config: Settings) -> AsyncIterator[Gateway]:
    """As in production, but for how often an address may come with bad tokens."""
    async with serving(config.model_copy(update={"development": False, "failed_tokens_per_minute": 100_000})) as one:
        await seed_basics()
        yield one


def asked(query: object, **more: object) -> bytes:
    return orjson.dumps({"query": query, **more})


DOCUMENTS: dict[str, tuple[bytes, int, str]] = {
    "deep": (asked(document("TOO_DEEP", 100)), 400, "TOO_DEEP"),
    "wide": (asked("{ channels { " + " ".join(f"f{n}" for n in range(700)) + " } }"), 400, "TOO_MANY_FIELDS"),
    "aliased": (asked(document("TOO_MANY_ALIASES", 300)), 400, "TOO_MANY_ALIASES"),
    "gigantic": (asked("{ " + "channels { code } " * 5_000 + "}"), 400, "TOO_MANY_TOKENS"),
    "fragments without end": (asked(CALLED_OUT + " fragment a60 on Query { channels { code } }"), 400, "TOO_MANY_"),
    "fragments in a circle": (
        asked("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"),
        400,
        "BAD_REQUEST",
    ),
    "unknown operation": (asked(f"query A {QUERY}", operationName="B"), 400, "BAD_REQUEST"),
    "wrong variables": (
        asked("query ($n: Int!) { jobs(first: $n) { totalCount } }", variables={"n": {}}),
        400,
        "BAD_REQUEST",
    ),
    "batched": (orjson.dumps([{"query": QUERY}] * 50), 400, "BAD_REQUEST"),
    "broken JSON": (b'{"query": "{ channels', 400, "BAD_REQUEST"),
    "broken UTF-8": (b'{"query": "{ channels { code } } # \xff"}', 400, "BAD_REQUEST"),
    "nested": (b"[" * 200_000, 400, "BAD_REQUEST"),
    "too large": (b'{"query": "' + b" " * 300_000 + b'"}', 413, "REQUEST_TOO_LARGE"),
}


def bad_tokens(gateway: Gateway, good: str) -> dict[str, str]:
    """What is no token here: each says STAFF and lies somewhere."""
    claims = jwt.decode(good, options={"verify_signature": False})
    secret, now = gateway.config.jwt_secret.get_secret_value(), clock.now()

    def signed(key: str, algorithm: str = "HS256", **change: object) -> str:
        return jwt.encode(claims | change, key, algorithm=algorithm)

    return {
        "alg none": jwt.encode(claims, "", algorithm="none"),
        "wrong key": signed("k" * 40),
        "wrong audience": signed(secret, aud="another"),
        "expired": signed(secret, exp=int((now - timedelta(hours=1)).timestamp())),
        "from the future": signed(secret, iat=int((now + timedelta(hours=1)).timestamp())),
        "no API key": "engage_" + "0" * 32 + "_nothing",
    }


async def attack(http: HttpClient, name: str, token: str) -> None:
    body, status, code = DOCUMENTS[name]
    headers = {"Accept": MEDIA_TYPE, "Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    answer = await http.raw.post("/graphql", content=body, headers=headers)
    assert answer.status_code == status, (name, answer.text[:500])
    assert any(one["extensions"]["code"].startswith(code) for one in answer.json()["errors"]), name


async def knock(http: HttpClient, token: str) -> None:
    assert (await http.ask(QUERY, token=token)).status == 401


async def pack(http: HttpClient, token: str) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    for content in (PACKED, b"no gzip"):
        answer: httpx.Response = await http.raw.post("/graphql", content=content, headers=headers)
        assert answer.status_code == 415


async def test_bad_requests_harm_nobody_else(gateway: Gateway, http: HttpClient, people: People) -> None:
    """Each has its stable code; memory and the cache of documents stay as they are; others get right answers."""
    member = await people.new()
    tokens = bad_tokens(gateway, people.staff)

    async def bad() -> None:
        for _ in range(ROUNDS):
            await asyncio.gather(
                *(attack(http, name, people.moderator) for name in DOCUMENTS),
                *(knock(http, token) for token in tokens.values()),
                pack(http, people.moderator),
            )

    await bad()  # what is kept of the first time is there now
    before, validated = psutil.Process().memory_info().rss, VALIDATED._value.get()
    attacks = asyncio.create_task(bad())
    points = 0
    while not attacks.done():
        points += 1
        await give(member.id, 1)
        answer = await http.ask("{ me { balance { available } } }", token=member.token)
        assert answer.data == {"me": {"balance": {"available": points}}}
    await attacks
    assert points > ROUNDS
    assert psutil.Process().memory_info().rss - before < GROWTH_MAX
    await http.ask(QUERY, token=people.staff)
    known = VALIDATED._value.get()
    await http.ask(QUERY, token=people.staff)
    assert VALIDATED._value.get() == known > validated
