"""`engage dev`: everything on one machine, started, watched and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
import redis

from tests.conftest import Servers, create_database, drop_database
from tests.e2e.programs import Dev, assert_sentence, dev_running, engage, until
from tests.embedded.test_users import NOBODY, seen_as
from tests.outbox.working import until as happens
from tests.processes import all_ended

ME = '{ me { id displayName balance(program: "demo") { available } } }'
TOTALS = '{ programTotals(program: "demo") { purchases pointsIssued } }'
REGISTER = """
mutation ($card: String!) {
  registerMember(input: { identities: [{ channel: "card", identifier: $card }] }) {
    __typename ... on RegisterMemberPayload { member { id } }
  }
}"""
SESSIONS = """
SELECT DISTINCT split_part(application_name, ' ', 1), usename FROM pg_stat_activity
 WHERE application_name LIKE 'engage-%'
"""
FIND = """query ($card: String!) { member(identity: { channel: "card", identifier: $card }) { id } }"""


def test_scripts_find_everything_in_a_private_file(dev: Dev) -> None:
    info = dev.info
    assert (dev.folder / "dev.json").stat().st_mode & 0o777 == 0o600
    assert {"url", "ws_url", "database_url", "app_database_url", "redis_url", "tokens"} <= set(info)
    assert {"member", "staff", "moderator", "admin"} <= set(info["tokens"])
    assert info["url"].startswith("http://127.0.0.1:")
    assert info["ws_url"] == info["url"].replace("http", "ws", 1)
    with redis.Redis.from_url(info["redis_url"]) as client:
        assert client.ping()


async def test_gateway_and_worker_are_kept_from_history(dev: Dev) -> None:
    info = dev.info
    owner, app = await asyncpg.connect(info["database_url"]), await asyncpg.connect(info["app_database_url"])
    try:
        assert await app.fetchval("SELECT count(*) FROM transfers") > 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for table transfers"):
            await app.execute("DELETE FROM transfers")

        async def both_are_that_role() -> bool:
            return {tuple(row) for row in await owner.fetch(SESSIONS)} == {
                ("engage-gateway", "engage_app"),
                ("engage-worker", "engage_app"),
            }

        await happens(both_are_that_role, "gateway and worker are connected as engage_app")
    finally:
        await owner.close()
        await app.close()


def test_migrating_beside_it_leaves_gateway_and_worker_their_rights(dev: Dev) -> None:
    done = engage("db", "migrate", ENGAGE_DATA_DIR=str(dev.folder))
    assert done.returncode == 0, done.stderr
    assert "engage_app may do what gateways and workers need" in done.stdout
    assert dev.ask(ME, "member")["me"]["id"]


def test_people_are_told_where_graphiql_is_and_a_token_for_each_role(dev: Dev) -> None:
    info = dev.info
    assert f"GraphiQL    {info['url']}\n" in dev.said
    lines = dev.said.splitlines()
    for role, token in info["tokens"].items():
        assert lines[lines.index(f"  {role}") + 1] == token


def test_each_token_does_what_its_role_may(dev: Dev) -> None:
    me = dev.ask(ME, "member")["me"]
    assert me["displayName"] == "Demo member"
    assert me["balance"]["available"] == 3 * 228
    found = "query ($id: ID!) { member(id: $id) { id identities { channel identifier } } }"
    for role in ("staff", "moderator", "admin"):
        assert dev.ask(found, role, id=me["id"])["member"]["id"] == me["id"]
    assert dev.ask(TOTALS, "admin")["programTotals"] == {"purchases": 3, "pointsIssued": 3 * 228}
    with pytest.raises(AssertionError, match="FORBIDDEN"):
        dev.ask(TOTALS, "member")


@pytest.mark.parametrize("name", ["gateway", "worker", "postgres", "valkey"])
def test_what_is_killed_comes_back(dev: Dev, name: str) -> None:
    addresses = {key: value for key, value in dev.info.items() if key != "tokens"}
    before = dev.ask(ME, "member")
    dev.wait_for_another(name, dev.kill_child(name))
    dev.wait_for_api()
    assert dev.ask(ME, "member") == before
    dev.wait_for_another("gateway", 0)  # one that was just starting may have found no server, and is started again
    dev.wait_for_another("worker", 0)
    assert {key: value for key, value in dev.info.items() if key != "tokens"} == addresses


def test_a_folder_in_use_stays_with_the_one_who_has_it(dev: Dev) -> None:
    done = engage("dev", "--port", "0", "--data-dir", str(dev.folder))
    assert_sentence(done, f"in use by process {dev.process.pid}", "--data-dir")
    assert dev.ask(ME, "member")["me"]["id"]  # dev.json is there still


def test_a_port_in_use(place: Path, dev: Dev) -> None:
    port = dev.info["url"].removeprefix("http://127.0.0.1:").removesuffix("/graphql")
    done = engage("dev", "--port", port, "--data-dir", str(place / "never"))
    assert_sentence(done, f"Port {port}", "--port")
    assert not (place / "never").exists()


def test_a_folder_of_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("99\n")
    done = engage("dev", "--port", "0", "--data-dir", str(tmp_path))
    assert_sentence(done, "layout 99", "Upgrade engage")


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    done = engage("dev", "--port", "0", "--data-dir", str(tmp_path))
    assert_sentence(done, "was not made by engage", "--data-dir")
    assert [file.name for file in tmp_path.iterdir() if file.name != "lock"] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["ENGAGE_DATABASE_URL", "ENGAGE_REDIS_URL"])
def test_one_address_without_the_other(tmp_path: Path, name: str) -> None:
    url = {"ENGAGE_DATABASE_URL": "postgres://127.0.0.1/db", "ENGAGE_REDIS_URL": "redis://127.0.0.1:6379/0"}[name]
    done = engage("dev", "--port", "0", "--data-dir", str(tmp_path / "data"), **{name: url})
    assert_sentence(done, "ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL")


def test_a_setting_that_cannot_be_right(tmp_path: Path) -> None:
    done = engage("dev", "--data-dir", str(tmp_path / "data"), ENGAGE_PORT="http")
    assert_sentence(done, "ENGAGE_PORT")


@pytest.fixture
def ordinary_user() -> list[str]:
    """What starts a program as an ordinary user; nothing where we are one, or where root cannot become one."""
    become = seen_as(NOBODY.pw_uid)
    if os.geteuid() != 0 or subprocess.run([*become, "true"], capture_output=True, check=False).returncode != 0:
        return []
    return become


def test_a_life(place: Path, dev: Dev, ordinary_user: list[str]) -> None:
    """Two at once; Ctrl-C, SIGKILL and SIGTERM, with a start after each; an older and a newer engage's database."""
    folder = place / "other [folder]"
    other = Dev(folder, before=ordinary_user)
    try:
        assert other.wait_until_ready()["url"] != dev.info["url"]
        member = other.ask(REGISTER, "staff", card="ONE-LIFE")["registerMember"]["member"]["id"]
        other_family = other.family()
        assert other.end(signal.SIGINT) == 0
        assert all_ended(other_family)
        assert "Stopped." in other.said
        assert not (folder / "dev.json").exists()
        assert dev.ask(ME, "member")["me"]["id"]

        other = Dev(folder, before=ordinary_user)
        assert other.wait_until_ready()
        assert other.ask(FIND, "staff", card="ONE-LIFE")["member"]["id"] == member
        asyncio.run(_on(other.info["database_url"], "DROP OWNED BY engage_app; DROP ROLE engage_app"))
        other_family = other.family()
        other.process.kill()
        other.process.wait()
        until(lambda: all_ended(other_family), "no orphan is left")
        (folder / "app_password").unlink()  # now it is as an earlier version had left it

        other = Dev(folder, before=ordinary_user)
        database_url = other.wait_until_ready()["database_url"]
        assert other.ask(FIND, "staff", card="ONE-LIFE")["member"]["id"] == member
        assert other.ask(TOTALS, "admin")["programTotals"]["purchases"] == 3  # the demo is seeded once
        asyncio.run(_on(database_url, "UPDATE engage.version SET release = '99.0.0'"))
        other_family = other.family()
        assert other.end(signal.SIGTERM) == 0
        assert all_ended(other_family)
        assert not (folder / "dev.json").exists()

        done = engage("dev", "--port", "0", "--data-dir", str(folder))
        assert_sentence(done, "migrated by engage 99.0.0", "restore a backup")
        assert not (folder / "dev.json").exists()
    finally:
        other.close()


