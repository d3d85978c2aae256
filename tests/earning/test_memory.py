"""Reading a file takes as much memory for a long one as for a short one."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import deque
from pathlib import Path

import pytest

from engage.domains.earning.csvfiles.lines import BLOCK, Lines
from engage.domains.earning.csvfiles.records import Records
from tests.earning.till import HEADER


def _peak(file: Path) -> int:
    """Bytes of Python objects at the most while all rows are read."""
    tracemalloc.start()
    try:
        with Lines(file) as lines:
            deque(Records(lines), maxlen=0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz"])
def test_memory_is_flat_in_the_files_size(tmp_path: Path, name: str) -> None:
    peaks = []
    for rows in (25_000, 100_000):
        content = "\n".join([HEADER, *(f"M-{row:08},c{row:07},2024-05-01,1,12.50" for row in range(rows))]).encode()
        assert len(content) > 3 * BLOCK
        file = tmp_path / name
        file.write_bytes(gzip.compress(content, 1) if file.suffix == ".gz" else content)
        peaks.append(_peak(file))
    assert peaks[1] < 1.2 * peaks[0]


def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv.gz"
    with gzip.open(file, "wb", 1) as packed:
        packed.write(f"{HEADER}\n".encode())
        for _ in range(64):
            packed.write(b"x" * 1_000_000)
        packed.write(b"\n1,a,2024-05-01,1,1\n")
    with Lines(file) as lines:
        records = list(Records(lines))
    assert [record.line for record in records] == [2, 3]
    assert records[1].values == ["1", "a", "2024-05-01", "1", "1"]
    assert _peak(file) < 20 * BLOCK
