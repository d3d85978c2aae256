from __future__ import annotations

import hashlib
import random
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.errors import InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.settings import Settings, settings
from engage.outbox import Hopeless, files
from engage.outbox.files import PART_BYTES, PARTS_AT_ONCE, StoredFile
from engage.outbox.jobs import KEEP_ORPHANED, prune

GROUP = PART_BYTES * PARTS_AT_ONCE

pytestmark = pytest.mark.usefixtures("connected")


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 -- any bytes


async def in_chunks(content: bytes, size: int) -> AsyncIterator[bytes]:
    for first in range(0, len(content), size):
        yield content[first : first + size]


async def content_of(stored: StoredFile) -> bytes:
    async with files.local_copy(stored.id) as copy:
        return copy.read_bytes()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def parts() -> int:
    return int(await db.fetch_value("SELECT count(*) FROM job_file_parts"))


@pytest.fixture
async def nothing(connected: Settings) -> None:  # noqa: ARG001 -- connected first
    await db.execute("TRUNCATE job_files, job_file_parts, outbox, job_runs")


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, GROUP, 2 * GROUP + 1])
async def test_what_is_stored_comes_out_again(tmp_path: Path, size: int) -> None:
    content = some_bytes(size)
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    stored = await files.store(file, file.name)
    assert (stored.name, stored.bytes, stored.sha256) == ("rows.csv", size, hashlib.sha256(content).hexdigest())
    assert await files.get(stored.id) == stored
    assert await content_of(stored) == content


@pytest.mark.parametrize("chunk", [1000, PART_BYTES, 3 * GROUP])
async def test_chunks_of_any_size_are_stored_in_whole_parts(chunk: int) -> None:
    content = some_bytes(GROUP + PART_BYTES // 2)
    before = await parts()
    stored = await files.store(in_chunks(content, chunk), "upload")
    assert await parts() == before + PARTS_AT_ONCE + 1
    assert b"".join([part async for part in files.read(stored)]) == content


async def test_the_local_copy_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = await files.store(in_chunks(b"content", 3), "small")
    async with files.local_copy(stored.id) as copy:
        assert names(tmp_path) == [copy.name]
        assert copy.stat().st_mode & 0o077 == 0, "others may not read it"
    with pytest.raises(RuntimeError):
        await _fail_with_copy(stored)
    assert names(tmp_path) == []


async def test_memory_is_flat_in_the_files_size(tmp_path: Path) -> None:
    peaks = []
    for groups in (3, 12):
        file = tmp_path / "big"
        file.write_bytes(some_bytes(groups * GROUP))
        tracemalloc.start()
        try:
            stored = await files.store(file, file.name)
            async with files.local_copy(stored.id):
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.usefixtures("nothing")
async def test_files_that_are_too_long_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_FILE_BYTES_MAX", str(GROUP + 100))
    settings.cache_clear()
    try:
        file = tmp_path / "long.csv"
        file.write_bytes(bytes(GROUP + 101))
        for source in (file, in_chunks(bytes(3 * GROUP), GROUP)):
            with pytest.raises(
                InvalidInput, match=r"long.csv has more than 1,048,676 bytes \(ENGAGE_FILE_BYTES_MAX\)"
            ):
                await files.store(source, file.name)
        assert (await parts(), await db.fetch_value("SELECT count(*) FROM job_files")) == (0, 0)
        file.write_bytes(bytes(GROUP + 100))
        assert (await files.store(file, file.name)).bytes == GROUP + 100
    finally:
        monkeypatch.undo()
        settings.cache_clear()


@pytest.mark.usefixtures("nothing")
async def test_a_source_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2 * GROUP)
        raise RuntimeError("the sender hung up")

    with pytest.raises(RuntimeError, match="hung up"):
        await files.store(broken(), "upload")
    with pytest.raises(InvalidInput, match="cannot be read"):
        await files.store(tmp_path / "nowhere", "nowhere")
    assert (await parts(), await db.fetch_value("SELECT count(*) FROM job_files")) == (0, 0)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM job_file_parts WHERE number = 1 AND file_id = $1",
        "UPDATE job_file_parts SET content = content || 'x' WHERE number = 1 AND file_id = $1",
        "UPDATE job_file_parts SET content = substr(content, 1, 9) || 'x' || substr(content, 11) WHERE file_id = $1",
    ],
)
async def test_a_damaged_file_is_not_worked_with(damage: str) -> None:
    stored = await files.store(in_chunks(some_bytes(2 * PART_BYTES), PART_BYTES), "damaged")
    await db.execute(damage, stored.id)
    with pytest.raises(Hopeless, match="damaged"):
        await content_of(stored)


async def test_a_file_is_given_to_one_job_with_the_transaction() -> None:
    stored = await files.store(in_chunks(b"content", 7), "mine")
    job, other = new_id(), new_id()
    with pytest.raises(RuntimeError):
        await _attach_in_vain(stored, other)
    assert await files.list_of(other) == []
    await files.attach(stored.id, job)
    assert await files.list_of(job) == [stored]
    for file_id in (stored.id, new_id()):
        with pytest.raises(NotFound):
            await files.attach(file_id, other)


async def test_a_file_that_is_being_written_is_not_there_yet() -> None:
    async def watched() -> AsyncIterator[bytes]:
        yield bytes(2 * GROUP)
        [row] = await db.fetch("SELECT id FROM job_files WHERE name = 'coming'")
        for call in (files.get(row["id"]), files.attach(row["id"], new_id())):
            with pytest.raises(NotFound):
                await call

    assert (await files.store(watched(), "coming")).bytes == 2 * GROUP


@pytest.mark.usefixtures("nothing")
async def test_what_no_job_got_goes_after_a_day() -> None:
    kept, left = [await files.store(in_chunks(bytes(GROUP), GROUP), "file") for _ in range(2)]
    await files.attach(kept.id, new_id())
    with clock.frozen(clock.now() + KEEP_ORPHANED - timedelta(hours=1)):
        await prune()
    assert await files.get(left.id) == left
    with clock.frozen(clock.now() + KEEP_ORPHANED + timedelta(hours=1)):
        await prune()
    with pytest.raises(NotFound):
        await files.get(left.id)
    assert await files.get(kept.id) == kept
    assert await parts() == PARTS_AT_ONCE
    await files.discard(kept.id)
    assert await parts() == 0


async def test_long_names_keep_their_end() -> None:
    stored = await files.store(in_chunks(b"x", 1), "x" * 300 + ".csv")
    assert (len(stored.name), stored.name[-5:]) == (255, "x.csv")


async def _fail_with_copy(stored: StoredFile) -> None:
    async with files.local_copy(stored.id):
        raise RuntimeError


async def _attach_in_vain(stored: StoredFile, job_id: UUID) -> None:
    async with db.transaction():
        await files.attach(stored.id, job_id)
        raise RuntimeError