async def _on(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_servers_of_ones_own(place: Path, servers: Servers) -> None:
    url, folder = await create_database(servers), place / "own servers"
    try:
        settings = {
            "ENGAGE_DATABASE_URL": url,
            "ENGAGE_REDIS_URL": servers.redis_url,
            "ENGAGE_REDIS_PREFIX": "e2e-dev",
        }
        with dev_running(folder, **settings) as running:
            assert running.info["database_url"] == running.info["app_database_url"] == url
            assert running.child("postgres") is None
            assert running.ask(ME, "member")["me"]["displayName"] == "Demo member"
            done = engage("dev", "--port", "0", "--data-dir", str(folder), **settings)
            assert_sentence(done, "in use by process")
        assert not (folder / "postgres").exists()
    finally:
        await drop_database(servers, url)


def test_a_secret_that_is_too_short(place: Path) -> None:
    done = engage("dev", "--port", "0", "--data-dir", str(place / "short"), ENGAGE_JWT_SECRET="too short")
    assert_sentence(done, "ENGAGE_JWT_SECRET")


def test_ctrl_c_while_it_starts(place: Path) -> None:
    starting = Dev(place / "interrupted")
    try:
        until((place / "interrupted" / "format").exists, "it has begun")
        family = starting.family()
        assert starting.end() == 0
        assert all_ended(family)
        assert not (place / "interrupted" / "dev.json").exists()
        assert "Traceback" not in starting.said
    finally:
        starting.close()
