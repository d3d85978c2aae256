"""The lines of a file, plain or compressed by gzip: read in blocks, so that memory is flat in the file's size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from engage.base.errors import InvalidInput

BLOCK = 256 * 1024  # bytes read at once
LINE_MAX = 64 * 1024  # bytes of one line; an order takes about fifty
_GZIP = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_SHOWN = 200  # characters of a broken line that are shown


class Line(NamedTuple):
    """One line with its end, by number from 1; or, of one that is no text, what can be shown of it and why."""

    number: int
    text: str
    fault: str | None


class Lines:
    """The lines of one file, for a `with` block. `broken_off` tells, at the end, why the rest could not be read.

    Raises InvalidInput, when made or at the first line, if this is no file that can be read as text.
    """

    def __init__(self, path: Path) -> None:
        self.broken_off: str | None = None
        try:
            if not path.is_file():
                raise InvalidInput(f"There is no file {path}.", path=["path"])
            self._raw: BufferedReader = path.open("rb")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.", path=["path"]) from error
        try:
            self._stream = self._opened(path)
        except BaseException:
            self._raw.close()
            raise

    def _opened(self, path: Path) -> BufferedReader | gzip.GzipFile:
        start = self._raw.peek(4)
        if not start:
            raise InvalidInput(f"{path} is empty.", path=["path"])
        if start.startswith(_UTF16_BOMS):
            raise InvalidInput(f"{path} is text in UTF-16; save it as UTF-8.", path=["path"])
        if start.startswith(_GZIP):
            return gzip.GzipFile(fileobj=self._raw)
        if path.suffix == ".gz":
            raise InvalidInput(f"{path} is not compressed by gzip, as its name says; rename it.", path=["path"])
        return self._raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[Line]:
        for number, line in enumerate(self.whole(), 1):
            yield _decoded(number, line)

    def whole(self) -> Iterator[bytes]:
        """Lines in bytes, with their ends: LF, CR LF or CR. Of one that is too long the beginning, without an end."""
        rest, cut = b"", False
        for block in self._blocks():
            lines = (rest + block).splitlines(keepends=True)
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            for line in lines:
                if not cut:
                    yield line
                cut = False
            if len(rest) > LINE_MAX and not rest.endswith(b"\r"):
                if not cut:
                    yield rest
                rest, cut = b"", True
        if rest and not cut and self.broken_off is None:
            yield rest

    def _blocks(self) -> Iterator[bytes]:
        first = True
        while True:
            try:
                block = self._stream.read1(BLOCK)
            except (EOFError, zlib.error, OSError) as error:
                self.broken_off = f"the file is damaged or not whole ({error})"
                if first:
                    raise InvalidInput(f"Nothing can be read: {self.broken_off}.", path=["path"]) from error
                return
            if not block:
                return
            yield block.removeprefix(_UTF8_BOM) or b"\n" if first else block
            first = False


def _decoded(number: int, line: bytes) -> Line:
    if len(line) > LINE_MAX:
        shown = line[:_SHOWN].decode(errors="backslashreplace")
        return Line(number, shown, f"the line is longer than {LINE_MAX:,} bytes")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        shown = line.decode(errors="backslashreplace").rstrip("\r\n")
        return Line(number, shown, f"the line is not UTF-8 (byte {error.start + 1})")
    if "\0" in text:
        return Line(number, text.replace("\0", "\\0").rstrip("\r\n"), "the line holds a NUL byte")
    return Line(number, text, None)
