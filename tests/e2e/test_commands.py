"""Every command as people and machines run it: its help, what it does, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from engage.api.relay import global_id
from engage.base.actor import SYSTEM, Role
from engage.base.crypto import read_token
from engage.base.settings import Settings
from engage.base.settings import settings as read_settings
from engage.cli import app
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.migrations import is_current
from engage.seed import CHANNELS, seed_basics
from tests.conftest import Servers, create_database, drop_database
from tests.e2e.programs import ENGAGE, Dev, assert_sentence, engage, environment

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "dev": ["--port", "--data-dir", "Ctrl-C", "dev.json"],
    "serve": ["--host", "--port", "ENGAGE_PORT", "/graphql"],
    "worker": ["--check", "SIGTERM"],
    "schema": ["SDL"],
    "token": ["--role", "--member", "--subject", "--scope", "--hours", "ENGAGE_JWT_SECRET", "Authorization: Bearer"],
    "db": ["migrate", "epoch"],
    "db migrate": ["older gateways"],
    "db epoch": ["--new", "restoring"],
    "import": ["purchases"],
    "import purchases": [
        "--program",
        "--map",
        "--identity-channel",
        "--channel",
        "--currency",
        "--store",
        "--rejects",
        "--background",
    ],
    "webhooks": ["list", "add", "pause", "resume", "replay", "test", "remove"],
    "webhooks add": ["URL", "--description", "secret"],
    "webhooks replay": ["--since", "--stream", "--after"],
    "keys": ["list", "create", "scopes", "revoke", "revoke-tokens"],
    "keys create": ["NAME", "--scope", "--role", "--days", "Authorization: Bearer"],
    "keys list": ["--json"],
    "keys revoke": ["ID"],
    "keys revoke-tokens": ["--token", "--subject", "--member", "exactly one"],
    "audit": ["list"],
    "audit list": ["--actor", "--role", "--command", "--member", "--result", "--from", "--to", "--limit", "--json"],
    "ledger": ["verify", "seal"],
    "ledger verify": ["--since", "--head", "exit code 1"],
    "ledger seal": ["--head", "outside of the database"],
}
SECRET = "x" * 48
NOWHERE = "postgres://engage:secret@127.0.0.1:1/engage"


def typed(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which has loaded what a process of its own would load first."""
    nothing = {name: None for name in os.environ if name.startswith("ENGAGE_")}
    read_settings.cache_clear()
    try:
        # The logs of this process stay those of the tests.
        with patch("structlog.configure"), capture_logs():
            done = CliRunner().invoke(app, list(words), env={**nothing, "COLUMNS": "200", **settings})
    finally:
        read_settings.cache_clear()
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def env(config: Settings) -> dict[str, str]:
    """What leads a command to this module's database."""
    return {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
    }


@pytest.mark.parametrize("command", OPTIONS)
def test_help(command: str) -> None:
    done = typed(*command.split(), "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    text = " ".join(done.stdout.split())
    for word in OPTIONS[command]:
        assert word in text, done.stdout


def test_help_names_every_command() -> None:
    done = typed()
    for command in OPTIONS:
        assert f" {command.split()[0]} " in done.stdout
    assert typed("nonsense").returncode == 2


def test_the_schema_on_file_is_that_of_the_code() -> None:
    done = typed("schema")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "schema.graphql").read_text()


@pytest.mark.parametrize("role", Role)
def test_tokens(config: Settings, role: Role) -> None:
    member = uuid4()
    given = ["--member", global_id("Member", member)] if role is Role.MEMBER else ["--subject", "till-7"]
    done = typed("token", "--role", role.lower(), "--hours", "0.5", *given, **env(config))
    assert done.returncode == 0, done.stderr
    grant = read_token(config, done.stdout.strip())
    actor = grant.actor
    assert actor.role is role
    assert actor.member_id == (member if role is Role.MEMBER else None)
    assert actor.id == (f"member:{member}" if role is Role.MEMBER else "till-7")
    assert grant.holds_until.tzinfo


def test_a_token_made_beside_a_running_engage_works_there(dev: Dev) -> None:
    done = engage("token", "--role", "admin", ENGAGE_DATA_DIR=str(dev.folder))
    assert done.returncode == 0, done.stderr
    assert dev.ask("{ programTotals { members } }", token=done.stdout.strip())["programTotals"]["members"] >= 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--role", "king"], "king"),
        (["--role", "staff", "--hours", "0"], "hours"),
        (["--role", "staff", "--hours", "soon"], "hours"),
        ([], "--role"),
    ],
)
def test_options_that_cannot_be_right(config: Settings, words: list[str], says: str) -> None:
    done = typed("token", *words, **env(config))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--role", "member"], "names its member"),
        (["--role", "staff", "--member", str(uuid4())], "names its member"),
        (["--role", "member", "--member", "nobody"], "is no member's id"),
        (["--role", "member", "--member", global_id("Transfer", uuid4())], "is no member's id"),
    ],
)
def test_tokens_that_cannot_be(config: Settings, words: list[str], says: str) -> None:
    assert_sentence(typed("token", *words, **env(config)), says)


