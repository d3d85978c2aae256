"""How many rows a file has, found out before the import so that it can be told how far that is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from engage.domains.earning.csvfiles.lines import Lines
from engage.domains.earning.csvfiles.records import Records

_EMPTY = frozenset({b"\n", b"\r\n", b"\r"})


class Counted(NamedTuple):
    """The rows of a file after its header, and why its end could not be read."""

    rows: int
    broken_off: str | None


def count_rows(path: Path) -> Counted:
    """Count exactly what an import will read. Without quotes a row is a line, which is counted ten times as fast.

    Raises InvalidInput for a file that cannot be read.
    """
    with Lines(path) as lines:
        count = -1  # the header is no row
        for line in lines.whole():
            if b'"' in line:
                break
            count += line not in _EMPTY
        else:
            return Counted(count, lines.broken_off)
    with Lines(path) as lines:
        return Counted(sum(1 for _ in Records(lines)), lines.broken_off)
