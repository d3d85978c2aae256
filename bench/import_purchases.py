"""The import of purchases, against the same work written by hand as bare SQL in batches of 1,000 (the bar: 0.6).

Both take the same slices of the CDNOW file into databases of their own, so that the tables of both grow alike. The
reference has the server read the CSV (COPY), checks nothing and writes what engage writes (import_reference.sql).
"""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from bench.harness import ROUNDS, Environment, Row, alternate
from engage.base.actor import SYSTEM
from engage.base.settings import Settings
from engage.domains.earning.importing import Instructions, import_here
from engage.wiring import connected

NAME = "import_purchases"
BAR = 0.6

DATA = Path(__file__).parent.parent / "data" / "cdnow_purchases.csv.gz"
SQL = Path(__file__).parent / "import_reference.sql"
SLICE = 10_000  # orders in one round
BATCH = 1_000
SETTINGS = {"jit": "off", "timezone": "UTC", "random_page_cost": "1.1"}

TABLES = """
CREATE TEMP TABLE incoming (ord serial, order_no text, customer text, bought_at timestamptz, quantity int,
  amount numeric, purchase_id uuid DEFAULT gen_random_uuid()) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE people (customer text, known_id uuid, account_known uuid, new_id uuid DEFAULT gen_random_uuid(),
  account_new uuid DEFAULT gen_random_uuid()) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE postings (ord int, purchase_id uuid, transfer_id uuid, member_id uuid, account_id uuid,
  points bigint, bought_at timestamptz, version bigint, balance bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE happened (stream text, step int, ord int, name text, data jsonb) ON COMMIT DELETE ROWS;
"""


class Reference:
    """One connection that imports by hand into the program `default` of one database."""

    def __init__(self, connection: asyncpg.Connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql

    @classmethod
    async def open(cls, database_url: str) -> Reference:
        """Connect, and make the temporary tables."""
        connection = await asyncpg.connect(database_url, server_settings=SETTINGS)
        program = await connection.fetchval("SELECT id FROM programs WHERE code = 'default'")
        currency = await connection.fetchval("SELECT engage.ledger_open('default', now())")
        issued = await connection.fetchval("SELECT engage.ledger_house($1, 'ISSUED')", currency)
        await connection.execute(TABLES)
        sql = SQL.read_text()
        for name, value in (("program_id", program), ("currency", currency), ("issued", issued)):
            sql = sql.replace(f"{{{name}}}", str(value))
        return cls(connection, sql)

    async def take(self, lines: list[bytes]) -> float:
        """Import CSV lines; answers orders per second."""
        began = time.perf_counter()
        for first in range(0, len(lines), BATCH):
            async with self._connection.transaction():
                await self._connection.copy_to_table(
                    "incoming",
                    source=_chunks(lines[first : first + BATCH]),
                    columns=["order_no", "customer", "bought_at", "quantity", "amount"],
                    format="csv",
                )
                await self._connection.execute(self._sql)
        return len(lines) / (time.perf_counter() - began)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()


async def _chunks(lines: list[bytes]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    yield b"".join(lines)


async def measured(file: Path) -> float:
    """Orders per second of the importer for one file, into the program `default` of the connected database.

    From the command to its answer: storing the file and asking for the job count too.
    """
    began = time.perf_counter()
    summary = await import_here(SYSTEM, file, Instructions(program="default"))
    assert summary.orders_new == summary.rows > 0, summary
    return summary.rows / (time.perf_counter() - began)


def slices(count: int) -> tuple[bytes, list[list[bytes]]]:
    """The header of the CDNOW file, and its first orders in `count` slices."""
    with gzip.open(DATA) as file:
        header, *lines = file.readlines()
    assert len(lines) >= count * SLICE
    return header, [lines[number * SLICE : (number + 1) * SLICE] for number in range(count)]


async def run(environment: Environment) -> list[Row]:
    """One row: the importer beside the hand-written SQL."""
    header, parts = slices(ROUNDS + 1)
    ours_config, reference_config = await environment.settings(), await environment.settings()
    reference = await Reference.open(reference_config.database_url)
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder), header, parts)
        theirs = iter(parts)
        try:
            async with connected(ours_config, "engage-bench"):
                rounds = await alternate(lambda: measured(next(files)), lambda: reference.take(next(theirs)))
        finally:
            await reference.close()
    await same_totals(ours_config, reference_config)
    return [Row("import of purchases", "/s", *rounds, bar=BAR)]


def _written(folder: Path, header: bytes, parts: list[list[bytes]]) -> Iterator[Path]:
    for number, part in enumerate(parts):
        file = folder / f"{number}.csv"
        file.write_bytes(header + b"".join(part))
        yield file


async def same_totals(*configs: Settings) -> None:
    """Both have done the same work: as many rows of each kind, and the same figures."""
    found = []
    for config in configs:
        connection = await asyncpg.connect(config.database_url)
        found.append(
            await connection.fetchrow(
                "SELECT (SELECT (count(*), sum(amount), sum(points)) FROM purchases),"
                " (SELECT count(*) FROM members), (SELECT count(*) FROM identities),"
                " (SELECT (count(*), sum(amount)) FROM transfers), (SELECT count(*) FROM entries),"
                " (SELECT (count(*), sum(remaining)) FROM lots), (SELECT (count(*), sum(available)) FROM accounts),"
                " (SELECT (count(*), max(position)) FROM events), (SELECT sum(position) FROM stream_heads)"
            )
        )
        await connection.close()
    assert found[0] == found[1], found
