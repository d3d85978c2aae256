"""Valkey: writes its configuration, starts it."""

import glob
import signal
from typing import Final

import redis

from engage.embedded.folder import Folder, telling_sentences, write
from engage.embedded.ports import HOST
from engage.embedded.process import RunAs, server_environment, start
from engage.embedded.server import Server, log_end
from engage.embedded.wheels import Binaries

NAME: Final = "Valkey"
_PING_TIMEOUT_S: Final = 0.5

# The password stands here and not on the command line, which every user of the machine can read. The process
# title names this file, so that a server can be told to be this folder's.
_CONFIGURATION: Final = """\
bind {host}
port {port}
unixsocket ""
protected-mode yes
requirepass {password}
dir ./
pidfile valkey.pid
logfile ""
daemonize no
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
proc-title-template "{{title}} {{listen-addr}} {{config-file}}"\
"""


def url(port: int, password: str) -> str:
    """Return the address of database 0."""
    return f"redis://:{password}@{HOST}:{port}/0"


def configure(folder: Folder, port: int, password: str) -> None:
    """Write Valkey's configuration for this start."""
    folder.valkey.mkdir(mode=0o700, exist_ok=True)
    write(folder.valkey / "valkey.conf", _CONFIGURATION.format(host=HOST, port=port, password=password))


def start_server(folder: Folder, binaries: Binaries, run_as: RunAs, port: int, password: str) -> Server:
    """Start the server, configured before, without waiting until it is ready."""
    log_from = log_end(folder.valkey_log)
    # Valkey takes the name for a pattern, and where that matches nothing it runs without any of our settings.
    configuration = glob.escape(str(folder.valkey / "valkey.conf"))
    with telling_sentences(folder.path):
        child = start(
            NAME,
            [binaries.valkey, configuration],
            log=folder.valkey_log,
            env=server_environment(),
            cwd=folder.valkey,
            stop_signal=signal.SIGTERM,  # writes what is not yet on disk, then stops
            run_as=run_as,
            keep_open=[folder.servers_lock],
        )

    def ready() -> bool:
        """Whether the one who answers is ours and has read its data: while it reads, it answers with an error."""
        with redis.Redis(host=HOST, port=port, password=password, socket_timeout=_PING_TIMEOUT_S) as client:
            try:
                answer = client.info("server")
            except redis.RedisError:
                return False
        return isinstance(answer, dict) and answer["process_id"] == child.pid

    advice = (
        f"If its data are beyond repair, remove {folder.valkey}: what engage keeps in Valkey is made again"
        " from PostgreSQL."
    )
    return Server(child, port, folder.valkey_log, log_from, ready, advice)
