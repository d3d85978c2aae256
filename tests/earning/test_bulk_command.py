"""`engage import points` as people type it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from engage.base.actor import SYSTEM
from engage.base.paging import Window
from engage.base.settings import Settings
from engage.cli.importing import app
from engage.domains.earning.bulk.queries import list_waiting
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from tests.earning.bulk import available, new_members, points
from tests.earning.commands import command, ended, figures


async def _run(config: Settings, program: str, file: Path, *words: str) -> tuple[int, str, str]:
    return await ended(command(config, "import", "points", str(file), "--program", program, *words))


async def test_summary_rejects_and_exit_codes(channels: Settings, program: str, tmp_path: Path) -> None:
    one, two = await new_members(2)
    file = points(tmp_path, f"1,{one},1000", f"2,{two},20", f"3,{two},bad")
    code, output, errors = await _run(channels, program, file, "--operation", "earn")
    assert code == 2
    found = figures(output)
    assert found.pop("seconds")
    assert found.pop("rows per second")
    assert found == {
        "Points into": program,
        "rows new": "2",
        "rows already there": "0",
        "rows rejected": "1",
        "points added": "1,020",
        "points removed": "0",
    }
    assert "points.rejected.csv" in errors

    rejects = tmp_path / "points.rejected.csv"
    rejects.write_text(rejects.read_text().replace(",bad", ",3"))
    code, output, errors = await _run(channels, program, rejects, "--operation", "earn")
    assert (code, figures(output)["rows new"], errors) == (0, "1", "")
    code, output, errors = await _run(channels, program, rejects, "--operation", "earn")
    assert (code, figures(output)["rows already there"]) == (0, "1")
    assert "Nothing was new" in output
    assert await available([one, two], program) == [1000, 23]


async def test_corrections_with_other_columns(channels: Settings, program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    file = points(tmp_path, f"{member},1,30", f"{member},2,-10", header="who,no,how many")
    words = ("--operation", "adjust", "--map", "member=who", "--map", "row_key=no", "--map", "amount=how many")
    code, output, errors = await _run(channels, program, file, *words)
    assert (code, errors) == (0, "")
    assert (figures(output)["points added"], figures(output)["points removed"]) == ("30", "10")
    assert await available([member], program) == [20]


async def test_a_large_correction_waits(channels: Settings, program: str, tmp_path: Path) -> None:
    terms = PolicyTerms(expiry_kind=ExpiryKind.NEVER, adjust_alone_max=5)
    await publish_points_policy(SYSTEM, program=program, policy=terms, idempotency_key="1")
    [member] = await new_members(1)
    file = points(tmp_path, f"1,{member},6")
    code, output, errors = await _run(channels, program, file, "--operation", "adjust")
    assert (code, errors) == (0, "")
    assert "waits until somebody else has approved it" in " ".join(output.split())
    [row] = (await list_waiting(SYSTEM, program, Window(2))).rows
    assert str(row.job_id) in output
    assert await available([member], program) == [0]


async def test_refusals_are_sentences(channels: Settings, program: str, tmp_path: Path) -> None:
    code, output, errors = await _run(channels, program, tmp_path / "nowhere.csv", "--operation", "earn")
    assert (code, output) == (1, "")
    assert "There is no file" in errors
    assert "Traceback" not in errors


def test_help_tells_a_stranger_what_to_do() -> None:
    result = CliRunner().invoke(app, ["points", "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    for word in ("row_key", "--operation", "--key", "--program", "--identity-channel", "rejected", "approved"):
        assert word in result.output
