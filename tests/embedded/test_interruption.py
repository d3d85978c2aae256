import os
import signal
import subprocess
from pathlib import Path

import psutil

from engage.embedded import running
from tests.processes import all_ended

from .clients import get, put, sql
from .conftest import FAST, HoldFunction, until


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def test_a_killed_parent_leaves_no_orphan_and_the_next_start_recovers(
    made_dir: Path, hold: HoldFunction
) -> None:
    holder = hold(made_dir)
    services = holder.says()
    await sql(services["database_url"], "CREATE TABLE orphaned AS SELECT 42 AS answer", "SELECT 1")
    put(services["redis_url"], "orphaned", "42")
    family = descendants(holder.process.pid)
    assert {services["postgres_pid"], services["valkey_pid"]} < {one.pid for one in family}
    holder.kill()
    until(lambda: all_ended(family), "all that the parent started is gone")

    holder = hold(made_dir)
    again = holder.says()
    assert again["database_url"] == services["database_url"]
    assert await sql(again["database_url"], "SELECT answer FROM orphaned") == 42
    assert get(again["redis_url"], "orphaned") == "42"


async def test_a_start_right_after_a_kill_waits_for_the_servers_to_end(made_dir: Path, hold: HoldFunction) -> None:
    holder = hold(made_dir)
    holder.says()
    family = descendants(holder.process.pid)
    holder.kill()
    with running(made_dir, settings=FAST) as services:
        assert all_ended(family)
        assert await sql(services.database_url, "SELECT 1") == 1


async def test_killed_servers_are_noticed_and_lose_nothing(made_dir: Path) -> None:
    with running(made_dir, settings=FAST) as services:
        assert services.ended() is None
        await sql(services.database_url, "CREATE TABLE crashed AS SELECT 42 AS answer", "SELECT 1")
        put(services.redis_url, "crashed", "42")
        os.kill(services.valkey_pid, signal.SIGKILL)
        until(services.ended, "Valkey's end is noticed")
        assert "Valkey ended by itself (exit code -9)" in str(services.ended())
        os.kill(services.postgres_pid, signal.SIGKILL)
        until(lambda: "PostgreSQL" in str(services.ended()), "PostgreSQL's end is noticed")
    with running(made_dir, settings=FAST) as again:
        assert await sql(again.database_url, "SELECT answer FROM crashed") == 42
        assert get(again.redis_url, "crashed") == "42"


async def test_an_interrupted_first_start_leaves_nothing_half_done(data_dir: Path, hold: HoldFunction) -> None:
    holder = hold(data_dir)
    until((data_dir / "postgres.new" / "PG_VERSION").exists, "the making of the data has begun")
    family = descendants(holder.process.pid)
    holder.kill()
    assert not (data_dir / "postgres").exists()
    with running(data_dir, settings=FAST) as services:
        assert all_ended(family)
        assert await sql(services.database_url, "SELECT current_database()") == "engage"
    assert not (data_dir / "postgres.new").exists()


async def test_ctrl_c_reaches_the_parent_alone(made_dir: Path, hold: HoldFunction) -> None:
    holder = hold(made_dir)
    services = holder.says()
    os.killpg(holder.process.pid, signal.SIGINT)  # what a terminal does
    assert holder.says() == {"interrupted": True, "ended": None}
    assert await sql(services["database_url"], "SELECT 1") == 1
    assert holder.finish() == 0
    assert not psutil.pid_exists(services["postgres_pid"])
    assert not psutil.pid_exists(services["valkey_pid"])


def test_ctrl_c_while_the_data_are_made_stops_all(data_dir: Path, hold: HoldFunction) -> None:
    holder = hold(data_dir)
    until((data_dir / "postgres.new" / "PG_VERSION").exists, "the making of the data has begun")
    family = descendants(holder.process.pid)
    os.killpg(holder.process.pid, signal.SIGINT)
    holder.finish()
    assert all_ended(family)
    assert not (data_dir / "postgres").exists()


def test_ctrl_c_while_the_servers_start_stops_both(made_dir: Path, hold: HoldFunction) -> None:
    holder = hold(made_dir)
    until((made_dir / "postgres" / "postmaster.pid").exists, "PostgreSQL is starting")
    family = descendants(holder.process.pid)
    os.killpg(holder.process.pid, signal.SIGINT)
    holder.finish()
    assert all_ended(family)


async def test_a_truncated_append_only_file_is_read_up_to_the_cut(made_dir: Path) -> None:
    with running(made_dir, settings=FAST) as services:
        put(services.redis_url, "first", "kept")
        put(services.redis_url, "second", "cut off in the middle")
        os.kill(services.valkey_pid, signal.SIGKILL)
    (written,) = (made_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    os.truncate(written, written.stat().st_size - 5)
    with running(made_dir, settings=FAST) as services:
        assert get(services.redis_url, "first") == "kept"
        assert get(services.redis_url, "second") is None


async def test_a_stale_pid_that_another_program_has_by_now_is_no_hindrance(made_dir: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:  # noqa: ASYNC220  # nothing waits for it
        try:
            stale = f"{stranger.pid}\n{made_dir}/postgres\n1700000000\n5432\n\n127.0.0.1\n  0  0\nready\n"
            (made_dir / "postgres" / "postmaster.pid").write_text(stale)
            (made_dir / "valkey" / "valkey.pid").write_text(f"{stranger.pid}\n")
            with running(made_dir, settings=FAST) as services:
                assert await sql(services.database_url, "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()
