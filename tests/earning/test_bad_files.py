"""Malformed files: refused whole before anything is written, or row by row with a reason."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from engage.base.errors import InvalidInput
from engage.domains.earning.csvfiles.lines import BLOCK, LINE_MAX
from tests.earning.till import HEADER, a_file, an_order, buy, everything, new_card, rejected, take, totals

GOOD = "G-1,good,2024-05-01,1,10.00"

REFUSED_WHOLE = {
    "empty": (b"", "is empty"),
    "only empty lines": (b"\n\n", "no line"),
    "only a mark": (b"\xef\xbb\xbf", "no line"),
    "UTF-16": (f"{HEADER}\n{GOOD}\n".encode("utf-16"), "UTF-16"),
    "UTF-16 without mark": (f"{HEADER}\n".encode("utf-16-le"), "NUL"),
    "Latin-1": ("Bestellung,Käufer\n".encode("latin-1"), "not UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not UTF-8"),
    "semicolons": (HEADER.replace(",", ";").encode(), "no column 'order_no'"),
    "no header": (f"{GOOD}\n".encode(), "no column 'order_no'"),
    "a column missing": (b"order_no,customer_id,date,quantity\n", "no column 'amount'"),
    "another case": (b"Order_No,customer_id,date,quantity,amount\n", "no column 'order_no'"),
    "a column twice": (f"{HEADER},amount\n".encode(), "'amount' twice"),
    "quotes in the header": (b'"order_no"x,customer_id\n', "quotes"),
    "a header that never ends": (b"x" * (2 * LINE_MAX), "longer than"),
    "a quote never closed": (b'"order_no,customer_id\n', "quotes"),
}


@pytest.mark.parametrize("name", REFUSED_WHOLE)
async def test_a_file_that_is_none_is_refused(program: str, tmp_path: Path, name: str) -> None:
    content, sentence = REFUSED_WHOLE[name]
    file = tmp_path / "orders.csv"
    file.write_bytes(content)
    before = await everything()
    with pytest.raises(InvalidInput, match=sentence):
        await take(program, file)
    assert await everything() == before
    assert not (tmp_path / "orders.rejected.csv").exists()


async def test_files_that_cannot_be_opened_are_refused(program: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        await take(program, tmp_path / "nowhere.csv")
    with pytest.raises(InvalidInput, match="no file"):
        await take(program, tmp_path)
    not_packed = a_file(tmp_path, GOOD, name="orders.csv.gz")
    with pytest.raises(InvalidInput, match="not compressed"):
        await take(program, not_packed)
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(b"\x1f\x8b\x08" + b"?" * 50)
    with pytest.raises(InvalidInput, match="damaged"):
        await take(program, damaged)


ROWS = [
    ("B-01,b,2024-05-01,1,-3.00", "amount: An amount lies from 0"),
    ("B-02,b,2024-05-01,1,3.00001", "at most four decimals"),
    ('B-03,b,2024-05-01,1,"1,234.50"', "amount: '1,234.50' is no amount; right would be 1234.50"),
    ("B-04,b,2024-05-01,1,$3", "is no amount"),
    ("B-05,b,2024-05-01,1,1e3", "is no amount"),
    ("B-06,b,2024-05-01,1,", "amount: Nothing is no amount"),
    ("B-07,b,2024-05-01,1,999999999999", "amount: An amount lies"),
    ("B-08,b,2024-05-01,1,NaN", "is no amount"),
    ("B-09,b,2999-01-01,1,1", "date: A purchase cannot lie in the future"),
    ("B-10,b,1969-01-01,1,1", "date: A purchase lies in 1970"),
    ("B-11,b,2024-02-30,1,1", "date: '2024-02-30' is no date"),
    ("B-12,b,01.05.2024,1,1", "is no date"),
    ("B-13,b,05/01/2024,1,1", "is no date"),
    ("B-14,b,0001-01-01T00:00+23:00,1,1", "is no date"),
    ("B-15,b,,1,1", "date: Nothing is no date"),
    ("B-16,b,2024-05-01,1.5,1", "quantity: '1.5' is no quantity"),
    ("B-17,b,2024-05-01,-1,1", "quantity: A quantity lies from 0"),
    (",b,2024-05-01,1,1", "order_no: This has 1 to 64"),
    (f"{'x' * 65},b,2024-05-01,1,1", "order_no: This has 1 to 64"),
    ("B-20,,2024-05-01,1,1", "customer_id: An identifier has 1 to 200"),
    (f"B-21,{'x' * 201},2024-05-01,1,1", "customer_id: An identifier has 1 to 200"),
    ("B-22,b,2024-05-01,1", "there are 4 values where the header has 5"),
    ("B-23,b,2024-05-01,1,1,234.50", "there are 6 values where the header has 5"),
    ('B-24,"b"x,2024-05-01,1,1', "quotes"),
    ("B-25", "there is 1 value where"),
    ("B-26,b\x00,2024-05-01,1,1", "NUL"),
    ("B-27,b\x1b,2024-05-01,1,1", "no control characters"),
    (f"B-28,{'x' * 70_000},2024-05-01,1,1", "longer than 65,536 bytes"),
    (",,,,", "Nothing is no amount"),
]


async def test_bad_rows_are_rejected_with_line_and_reason(program: str, tmp_path: Path) -> None:
    good = [f"G-{number},good,2024-05-01,1,10.00" for number in range(len(ROWS))]
    file = a_file(tmp_path, *(line for one, (bad, _) in zip(good, ROWS, strict=True) for line in (one, bad)))
    done = await take(program, file, batch_size=7)
    assert (done.rows, done.orders_new, done.rejected) == (2 * len(ROWS), len(ROWS), len(ROWS))
    found = rejected(done)
    assert [line for line, _ in found] == list(range(3, 3 + 2 * len(ROWS), 2))
    for (_, reason), (row, expected) in zip(found, ROWS, strict=True):
        assert expected in reason, (row, reason)
    bought, points = await totals(program)
    assert (bought.purchases, points.issued) == (len(ROWS), 10 * len(ROWS))


async def test_unknown_codes_are_rejected_by_row(program: str, tmp_path: Path) -> None:
    file = a_file(
        tmp_path,
        "1,c,2024-05-01,1,1,nowhere,,",
        "2,c,2024-05-01,1,1,,EUR,",
        "3,c,2024-05-01,1,1,,,nowhere",
        "4,c,2024-05-01,1,1,web,USD,",
        header=f"{HEADER},channel,currency,store",
    )
    done = await take(program, file)
    assert done.orders_new == 1
    assert [reason.partition(":")[0] for _, reason in rejected(done)] == ["channel", "currency", "store"]


async def test_numbers_with_other_content_are_rejected(program: str, tmp_path: Path) -> None:
    card = new_card()
    await buy(program, card, an_order("D-1", channel="web"))
    file = a_file(
        tmp_path,
        "D-1,someone,2024-05-01,1,1",
        "D-2,someone,2024-05-01,1,1",
        "D-2,someone,2024-05-01,1,1",
        "D-2,someone,2024-05-01,1,2",
    )
    done = await take(program, file)
    assert (done.orders_new, done.orders_known, done.rejected) == (1, 1, 2)
    assert [(line, reason.partition(" is on file")[0]) for line, reason in rejected(done)] == [
        (2, "order_no: Order 'D-1' of channel 'web'"),
        (5, "order_no: Order 'D-2' of channel 'web'"),
    ]


async def test_an_open_quote_takes_no_other_row_with_it(program: str, tmp_path: Path) -> None:
    rows = [f"Q-{number},quoted,2024-05-01,1,1" for number in range(200)]
    rows[3] = 'Q-3,"quoted,2024-05-01,1,1'  # closed by the quote of row 90: too far
    rows[90] = 'Q-90,"quoted",2024-05-01,1,1'
    rows[100] = 'Q-100,"quoted,2024-05-01,1,1'  # closed by the quote of row 102: leaves a row that is none
    rows[102] = 'Q-102,"quoted",2024-05-01,1,1'
    rows[198] = 'Q-198,"quoted,2024-05-01,1,1'  # closed by none
    done = await take(program, a_file(tmp_path, *rows))
    assert (done.orders_new, [line for line, _ in rejected(done)]) == (197, [5, 102, 200])


async def test_bytes_that_are_no_text_cost_their_row_alone(program: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(
        f"{HEADER}\nL-1,k,2024-05-01,1,1\n".encode()
        + "L-2,käufer,2024-05-01,1,1\n".encode("latin-1")
        + b'L-3,"k,2024-05-01,1,1\n'
        + "L-4,käufer,2024-05-01,1,1\n".encode("latin-1")
        + "L-5,käufer,2024-05-01,1,1\n".encode()
    )
    done = await take(program, file)
    assert done.orders_new == 2
    reasons = rejected(done)
    assert [line for line, _ in reasons] == [3, 4, 5]
    assert "not UTF-8 (byte 6)" in reasons[0][1]
    assert "quote" in reasons[1][1]


async def test_lines_across_blocks_are_whole(program: str, tmp_path: Path) -> None:
    """Remarks of many lengths put the ends of blocks at every place of a row, between CR and LF too."""
    count = 5 * BLOCK // 1000
    rows = [f"X-{number},blocks,2024-05-01,1,1,{'r' * (900 + number % 7)}" for number in range(count)]
    file = tmp_path / "orders.csv"
    file.write_bytes("\r\n".join([f"{HEADER},remark", *rows]).encode())
    done = await take(program, file)
    assert (done.orders_new, done.rejected) == (count, 0)


async def test_a_file_that_breaks_off_is_imported_up_to_there(program: str, tmp_path: Path) -> None:
    rows = [f"Z-{number},z{number % 900},2024-05-01,1,{number}.00" for number in range(12_000)]
    whole = gzip.compress("\n".join([HEADER, *rows]).encode(), mtime=0)
    file = tmp_path / "orders.csv.gz"
    file.write_bytes(whole[: len(whole) // 4])
    done = await take(program, file)
    assert done.broken_off is not None
    assert "not whole" in done.broken_off
    assert 0 < done.orders_new < len(rows)
    assert done.rejected == 0
    amounts = (await totals(program))[0].spend
    assert amounts == sum(range(done.orders_new))


async def test_rejected_rows_can_be_corrected_and_imported(program: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, "1,fix,2024-05-01,1,10,a", "2,fix,2024-05-01,1,bad,b", "3,fix", header=f"{HEADER},remark")
    first = await take(program, file)
    rejects = tmp_path / "orders.rejected.csv"
    assert first.rejects_path == rejects
    with rejects.open(newline="") as lines:
        header, second, third = csv.reader(lines)
    assert header == [*HEADER.split(","), "remark", "rejected_line", "rejected_reason"]
    assert second[:7] == ["2", "fix", "2024-05-01", "1", "bad", "b", "3"]
    assert third == ["3,fix", "", "", "", "", "", "4", "there are 2 values where the header has 6"]

    rejects.write_text(rejects.read_text().replace("bad", "20"))
    again = await take(program, rejects)
    assert (again.orders_new, again.rejected, again.points_issued) == (1, 1, 20)
    assert again.rejects_path == tmp_path / "orders.rejected.rejected.csv"
    with again.rejects_path.open(newline="") as lines:
        assert next(csv.reader(lines)) == header

    file.write_text(file.read_text().replace("bad", "20").replace("3,fix\n", ""))
    last = await take(program, file)
    assert (last.orders_known, last.rejected) == (2, 0)
    assert not rejects.exists()


async def test_no_other_file_is_replaced_by_rejected_rows(program: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, "1,own,2024-05-01,1,bad")
    precious = a_file(tmp_path, "precious", name="orders.rejected.csv")
    before = await everything()
    for path in (None, file, precious, tmp_path):
        with pytest.raises(InvalidInput, match="is there and"):
            await take(program, file, rejects_path=path)
    with pytest.raises(InvalidInput, match="cannot be written"):
        await take(program, file, rejects_path=tmp_path / "nowhere" / "rejects.csv")
    assert await everything() == before
    assert "precious" in precious.read_text()


async def test_rejected_rows_never_replace_the_file_that_is_imported(program: str, tmp_path: Path) -> None:
    header = f"{HEADER},rejected_line,rejected_reason"
    file = a_file(tmp_path, "1,own,2024-05-01,1,bad,2,bad", header=header)
    with pytest.raises(InvalidInput, match="is there and"):
        await take(program, file, rejects_path=file)
    assert file.exists()


async def test_rejected_rows_stay_until_another_import_has_begun(program: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, "1,own,2024-05-01,1,bad")
    rejects = (await take(program, file)).rejects_path
    with pytest.raises(InvalidInput):
        await take(program, file, mapping={"amount": "Total"})
    assert rejects is not None
    assert rejects.exists()
