"""A disk that is really full: a small file system in memory, which is gone with the process that sees it."""

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import FAST, HoldFunction


def on_a_disk_of(size: str, place: Path, then: str = "") -> list[str]:
    """What starts a program for which `place` is a file system of `size`, with `then` run in it before."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = f'mount -t tmpfs -o size={size} none "$0" && {{ {then or ":"}; }} && exec "$@"'
    return ["unshare", *as_root, "--mount", "--propagation", "private", "sh", "-c", script, str(place)]


def need(place: Path) -> None:
    try:
        trial = subprocess.run([*on_a_disk_of("1m", place), "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this machine has no unshare")
    if trial.returncode != 0:
        pytest.skip(f"this machine lets us mount nothing: {trial.stderr.strip()}")


@pytest.mark.parametrize("size", ["100k", "8m", "25m"], ids=["Valkey's part", "tables", "write-ahead log"])
def test_a_disk_too_small_for_the_first_start(tmp_path: Path, hold: HoldFunction, size: str) -> None:
    need(tmp_path)
    answer = hold(tmp_path / "data", before=on_a_disk_of(size, tmp_path)).says()
    assert answer["error"] == "DiskFull", answer["text"]
    assert f"No space is left for the data folder {tmp_path / 'data'} (" in answer["text"]
    assert "bytes are free). Free some space" in answer["text"]


def test_a_disk_that_filled_up_since(made_dir: Path, tmp_path: Path, hold: HoldFunction) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    need(place)
    fill = f'cp -a {made_dir} "$0/data" && {{ cat /dev/zero > "$0/filler" 2>/dev/null || :; }}'
    answer = hold(place / "data", before=on_a_disk_of("150m", place, fill), settings=FAST).says()
    assert answer["error"] == "DiskFull", answer["text"]
    assert "(0 bytes are free)" in answer["text"]
