"""Cancelling a task at each of its awaits in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class _Counted:
    """Runs a coroutine and cancels its task when it waits for the `at`-th time.

    At once, or with `late` only when what it waits for is there already: both may happen to a request.
    """

    def __init__(self, work: Coroutine[Any, Any, object], at: int, *, late: bool) -> None:
        self.work, self.at, self.late = work, at, late

    def __await__(self) -> Generator[Any, Any, object]:
        task = asyncio.current_task()
        assert task is not None
        steps = self.work.__await__()
        count, answer = 0, None
        while True:
            try:
                waiting = steps.send(answer)
            except StopIteration as end:
                return end.value
            count += 1
            if count == self.at:
                if self.late and waiting is not None:
                    waiting.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            try:
                answer = yield waiting
            except BaseException as error:  # noqa: BLE001 -- handed on as it is
                try:
                    waiting = steps.throw(error)
                except StopIteration as end:
                    return end.value
                while True:  # what the work still does once it is cancelled
                    try:
                        waiting = steps.send((yield waiting))
                    except StopIteration as end:
                        return end.value


async def _run(counted: _Counted) -> object:
    return await counted


async def cancel_at(at: int, work: Callable[[], Coroutine[Any, Any, object]], *, late: bool) -> bool:
    """Run `work` and cancel it at its `at`-th await; False when it ended before that."""
    task = asyncio.create_task(_run(_Counted(work(), at, late=late)))
    await asyncio.wait([task])
    if task.cancelled():
        return True
    task.result()
    return False
