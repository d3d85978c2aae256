"""Starts by others than the user who runs the tests, as far as this machine lets us become them."""

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from engage.embedded.process import LAUNCHER
from tests.processes import all_ended, command_of

from .clients import sql
from .conftest import HoldFunction

NOBODY = pwd.getpwnam("nobody")
NAMELESS = 54_321


def seen_as(uid: int) -> list[str]:
    """What starts a program that the machine takes for user `uid`, without any of root's powers."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), "9", "map", str(uid), str(uid)]


# Root in a namespace of its own with all users of the machine, and with no namespaces to be had in it: what a
# container without the right to make them is like. The parent maps the users; a child cannot do it for itself.
CONTAINED_ROOT = """
import ctypes, os, sys
told, tell = os.pipe()
done, finish = os.pipe()
inside = os.fork()
if inside == 0:
    if ctypes.CDLL(None).unshare(0x10000000) != 0:
        os._exit(77)
    os.write(tell, b"x")
    os.read(done, 1)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.execvp(sys.argv[1], sys.argv[1:])
os.close(tell)
if os.read(told, 1):
    for name in ("uid_map", "gid_map"):
        open(f"/proc/{inside}/{name}", "w").write("0 0 65536")
    os.write(finish, b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1]))
"""


def contained_root() -> list[str]:
    return [sys.executable, "-c", CONTAINED_ROOT]


def need(before: Sequence[str]) -> None:
    trial = subprocess.run([*before, "true"], capture_output=True, text=True, check=False)
    if trial.returncode != 0:
        pytest.skip(f"this machine gives no user namespaces: {trial.stderr.strip()}")


@pytest.mark.parametrize("uid", [NOBODY.pw_uid, NAMELESS], ids=["ordinary", "nameless"])
async def test_an_ordinary_user_starts_the_servers(data_dir: Path, hold: HoldFunction, uid: int) -> None:
    need(seen_as(uid))
    holder = hold(data_dir, before=seen_as(uid))
    services = holder.says()
    assert await sql(services["database_url"], "SELECT current_user") == "engage"
    assert holder.finish() == 0
    assert not psutil.pid_exists(services["postgres_pid"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the folder away")
async def test_root_without_namespaces_hands_the_servers_to_nobody(data_dir: Path, hold: HoldFunction) -> None:
    need(contained_root())
    data_dir.parent.chmod(0o711)  # on the way to the folder, and private as made
    holder = hold(data_dir, before=contained_root())
    services = holder.says()
    assert services.get("error") is None, services
    for pid in (services["postgres_pid"], services["valkey_pid"]):
        assert psutil.Process(pid).uids().effective == NOBODY.pw_uid
    assert await sql(services["database_url"], "CREATE TABLE kept AS SELECT 42 AS answer", "SELECT 1") == 1
    assert (data_dir / "postgres" / "PG_VERSION").stat().st_uid == NOBODY.pw_uid
    family = psutil.Process(holder.process.pid).children(recursive=True)
    holder.kill()
    (engage,) = (one for one in family if sys.executable in command_of(one)[:1] and str(data_dir) in command_of(one))
    engage.kill()

    holder = hold(data_dir)  # root again, and now with namespaces: the folder comes back, the data are there
    services = holder.says()
    assert all_ended(family)
    assert await sql(services["database_url"], "SELECT answer FROM kept") == 42
    assert (data_dir / "postgres" / "PG_VERSION").stat().st_uid == 0
    assert holder.finish() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_whose_folder_nobody_can_reach_is_told_so(data_dir: Path, hold: HoldFunction) -> None:
    need(contained_root())
    data_dir.parent.chmod(0o700)
    answer = hold(data_dir, before=contained_root()).says()
    assert answer["error"] == "NoUserForServers"
    assert "Start engage as an ordinary user" in answer["text"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another user may not write")
def test_a_folder_of_another_user_is_told_to_be_so(data_dir: Path, hold: HoldFunction) -> None:
    need(seen_as(NOBODY.pw_uid))
    data_dir.mkdir()
    os.chown(data_dir, 12_345, 12_345)
    answer = hold(data_dir / "deeper", before=seen_as(NOBODY.pw_uid)).says()
    assert answer["error"] == "FolderNotWritable"
    assert "Permission denied" in answer["text"]
    assert "Choose another with --data-dir" in answer["text"]
