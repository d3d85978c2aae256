"""From commit to client: pointsChanged at 1,000 subscribers, against a raw socket server fed by the same Redis."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from datetime import timedelta
from uuid import uuid4

import orjson
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.harness import ROUNDS, Environment, Row
from bench.people import make_members, member_id
from engage.api.relay import global_id
from engage.base import crypto
from engage.base.actor import Actor, Role
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.realtime.rings import channel_of
from engage.wiring import connected

SUBSCRIBERS = 1000
CHANGES = 100
QUERY = """subscription Watch($member: ID!) {
  pointsChanged(memberId: $member) { cursor position balance { available } transfer { kind amount } }
}"""

Arrivals = dict[int, asyncio.Future[float]]


class _Subscribers:
    """Sockets that note when a frame of their member came."""

    def __init__(self) -> None:
        self.sockets: list[ClientConnection] = []
        self.waiting: Arrivals = {}
        self.readers: list[asyncio.Task[None]] = []

    def read(self, number: int, socket: ClientConnection) -> None:
        """Note arrivals on a socket from now on."""
        self.sockets.append(socket)
        self.readers.append(asyncio.create_task(self._read(number, socket)))

    async def _read(self, number: int, socket: ClientConnection) -> None:
        async for _frame in socket:
            future = self.waiting.pop(number, None)
            if future is not None:
                future.set_result(time.perf_counter())

    def expect(self, number: int) -> asyncio.Future[float]:
        """When the next frame of a member arrives."""
        self.waiting[number] = asyncio.get_running_loop().create_future()
        return self.waiting[number]

    async def close(self) -> None:
        """Hang up."""
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*(socket.close() for socket in self.sockets), return_exceptions=True)


async def run(environment: Environment) -> list[Row]:
    """Two rows: the median, and the 99th of a hundred."""
    config = await environment.settings()
    await make_members(config.database_url)
    async with (
        connected(config, "engage-bench"),
        environment.process(config, "engage.cli", "serve") as gateway,
        environment.process(config, "bench.rawsocket", ready="/healthz") as raw,
    ):
        ours, reference = await _subscribe(config, gateway), await _listen(raw)
        rounds = [(await _live(ours), await _published(config, reference)) for _ in range(ROUNDS + 1)][1:]
        await ours.close()
        await reference.close()
    name = f"commit to client, {SUBSCRIBERS:,} subscribers"
    return [
        Row(
            f"{name}, {label}",
            "s",
            [pick(a) for a, _ in rounds],
            [pick(b) for _, b in rounds],
            smaller_is_better=True,
        )
        for label, pick in (("median", statistics.median), ("99 %", lambda found: sorted(found)[-2]))
    ]


async def _subscribe(config: Settings, port: int) -> _Subscribers:
    token = crypto.issue_token(config, Role.SERVICE, subject="bench", valid_for=timedelta(hours=1))
    found = _Subscribers()
    for number in range(1, SUBSCRIBERS + 1):
        socket = await connect(
            f"ws://127.0.0.1:{port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")], compression=None
        )
        await socket.send(orjson.dumps({"type": "connection_init", "payload": {"token": token}}).decode())
        await socket.recv()
        variables = {"member": global_id("Member", member_id(number))}
        payload = {"query": QUERY, "variables": variables}
        await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
        await socket.recv()
        found.read(number, socket)
    return found


async def _listen(port: int) -> _Subscribers:
    found = _Subscribers()
    for number in range(1, SUBSCRIBERS + 1):
        socket = await connect(f"ws://127.0.0.1:{port}/?stream=member:{member_id(number)}", compression=None)
        await socket.recv()
        found.read(number, socket)
    return found


async def _live(subscribers: _Subscribers) -> list[float]:
    """Seconds from the commit of a spend to the frame, for one change after another."""
    seconds = []
    for _ in range(CHANGES):
        number = random.randint(1, SUBSCRIBERS)
        arrival = subscribers.expect(number)
        await service.spend_points(
            Actor("bench", Role.SERVICE),
            member_id=member_id(number),
            program="default",
            amount=1,
            idempotency_key=uuid4().hex,
        )
        committed = time.perf_counter()
        seconds.append(max(0.0, await asyncio.wait_for(arrival, 30) - committed))
    return seconds


async def _published(config: Settings, subscribers: _Subscribers) -> list[float]:
    """Seconds from PUBLISH to the frame of a server that does nothing else."""
    redis = Redis.from_url(config.redis_url)
    seconds = []
    for _ in range(CHANGES):
        number = random.randint(1, SUBSCRIBERS)
        arrival = subscribers.expect(number)
        began = time.perf_counter()
        channel = f"{config.redis_prefix}:raw:{channel_of(f'member:{member_id(number)}')}"
        await redis.publish(channel, b'[1,"ledger.points_spent.v1",{}]')
        seconds.append(await asyncio.wait_for(arrival, 30) - began)
    await redis.aclose()
    return seconds
