"""Settings for commands: the environment, or the `engage dev` that runs here."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import orjson
import typer
from pydantic import SecretStr
from rich.console import Console

from engage.base.errors import Refusal, Unavailable
from engage.base.settings import Settings, settings
from engage.wiring import connected

T = TypeVar("T")

console = Console()
errors = Console(stderr=True)


def dev_file(data_dir: Path) -> Path:
    """Where `engage dev` tells scripts what it runs."""
    return data_dir / "dev.json"


def configured() -> Settings:
    """The settings to work with: those of the environment; without a database there, those of `engage dev`.

    Ends the program with a sentence when there is neither.
    """
    config = settings()
    if config.database_url:
        return config
    file = dev_file(config.data_dir)
    if not file.exists():
        fail(
            "No database: set ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL, or start one with `make dev` "
            f"(its folder is {config.data_dir}; another is named by ENGAGE_DATA_DIR)."
        )
    found = orjson.loads(file.read_bytes())
    return config.model_copy(
        update={
            "database_url": found["database_url"],
            "redis_url": found["redis_url"],
            "jwt_secret": SecretStr(found["jwt_secret"]),
        }
    )


def with_database(config: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` connected to the database; an outage or a refusal ends the program with its sentence."""

    async def inside() -> T:
        async with connected(config, "engage-cli"):
            return await work

    try:
        return asyncio.run(inside())
    except Unavailable as error:
        work.close()
        fail(str(error))
    except Refusal as refusal:
        fail(refusal.message)


def fail(sentence: str, code: int = 1) -> NoReturn:
    """End the program with a sentence on standard error."""
    errors.print(f"[bold red]engage:[/] {sentence}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)
