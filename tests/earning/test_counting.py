"""Rows are counted as they are read, whatever the file is."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.domains.earning.csvfiles.counting import Counted, count_rows
from engage.domains.earning.csvfiles.lines import LINE_MAX, Lines
from engage.domains.earning.csvfiles.records import Records
from tests.earning.till import HEADER

PIECES = [
    b"a",
    b",",
    b'"',
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\xff",
    "ä".encode(),
    b"1,a,2024-05-01,1,1\n",
]


def read(file: Path) -> int:
    with Lines(file) as lines:
        return sum(1 for _ in Records(lines))


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.booleans(), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_count_is_that_of_the_rows(tmp_path: Path, pieces: list[bytes], quotes: bool, marked: bool) -> None:  # noqa: FBT001
    body = b"".join(piece for piece in pieces if quotes or piece != b'"')
    file = tmp_path / "orders.csv"
    file.write_bytes(b"\xef\xbb\xbf" * marked + b"\n" * quotes + f"{HEADER}\n".encode() + body)
    assert count_rows(file) == Counted(read(file), None)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("quote", [b"", b'"'])
def test_long_lines_and_blocks(tmp_path: Path, end: bytes, quote: bytes) -> None:
    rows = [quote + b"x" * size + quote for size in (1, LINE_MAX, LINE_MAX + 1, 5 * LINE_MAX, 7)] * 20
    file = tmp_path / "orders.csv"
    file.write_bytes(end.join([HEADER.encode(), *rows]))
    assert count_rows(file) == Counted(read(file), None)


def test_a_file_that_breaks_off_is_counted_up_to_there(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join([HEADER, *(f"{row},a,2024-05-01,1,{row}" for row in range(20_000))]).encode())
    file = tmp_path / "orders.csv.gz"
    file.write_bytes(whole[: len(whole) // 2])
    counted = count_rows(file)
    assert counted.rows == read(file)
    assert 0 < counted.rows < 20_000
    assert counted.broken_off is not None
