"""The rows of a CSV file (RFC 4180), each with its line number; a broken one does not take others with it.

A quote that is opened by mistake would swallow the rows after it up to the next quote. So when a row over several
lines turns out to be broken, its first line alone is the broken row, and reading goes on with the second.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator

from engage.base.errors import InvalidInput
from engage.domains.earning.csvfiles.lines import Line
from engage.domains.earning.csvfiles.types import Record

ROW_LINES_MAX = 50  # lines of one row, in quotes
_SHOWN = 200  # characters of a header that are shown


class _Broken(Exception):  # noqa: N818 -- a note to the reader below
    """The row that is being read cannot be one."""


class _Texts:
    """What the CSV reader draws lines from: remembers those of the present row, and can have some drawn again.

    No generator, since it goes on after an error.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self.taken: list[Line] = []
        self._lines = iter(lines)
        self._again: deque[Line] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        if len(self.taken) > 1 and (line.fault is not None or len(self.taken) > ROW_LINES_MAX):
            raise _Broken("a quote is opened and not closed")
        if line.fault is not None:
            raise _Broken(line.fault)
        return line.text

    def leave_first(self) -> Line:
        """The first line of the present row; the others will be drawn again."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        return first


class Records:
    """The rows after the header; `header` holds the names of the columns.

    Raises InvalidInput when made, if the file does not begin with a header that can be read.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._texts = _Texts(lines)
        self._reader = csv.reader(self._texts, strict=True)
        self.header = self._read_header()

    def _read_header(self) -> list[str]:
        record = self._next()
        while record is not None and not record.values:
            record = self._next()
        if record is None:
            raise InvalidInput("The file holds no line.", path=["path"])
        if record.fault is not None:
            raise InvalidInput(
                f"This is no CSV file in UTF-8: {record.fault}; line {record.line} is {record.values[0][:_SHOWN]!r}.",
                path=["path"],
            )
        return [name.strip() for name in record.values]

    def __iter__(self) -> Iterator[Record]:
        width = len(self.header)
        while (record := self._next()) is not None:
            count = len(record.values)
            if record.fault is not None or count == width:
                yield record
            elif count:
                values = "is 1 value" if count == 1 else f"are {count} values"
                yield self._broken(f"there {values} where the header has {width}")

    def _next(self) -> Record | None:
        """The next row, one without values for an empty line, or None at the end."""
        self._texts.taken = []
        try:
            values = next(self._reader)
        except StopIteration:
            return None
        except _Broken as broken:
            return self._broken(str(broken))
        except csv.Error as error:
            return self._broken(f"its quotes are wrong ({error})")
        return Record(self._texts.taken[0].number, values)

    def _broken(self, fault: str) -> Record:
        """The first line of what was taken, whole, as a broken row."""
        first = self._texts.leave_first()
        return Record(first.number, [first.text.rstrip("\r\n")], fault)
