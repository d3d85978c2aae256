"""GraphQL over Server-Sent Events: the distinct connections mode of the protocol that graphql-sse has.

Each answer is an event `next`, the end an event `complete`. While nothing happens, comments keep proxies from closing
the connection, and tell us of clients that are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import StreamingResponse

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 12.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second keeps nginx from collecting events

Answer = dict[str, Any]


def event_stream(answers: AsyncGenerator[Answer], *, holds_s: float | None, last: Answer) -> StreamingResponse:
    """The response that gives all answers; after `holds_s` seconds it gives `last` and ends."""
    return StreamingResponse(_events(answers, holds_s, last), headers=HEADERS, media_type=MEDIA_TYPE)


async def _events(answers: AsyncGenerator[Answer], holds_s: float | None, last: Answer) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    ends = float("inf") if holds_s is None else loop.time() + holds_s
    queue: asyncio.Queue[Answer | None] = asyncio.Queue(maxsize=1)
    producer = asyncio.create_task(_produce(answers, queue))
    yield b":\n\n"
    try:
        while True:
            left = ends - loop.time()
            try:
                async with asyncio.timeout(max(0.0, min(left, KEEP_ALIVE_S))):
                    answer = await queue.get()
            except TimeoutError:
                if left > KEEP_ALIVE_S:
                    yield b":\n\n"
                    continue
                yield _event("next", last)
                break
            if answer is None:
                break
            yield _event("next", answer)
        yield _event("complete", None)
    finally:
        producer.cancel()
        await asyncio.wait([producer])


async def _produce(answers: AsyncGenerator[Answer], queue: asyncio.Queue[Answer | None]) -> None:
    """One task runs the operation from its start to its end."""
    async with aclosing(answers):
        async for answer in answers:
            await queue.put(answer)
    await queue.put(None)


def _event(name: str, answer: Answer | None) -> bytes:
    data = b"" if answer is None else orjson.dumps(answer)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
