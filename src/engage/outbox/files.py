"""Files that jobs read or make, kept in the database so that any worker on any machine can go on with them.

A file is stored in parts, some in a statement, and read in the same way, so memory is flat in its size. It belongs to
nobody until a job has it (`attach`), and goes with that job; one that no job gets goes after a day.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import UUID

from engage.base import clock, db
from engage.base.errors import InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.outbox.faults import Hopeless
from engage.realtime.log import OUTAGES

PART_BYTES = 256 * 1024
PARTS_AT_ONCE = 4  # in one statement
NAME_LENGTH_MAX = 255
DISCARDED_AT_ONCE = 400  # parts in one statement: 100 MB

_BEGIN = "INSERT INTO job_files (id, name, created_at) VALUES ($1, $2, $3)"

_PUT = """
    INSERT INTO job_file_parts (id, file_id, number, content)
      SELECT v.id, $1, v.number, v.content FROM unnest($2::uuid[], $3::int[], $4::bytea[]) AS v (id, number, content)
"""

_CLOSE = "UPDATE job_files SET bytes = $2, sha256 = $3 WHERE id = $1"

_ATTACH = "UPDATE job_files SET job_id = $2 WHERE id = $1 AND job_id IS NULL AND sha256 IS NOT NULL"

_GET = "SELECT id, name, bytes, sha256 FROM job_files WHERE sha256 IS NOT NULL AND "

_READ = """
    SELECT content FROM job_file_parts WHERE file_id = $1 AND number >= $2 AND number < $3 ORDER BY number
"""

_DISCARD_PARTS = """
    DELETE FROM job_file_parts WHERE id = ANY (ARRAY(SELECT id FROM job_file_parts WHERE file_id = $1 LIMIT $2))
"""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is there as a whole. `sha256` is in hexadecimal digits."""

    id: UUID
    name: str
    bytes: int
    sha256: str


async def store(source: Path | AsyncIterable[bytes], name: str) -> StoredFile:
    """Put a file of this machine, or what comes in chunks of any size, into the database.

    Not inside a transaction: each statement is one of its own. What was stored is removed again when it fails.
    Raises InvalidInput for a file that cannot be read or has more bytes than the setting `file_bytes_max`.
    """
    name = name[-NAME_LENGTH_MAX:]
    if isinstance(source, Path):
        async with aclosing(_read_local(source, name)) as chunks:
            return await store(chunks, name)
    file_id = new_id()
    await db.execute(_BEGIN, file_id, name, clock.now())
    try:
        async with aclosing(_parts(source)) as parts:
            return await _store(file_id, name, parts)
    except BaseException:
        with suppress(*OUTAGES):  # then it goes after a day
            await discard(file_id)
        raise


async def _store(file_id: UUID, name: str, grouped: AsyncIterable[list[bytes]]) -> StoredFile:
    digest, size, number = hashlib.sha256(), 0, 0
    async for parts in grouped:
        for part in parts:
            digest.update(part)
            size += len(part)
        _check_size(name, size)
        numbers = list(range(number, number + len(parts)))
        await db.execute(_PUT, file_id, [new_id() for _ in parts], numbers, parts)
        number += len(parts)
    await db.execute(_CLOSE, file_id, size, digest.hexdigest())
    return StoredFile(file_id, name, size, digest.hexdigest())


def _check_size(name: str, size: int) -> None:
    most = settings().file_bytes_max
    if size > most:
        raise InvalidInput(f"{name} has more than {most:,} bytes (ENGAGE_FILE_BYTES_MAX); split it.", path=["file"])


async def attach(file_id: UUID, job_id: UUID) -> None:
    """Give a file to a job, in the transaction that asks for the job: from then on it goes with it.

    Raises NotFound when it is not there as a whole, or a job has it already.
    """
    if not db.rows_affected(await db.execute(_ATTACH, file_id, job_id)):
        raise NotFound("There is no such file that could be given to a job.", path=["file"])


async def discard(file_id: UUID) -> None:
    """Remove a file, some parts in a statement."""
    while db.rows_affected(await db.execute(_DISCARD_PARTS, file_id, DISCARDED_AT_ONCE)):
        pass
    await db.execute("DELETE FROM job_files WHERE id = $1", file_id)


async def get(file_id: UUID) -> StoredFile:
    """What is known of a file. Raises NotFound when it is not there as a whole."""
    row = await db.fetch_row(f"{_GET} id = $1", file_id)
    if row is None:
        raise NotFound("There is no such file.", path=["file"])
    return StoredFile(*row)


async def list_of(job_id: UUID) -> list[StoredFile]:
    """The files of a job, in the order in which they were stored."""
    return [StoredFile(*row) for row in await db.fetch(f"{_GET} job_id = $1 ORDER BY id", job_id)]


async def read(stored: StoredFile) -> AsyncGenerator[bytes]:
    """The content of a file, part by part. Raises Hopeless at the end when it is not what was stored."""
    digest, size, number = hashlib.sha256(), 0, 0
    while size < stored.bytes:
        found = await db.fetch(_READ, stored.id, number, number + PARTS_AT_ONCE)
        if not found:
            break
        for row in found:
            part: bytes = row["content"]
            digest.update(part)
            size += len(part)
            yield part
        number += len(found)
    if size != stored.bytes or digest.hexdigest() != stored.sha256:
        raise Hopeless("The stored file is damaged: it is not what was stored.")


@asynccontextmanager
async def local_copy(file_id: UUID) -> AsyncIterator[Path]:
    """The file as one of this machine, in its folder for temporary files, as long as the block lasts.

    Raises NotFound when it is not there, Hopeless when it is not what was stored.
    """
    stored = await get(file_id)
    with NamedTemporaryFile(prefix="engage-") as copy:
        async with aclosing(read(stored)) as parts:
            async for part in parts:
                await asyncio.to_thread(copy.write, part)
        await asyncio.to_thread(copy.flush)
        yield Path(copy.name)


async def _read_local(path: Path, name: str) -> AsyncGenerator[bytes]:
    """A file of this machine, in chunks; one that is too long is refused at once."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
        with file:
            _check_size(name, os.fstat(file.fileno()).st_size)
            while chunk := await asyncio.to_thread(file.read, PARTS_AT_ONCE * PART_BYTES):
                yield chunk
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", path=["path"]) from error


async def _parts(chunks: AsyncIterable[bytes]) -> AsyncGenerator[list[bytes]]:
    """Chunks of any size as whole parts, several at once; the last one may be shorter."""
    waiting, full = bytearray(), PARTS_AT_ONCE * PART_BYTES
    async for chunk in chunks:
        for first in range(0, len(chunk), full):
            waiting += chunk[first : first + full]
            if len(waiting) >= full:
                yield _cut(waiting[:full])
                del waiting[:full]
    if waiting:
        yield _cut(waiting)


def _cut(content: bytearray) -> list[bytes]:
    return [bytes(content[first : first + PART_BYTES]) for first in range(0, len(content), PART_BYTES)]
