"""`engage worker`."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from engage.base.errors import Unavailable
from engage.base.logs import set_up_logs
from engage.base.metrics import served
from engage.base.settings import Settings
from engage.cli.environment import configured, fail
from engage.worker import has_pulse, run_worker


def worker(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the worker of this container is at work (exit code).")
    ] = False,
) -> None:
    """Run a worker: carries out what was promised, expires points, sends reminders.

    Run one or more; they share the work. Ctrl-C or SIGTERM lets what runs end first. Let a supervisor start it again
    whenever it ends by itself: a handler that never yields ends it with exit code 70.
    """
    config = configured()
    if check:
        if not asyncio.run(has_pulse(config)):
            fail("No worker of this machine has taken its round lately, or Redis is away.")
        return
    set_up_logs(config)
    try:
        with served(config):
            asyncio.run(_work(config))
    except Unavailable as error:
        fail(str(error))


async def _work(config: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_worker(config, stop, owns_process=True)
