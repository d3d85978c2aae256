"""The reference of `live`: a socket server that sends on what Redis publishes, and knows nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engage.base.settings import Settings
from engage.realtime.rings import channel_of


async def listen(socket: WebSocket) -> None:
    """Send each message of one stream."""
    await socket.accept()
    channel = f"{socket.app.state.prefix}:raw:{channel_of(socket.query_params['stream'])}"
    socket.app.state.sockets.setdefault(channel.encode(), set()).add(socket)
    await socket.send_text("ready")
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        socket.app.state.sockets[channel.encode()].discard(socket)


async def _forward(app: Starlette, redis: Redis) -> None:
    async with redis.pubsub() as heard:
        await heard.psubscribe(f"{app.state.prefix}:raw:*")
        async for message in heard.listen():
            if message["type"] == "pmessage":
                for socket in list(app.state.sockets.get(message["channel"], ())):
                    await socket.send_text(message["data"].decode())


async def healthz(_request: Request) -> Response:
    """For the harness."""
    return PlainTextResponse("ok")


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    config = Settings()
    app.state.prefix, app.state.sockets = config.redis_prefix, {}
    redis = Redis.from_url(config.redis_url)
    task = asyncio.create_task(_forward(app, redis))
    yield
    task.cancel()
    await redis.aclose()


def main() -> None:
    """Serve at ENGAGE_PORT."""
    app = Starlette(routes=[WebSocketRoute("/", listen), Route("/healthz", healthz)], lifespan=_lifespan)
    uvicorn.run(app, port=Settings().port, log_level="warning", ws="websockets-sansio", loop="uvloop")


if __name__ == "__main__":
    main()
