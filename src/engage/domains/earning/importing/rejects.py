"""The file of rejected rows: the original columns, then line and reason. Corrected, it can be imported itself.

A row that could not be taken apart stands whole in the first column. Each batch's rows are written out before the
next batch, so that what is there after a crash can be used; the next import of the same file writes it anew.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from engage.base.errors import InvalidInput
from engage.domains.earning.importing.columns import LINE_COLUMN, REASON_COLUMN
from engage.domains.earning.importing.types import Rejected

_ENDS = f"{LINE_COLUMN},{REASON_COLUMN}"


def default_rejects_path(path: Path) -> Path:
    """`orders.rejected.csv` for `orders.csv` and `orders.csv.gz`, beside it."""
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    return path.with_name(f"{name}.rejected.csv")


class Rejects:
    """Rejected rows on their way to `path`, for a `with` block; there is no file when there are none.

    Raises InvalidInput when made, if something else lies at `path`, and later if it cannot be written.
    """

    def __init__(self, path: Path, header: list[str]) -> None:
        self.path = path
        self.count = 0
        self._kept = [place for place, name in enumerate(header) if name not in (LINE_COLUMN, REASON_COLUMN)]
        self._header = [header[place] for place in self._kept]
        self._file: TextIO | None = None
        self._remove_former()

    def _remove_former(self) -> None:
        """Remove the file that an earlier import of the same file left."""
        try:
            with self.path.open(encoding="utf-8", newline="") as former:
                if not former.readline().rstrip("\r\n").endswith(_ENDS):
                    raise InvalidInput(
                        f"{self.path} is there and is no file of rejected rows; move it or name another.",
                        path=["rejects"],
                    )
            self.path.unlink()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{self.path} is there and cannot be replaced.", path=["rejects"]) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, rejected: Iterable[Rejected]) -> None:
        """Write rows and have them on disk."""
        rows = [self._row(one) for one in rejected]
        if not rows:
            return
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", newline="")
                self._write(self._file, [[*self._header, LINE_COLUMN, REASON_COLUMN]])
            self._write(self._file, rows)
        except OSError as error:
            raise InvalidInput(
                f"Rejected rows cannot be written to {self.path} ({error.strerror}); name another place.",
                path=["rejects"],
            ) from error
        self.count += len(rows)

    def _write(self, file: TextIO, rows: list[list[str]]) -> None:
        csv.writer(file, lineterminator="\n").writerows(rows)
        file.flush()
        os.fsync(file.fileno())

    def _row(self, rejected: Rejected) -> list[str]:
        record = rejected.record
        if record.fault is not None:
            values = [record.values[0], *[""] * (len(self._header) - 1)]
        else:
            values = [record.values[place] for place in self._kept]
        return [*values, str(record.line), rejected.reason]
