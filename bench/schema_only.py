"""What the endpoint itself costs: queries that need no database, against bare Strawberry with the same types.

Ours verifies a token, holds to all limits, counts and sets its headers, as in production; introspection alone needs
the setting of development. Beside HTTP, executing alone is compared, from the document's text to its answer.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson

from bench.bare import bare_schema
from bench.harness import Environment, Row, alternate, console, free_port
from bench.load import Load, post
from engage.api.budget.limiter import Limiter
from engage.api.context import Context
from engage.api.node_kinds import KINDS, Node
from engage.api.programs import Place
from engage.api.relay import global_id
from engage.api.schema import Faulty, build_schema
from engage.base import crypto
from engage.base.actor import Role
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.realtime.broker import Broker
from engage.realtime.hub import Hub

SECONDS = 2.0
BAR = 0.6
BATCH = 50  # executions between two looks at the clock


CHANNEL = Place(id=global_id("Channel", new_id()), code="till", name="Till")


@dataclass(frozen=True)
class Query:
    """One of those that are measured."""

    name: str
    text: str
    answer: bytes  # a piece of the right answer
    development: bool


QUERIES = (
    Query("__typename", "{ __typename }", b'{"__typename":"Query"}', development=False),
    Query(
        "a type's fields",
        '{ __type(name: "Member") { name fields { name description args { name } type { name kind } } } }',
        b'"name":"balance"',
        development=True,
    ),
)


NODE = Query(
    "node",
    f'{{ node(id: "{CHANNEL.id}") {{ __typename id ... on Place {{ code name }} }} }}',
    b'"code":"till"',
    development=False,
)


async def run(environment: Environment) -> list[Row]:
    """Two rows a query: over HTTP, and in memory."""
    config = await environment.settings()
    rows: list[Row] = []
    async with environment.process(config, "bench.bare", ready="/healthz") as bare:
        for query in QUERIES:
            mode = {"development": query.development, "metrics_port": free_port()}
            rows.append(await _over_http(environment, config.model_copy(update=mode), bare, query))
    KINDS["Channel"] = _kept  # read from memory in both, so that the executors alone differ
    rows += [await _in_memory(config, query) for query in (*QUERIES, NODE)]
    return rows


async def _kept(_context: Context, _channel_id: UUID) -> Node:
    return CHANNEL


async def _over_http(environment: Environment, config: Settings, bare: int, query: Query) -> Row:
    token = crypto.issue_token(config, Role.SERVICE, subject="bench", valid_for=timedelta(hours=1))
    request = post("/graphql", token, orjson.dumps({"query": query.text}))
    answered = 0

    async with environment.process(config, "engage.cli", "serve") as gateway:

        async def ours() -> float:
            nonlocal answered
            load = Load(gateway, lambda: request, query.answer, SECONDS)
            rate = await load.run()
            answered += load.done
            return rate

        async def reference() -> float:
            return await Load(bare, lambda: request, query.answer, SECONDS).run()

        row = Row(f"{query.name}, over HTTP", "/s", *await alternate(ours, reference), bar=BAR)
        validated = _validated(config.metrics_port)
    console.print(f"{query.name}: {answered:,} requests, documents validated: {validated:.0f}")
    if validated != 1:
        raise RuntimeError(f"The document was validated {validated:.0f} times for {answered} requests.")
    return row


def _validated(metrics_port: int) -> float:
    """How many documents a gateway has validated since it began."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("engage_documents_validated_total")).split()[1])


async def _in_memory(config: Settings, query: Query) -> Row:
    schema, bare = build_schema(), bare_schema()
    token = crypto.issue_token(config, Role.SERVICE, subject="bench", valid_for=timedelta(hours=1))
    hub = Hub.of(Broker(config.redis_url, config.redis_prefix), config)  # belongs to a context; nobody asks it here
    limiter = Limiter(config)

    async def execute() -> object:
        grant = crypto.read_token(config, token)
        limiter.knock("here")
        limiter.enter(grant.actor, "here")
        operation = schema.prepare(query.text, None, introspection=query.development)
        if isinstance(operation, Faulty):
            raise TypeError("This should be executed.")
        context = Context(grant, hub, config, limiter, "here")
        await schema.admit(operation, None, context)
        return {"data": (await schema.run(operation, None, context))["data"]}

    known = crypto.read_token(config, token)

    async def execute_bare() -> object:
        context = Context(known, hub, config, limiter, "here")
        return {"data": (await bare.execute(query.text, context_value=context)).data}

    answers = await execute(), await execute_bare()
    if answers[0] != answers[1]:
        raise RuntimeError(f"Different answers: {answers}")
    found = await alternate(lambda: _rate(execute), lambda: _rate(execute_bare))
    await limiter.close()
    return Row(f"{query.name}, in memory", "/s", *found, bar=BAR)


async def _rate(execute: Callable[[], Awaitable[object]]) -> float:
    """Executions a second, one after another."""
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < SECONDS:
        for _ in range(BATCH):
            await execute()
        done += BATCH
    return done / (time.perf_counter() - began)
