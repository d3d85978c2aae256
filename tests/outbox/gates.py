"""Where a job in steps stops until a test lets it go on."""

from __future__ import annotations

import asyncio

from engage.outbox import Run


class Gate:
    """At one row: pass `pass_by` to `with_steps`."""

    def __init__(self, row: int) -> None:
        self._row = row
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def pass_by(self, _run: Run, row: int) -> None:
        if row == self._row:
            self.reached.set()
            await self.open.wait()
