"""Reading a file of points takes as much memory for a long one as for a short one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from engage.domains.earning.bulk.rows import weigh_file
from engage.domains.earning.bulk.run import check_of
from engage.domains.earning.bulk.types import LAYOUT, BulkInstructions, BulkOperation, Weight
from engage.domains.earning.csvfiles.batches import Batches
from engage.domains.earning.csvfiles.columns import find_columns
from engage.domains.earning.csvfiles.lines import Lines
from engage.domains.earning.csvfiles.records import Records
from tests.earning.bulk import points

WANTED = BulkInstructions(program="default", operation=BulkOperation.ADJUST, key="memory")


def _weighed(file: Path, rows: int) -> None:
    assert weigh_file(file, WANTED) == Weight(rows, 5 * rows, 0)


def _checked(file: Path, rows: int) -> None:
    done = 0
    with Lines(file) as lines:
        records = Records(lines)
        columns = find_columns(records.header, LAYOUT, {})
        batches = Batches(records, columns, check_of(columns, WANTED, ZoneInfo("UTC")), size=1000, done=0)
        while (batch := batches.read()) is not None:
            assert not batch.rejected
            done += len(batch.checked)
    assert done == rows


@pytest.mark.parametrize("read", [_weighed, _checked])
def test_memory_is_flat_in_the_files_size(tmp_path: Path, read: Callable[[Path, int], None]) -> None:
    peaks = []
    for rows in (25_000, 75_000):
        file = points(tmp_path, *(f"r{row:08},{UUID(int=row)},5" for row in range(rows)))
        tracemalloc.start()
        try:
            read(file, rows)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
