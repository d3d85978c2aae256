"""GraphQL over Server-Sent Events: the distinct connections mode of the protocol that graphql-sse has.

Each answer is an event `next`, the end an event `complete`. While nothing happens, comments keep proxies from closing
the connection, and tell us of clients that are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import StreamingResponse

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 12.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second keeps nginx from collecting events

Answer = dict[str, Any]


def event_stream(answers: AsyncGenerator[Answer], over: Callable[[], Awaitable[Answer]] | None) -> StreamingResponse:
    """The response that gives all answers. When `over` answers, what it says is the last, and the stream ends."""
    return StreamingResponse(_events(answers, over), headers=HEADERS, media_type=MEDIA_TYPE)


async def _events(
    answers: AsyncGenerator[Answer], over: Callable[[], Awaitable[Answer]] | None
) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[Answer | None] = asyncio.Queue(maxsize=1)
    producer = asyncio.create_task(_produce(answers, queue))
    tasks = [producer, *([] if over is None else [asyncio.create_task(_end(over, producer, queue))])]
    yield b":\n\n"
    try:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    answer = await queue.get()
            except TimeoutError:
                yield b":\n\n"
                continue
            if answer is None:
                break
            yield _event("next", answer)
        yield _event("complete", None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _end(
    over: Callable[[], Awaitable[Answer]], producer: asyncio.Task[None], queue: asyncio.Queue[Answer | None]
) -> None:
    """Once it is over, let nothing more out than that."""
    last = await over()
    producer.cancel()
    await asyncio.wait([producer])
    while not queue.empty():
        queue.get_nowait()
    await queue.put(last)
    await queue.put(None)


async def _produce(answers: AsyncGenerator[Answer], queue: asyncio.Queue[Answer | None]) -> None:
    """One task runs the operation from its start to its end."""
    async with aclosing(answers):
        async for answer in answers:
            await queue.put(answer)
    await queue.put(None)


def _event(name: str, answer: Answer | None) -> bytes:
    data = b"" if answer is None else orjson.dumps(answer)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
