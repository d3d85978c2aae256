"""`engage import purchases` as people type it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from engage.base.settings import Settings
from engage.cli.importing import app
from tests.earning.commands import command, ended, figures
from tests.earning.till import a_file


async def _run(config: Settings, program: str, file: Path) -> tuple[int, str, str]:
    return await ended(command(config, "import", "purchases", str(file), "--program", program))


async def test_summary_rejects_and_exit_codes(channels: Settings, program: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, "1,cli,2024-05-01,1,1000.50", "2,cli,2024-05-02,1,9.99", "3,cli,2024-05-03,1,bad")
    code, output, errors = await _run(channels, program, file)
    assert code == 2
    found = figures(output)
    assert found.pop("seconds")
    assert found.pop("rows per second")
    assert found == {
        "Import into program": program,
        "orders new": "2",
        "orders already there": "0",
        "rows rejected": "1",
        "members new": "1",
        "spend, USD": "1,010.49",
        "points issued": "1,009",
        "points expired at once": "0",
    }
    assert "orders.rejected.csv" in errors

    (tmp_path / "orders.rejected.csv").write_text(
        (tmp_path / "orders.rejected.csv").read_text().replace("bad", "3.00")
    )
    code, output, errors = await _run(channels, program, tmp_path / "orders.rejected.csv")
    assert (code, figures(output)["orders new"], errors) == (0, "1", "")
    code, output, errors = await _run(channels, program, tmp_path / "orders.rejected.csv")
    assert (code, figures(output)["orders already there"]) == (0, "1")
    assert "Nothing was new" in output


async def test_refusals_are_sentences(channels: Settings, program: str, tmp_path: Path) -> None:
    code, output, errors = await _run(channels, program, tmp_path / "nowhere.csv")
    assert (code, output) == (1, "")
    assert "There is no file" in errors
    assert "Traceback" not in errors


def test_mapping_is_checked_before_anything_is_done(tmp_path: Path) -> None:
    file = a_file(tmp_path, "1,a,2024-05-01,1,1")
    for pair in ("OrderID", "order_no=A --map order_no=B"):
        result = CliRunner().invoke(app, ["purchases", str(file), *f"--map {pair}".split()])
        assert result.exit_code != 0


def test_help_tells_a_stranger_what_to_do() -> None:
    result = CliRunner().invoke(app, ["purchases", "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    for word in ("order_no", "--map", "--program", "--identity-channel", "rejected", "started again", "--background"):
        assert word in result.output