async def test_migrate(servers: Servers) -> None:
    """Three at once, and again."""
    url = await create_database(servers)
    settings = environment(ENGAGE_DATABASE_URL=url, ENGAGE_REDIS_URL=servers.redis_url)
    try:
        early = await asyncio.to_thread(engage, "ledger", "verify", **_engage_only(settings))
        assert_sentence(early, "run `engage db migrate`")
        runs = [
            await asyncio.create_subprocess_exec(
                *ENGAGE, "db", "migrate", env=settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            for _ in range(3)
        ]
        answers = [await run.communicate() for run in runs]
        assert [run.returncode for run in runs] == [0, 0, 0], answers
        said = sorted(output.decode() for output, _ in answers)
        assert said[0].startswith("Done: 0001_initial, ")
        assert [one.startswith("Nothing to do") for one in said] == [False, True, True]
        connection = await asyncpg.connect(url)
        try:
            assert await is_current(connection)
            assert await connection.fetchval("SELECT count(*) FROM channels") == len(CHANNELS)
            assert await connection.fetchval("SELECT array_agg(code) FROM programs") == ["default"]
        finally:
            await connection.close()
        again = await asyncio.to_thread(engage, "db", "migrate", **_engage_only(settings))
        assert "Nothing to do" in again.stdout
    finally:
        await drop_database(servers, url)


def _engage_only(settings: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name.startswith("ENGAGE_")}


@pytest.mark.skipif("ENGAGE_OLD_DATABASE_URL" not in os.environ, reason="names a PostgreSQL older than 15")
def test_migrate_on_an_old_server(servers: Servers) -> None:
    old = os.environ["ENGAGE_OLD_DATABASE_URL"]
    done = engage("db", "migrate", ENGAGE_DATABASE_URL=old, ENGAGE_REDIS_URL=servers.redis_url)
    assert_sentence(done, "PostgreSQL 15 or later")


def test_epoch(config: Settings) -> None:
    first, again = typed("db", "epoch", **env(config)), typed("db", "epoch", **env(config))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout != "\n"
    new = typed("db", "epoch", "--new", **env(config))
    assert new.returncode == 0
    assert new.stdout not in ("\n", first.stdout)
    assert typed("db", "epoch", **env(config)).stdout == new.stdout


async def test_verify(connected: Settings) -> None:
    await seed_basics()
    member = await members.register_member(SYSTEM, identities=[IdentityRef("card", "VERIFIED")])
    await ledger.earn_points(
        SYSTEM, member_id=member.id, program="default", amount=100, idempotency_key=secrets.token_hex(8)
    )
    right = await asyncio.to_thread(engage, "ledger", "verify", **env(connected))
    assert (right.returncode, right.stderr) == (0, "")
    assert "The ledger is right." in right.stdout

    connection = await asyncpg.connect(connected.database_url)
    try:
        account = await connection.fetchval(
            "UPDATE accounts SET available = available + 1 WHERE member_id = $1 RETURNING id", member.id
        )
    finally:
        await connection.close()
    wrong = await asyncio.to_thread(engage, "ledger", "verify", **env(connected))
    assert_sentence(wrong, str(account), "101", "100")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_servers_that_are_away(servers: Servers, command: str) -> None:
    settings = {"ENGAGE_REDIS_URL": servers.redis_url, "ENGAGE_JWT_SECRET": SECRET}
    done = engage(command, ENGAGE_DATABASE_URL=NOWHERE, **settings)
    said = [line for line in done.stderr.splitlines() if line.startswith("engage:")]
    assert done.returncode == 1
    assert len(said) == 1, done.stderr
    assert "ENGAGE_DATABASE_URL" in said[0]
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("secret", ["", "short"])
def test_serve_with_a_secret_that_signs_nothing(config: Settings, secret: str) -> None:
    assert_sentence(typed("serve", **env(config) | {"ENGAGE_JWT_SECRET": secret}), "ENGAGE_JWT_SECRET", "at least 32")


def test_serve_on_a_port_in_use(config: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_sentence(engage("serve", "--port", port, **env(config)), f"Port {port} of 127.0.0.1", "--port")


def test_serve_on_an_address_of_another(config: Settings) -> None:
    assert_sentence(engage("serve", "--host", "no.such.host.invalid", **env(config)), "no.such.host.invalid")


def test_no_servers_at_all(tmp_path: Path) -> None:
    done = typed("ledger", "verify", ENGAGE_DATA_DIR=str(tmp_path))
    assert_sentence(done, "ENGAGE_DATABASE_URL", "make dev", str(tmp_path))


def test_one_address_without_the_other(config: Settings) -> None:
    done = typed("serve", ENGAGE_DATABASE_URL=config.database_url, ENGAGE_JWT_SECRET=SECRET)
    assert_sentence(done, "ENGAGE_REDIS_URL")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENGAGE_DATABASE_URL", "mysql://root@127.0.0.1/engage"),
        ("ENGAGE_DATABASE_URL", "postgres://engage@127.0.0.1:port/engage"),
        ("ENGAGE_REDIS_URL", "127.0.0.1:6379"),
        ("ENGAGE_PORT", "66000"),
        ("ENGAGE_LOG_LEVEL", "loud"),
    ],
)
def test_settings_that_cannot_be_right(config: Settings, name: str, value: str) -> None:
    assert_sentence(typed("ledger", "verify", **env(config) | {name: value}), name)


def test_the_worker_says_whether_it_is_at_work(config: Settings) -> None:
    assert_sentence(typed("worker", "--check", **env(config)), "No worker")


def test_the_worker_of_a_running_engage_is_at_work(dev: Dev) -> None:
    done = engage("worker", "--check", ENGAGE_DATA_DIR=str(dev.folder))
    assert (done.returncode, done.stderr) == (0, "")
