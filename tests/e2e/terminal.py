"""A command on a terminal, as somebody sits before it, and the wire to its database, which can be cut."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tests.e2e.programs import DEADLINE_S, ENGAGE, environment, until

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs a command of engage on a terminal of 120 columns and 40 lines, at most until the block ends."""

    def __init__(self, *words: str, **settings: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*ENGAGE, *words],
            env=environment(**settings) | {"COLUMNS": "120", "LINES": "40", "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.said = ""
        """What it has written since the words that were waited for last, without colours."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def wait_for(self, words: str) -> None:
        """Until it has written these words, after those that were waited for before."""
        until(lambda: words in self._read(), f"{words!r} on the terminal")
        self.said = self.said.partition(words)[2]

    async def sees(self, words: str) -> None:
        """The same, for tests that have a loop."""
        await asyncio.to_thread(self.wait_for, words)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """The exit code, when it has ended."""
        until(lambda: self._read() is not None and self.process.poll() is not None, "the end of the command")
        return self.process.wait(DEADLINE_S)

    def _read(self) -> str:
        while select.select([self._master], [], [], 0)[0]:
            try:
                read = os.read(self._master, 65536)
            except OSError:  # it has ended
                break
            self.said = _CONTROL.sub("", self.said + read.decode(errors="replace"))
        return self.said


class Wire:
    """A way to the database that can be cut and mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (str(parts.hostname), int(parts.port or 5432))
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
        self._whole = True
        self._near: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """End all connections, and those that come."""
        self._whole = False
        for near in list(self._near):
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole = True

    def _accept(self) -> None:
        with self._listening, suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._whole:
                    self._threads.append(threading.Thread(target=self._carry, args=(near,)))
                    self._threads[-1].start()
                else:
                    near.close()

    def _carry(self, near: socket.socket) -> None:
        self._near.add(near)
        with near, socket.create_connection(self._to) as far, suppress(OSError):
            while True:
                for one in select.select([near, far], [], [])[0]:
                    read = one.recv(65536)
                    if not read:
                        return
                    (far if one is near else near).sendall(read)
