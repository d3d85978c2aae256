"""Settings for commands: the environment, or the `engage dev` that runs here."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import orjson
import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.markup import escape

from engage.base.settings import Settings, settings

URLS = {
    "ENGAGE_DATABASE_URL": ("postgres", "postgresql"),
    "ENGAGE_REDIS_URL": ("redis", "rediss", "unix"),
}
"""The two settings that lead to servers, with the schemes that they may have."""

console = Console()
errors = Console(stderr=True)


def dev_file(data_dir: Path) -> Path:
    """Where `engage dev` tells scripts what it runs."""
    return data_dir / "dev.json"


def from_environment() -> Settings:
    """The settings of the environment. Ends the program with a sentence when one of them cannot be right."""
    try:
        config = settings()
    except ValidationError as error:
        wrong = "; ".join(f"ENGAGE_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        fail(f"The environment has settings that cannot be used. {wrong}.")
    for name, url in zip(URLS, (config.database_url, config.redis_url), strict=True):
        if url and not _usable(url, URLS[name]):
            fail(f"{name} cannot be used: it should begin with {URLS[name][0]}:// and name host, port and database.")
    return config


def _usable(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc or parts.path)


def configured() -> Settings:
    """The settings to work with: those of the environment; without servers there, those of `engage dev`.

    Ends the program with a sentence when there is neither.
    """
    config = from_environment()
    if bool(config.database_url) != bool(config.redis_url):
        fail("Set both ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL, or neither to use those of a running `engage dev`.")
    if config.database_url:
        return config
    file = dev_file(config.data_dir)
    try:
        found = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        fail(
            "No database: set ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL, or start one with `make dev` "
            f"(its folder is {config.data_dir}; another is named by ENGAGE_DATA_DIR)."
        )
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror}): run this as the user who started `engage dev`.")
    return config.model_copy(
        update={
            "database_url": found["database_url"],
            "database_role": found.get("database_role", ""),
            "redis_url": found["redis_url"],
            "jwt_secret": SecretStr(found["jwt_secret"]),
        }
    )


def fail(sentence: str, code: int = 1) -> NoReturn:
    """End the program with a sentence on standard error."""
    tell(sentence)
    raise typer.Exit(code)


def tell(sentence: str) -> None:
    """Say something on standard error."""
    errors.print(f"[bold red]engage:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
