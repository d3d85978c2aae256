"""A loop that does not die: once more when woken, after a pause, and after a failure that it reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

PAUSE_AFTER_FAILURE_MAX_S = 5.0

logger = structlog.get_logger(__name__)


class Loop:
    """Calls `once` until stopped. `once` answers how many seconds it may rest unless it is woken."""

    def __init__(self, name: str, once: Callable[[], Awaitable[float]]) -> None:
        self._name = name
        self._once = once
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()

    def wake(self) -> None:
        """Rest no longer. Waking while it works makes it work once more."""
        self._woken.set()

    def stop(self) -> None:
        """End after the call in progress."""
        self._stopped.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until stopped."""
        failures = 0
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                rest = await self._once()
            except Exception as error:  # noqa: BLE001 -- an outage ends, a bug is in the log; the loop goes on
                failures += 1
                logger.warning("outbox.loop_failed", loop=self._name, failures=failures, error=_first_line(error))
                await _wait(self._stopped, min(0.1 * 2 ** min(failures, 10), PAUSE_AFTER_FAILURE_MAX_S))
            else:
                failures = 0
                if rest > 0:
                    await _wait(self._woken, rest)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:300]
