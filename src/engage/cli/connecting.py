"""Commands that work on the database, and what they say when it does not let them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from engage.base import db
from engage.base.errors import Refusal, Unavailable
from engage.base.logs import set_up_logs
from engage.base.origin import Origin, Via, coming
from engage.base.settings import Settings, settings
from engage.cli.environment import fail
from engage.migrations import is_current
from engage.wiring import connected

T = TypeVar("T")


def with_database(config: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` connected to a database of this version; outages and refusals end the program with a sentence.

    What is logged meanwhile is shown only where it is an error: the command itself says what it has done.
    """
    set_up_logs(config.model_copy(update={"log_level": "error", "development": True}))

    async def inside() -> T:
        with coming(Origin(Via.CLI)):
            async with connected(config, "engage-cli"):
                async with db.acquired() as connection:
                    current = await is_current(connection)
                if not current:
                    fail("The database is not of this version: run `engage db migrate` first.")
                return await work

    try:
        return asyncio.run(inside())
    except Unavailable as error:
        fail(f"{error}{_where(config)}")
    except db.OUTAGES as error:
        fail(f"PostgreSQL went away meanwhile ({type(error).__name__}): when it is back, run the command again.")
    except Refusal as refusal:
        fail(refusal.message)
    finally:
        work.close()


def _where(config: Settings) -> str:
    """Where the address is from, when nobody has typed it."""
    if settings().database_url:
        return ""
    return f" The address is that of the `engage dev` in {config.data_dir}; start it again if it is gone."
