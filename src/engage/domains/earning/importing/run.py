"""The import itself: batch after batch, each in one transaction, while the next one is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import asyncpg

from engage.base.actor import STAFF_ROLES, Actor, require
from engage.base.errors import InvalidInput, Refusal, Unavailable
from engage.domains.earning import queries, rules, service
from engage.domains.earning.importing.batches import Batch, Batches
from engage.domains.earning.importing.columns import find_columns
from engage.domains.earning.importing.lines import Lines
from engage.domains.earning.importing.records import Records
from engage.domains.earning.importing.rejects import Rejects, default_rejects_path
from engage.domains.earning.importing.rows import Defaults
from engage.domains.earning.importing.types import ImportSummary, Progress, Report
from engage.domains.earning.types import BatchReport, Desk
from engage.domains.purchases.errors import UnknownCurrency, UnknownStore

T = TypeVar("T")

PATIENCE_S = 60.0  # how long a database that is away is waited for
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 5.0  # between two tries

OUTAGES = (
    OSError,
    Unavailable,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last word came just as a statement was to be sent
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
)
"""What a batch meets while the database restarts, is full up, or is held by others: it can be repeated as it is."""


async def import_purchases(
    actor: Actor,
    path: Path,
    *,
    program: str,
    mapping: Mapping[str, str] | None = None,
    identity_channel: str = "card",
    default_channel: str = "web",
    default_currency: str | None = None,
    default_store: str | None = None,
    batch_size: int = service.BATCH_MAX,
    rejects_path: Path | None = None,
    progress: Report | None = None,
) -> ImportSummary:
    """Put the orders of a CSV file on file and give their points, a batch a transaction, in the order of the file.

    The order number is the key: what is on file is left as it is, so an import can be repeated after anything.
    `mapping` names columns by field where the header calls them otherwise ("" for one that is missing). Rows that are
    refused go to `rejects_path` with the reason. Stores, channels and the zone are those at the start.
    Raises Forbidden, NotFound, InvalidInput, UnknownChannel, UnknownCurrency, UnknownStore before anything is
    written, for what concerns the whole file; Unavailable when the database is away for more than a minute.
    """
    require(actor, STAFF_ROLES)
    desk = await _patiently(lambda: queries.load_desk(program), lambda: None)
    defaults = Defaults(identity_channel, default_channel, default_currency, default_store)
    _check_defaults(defaults, desk)
    if not 1 <= batch_size <= service.BATCH_MAX:
        raise InvalidInput(f"A batch has 1 to {service.BATCH_MAX} orders.", path=["batchSize"])
    rejects_path = rejects_path or default_rejects_path(path)
    with Lines(path) as lines:
        records = Records(lines)
        columns = find_columns(records.header, mapping or {})
        batches = Batches(records, columns, desk, defaults, batch_size, lambda: lines.bytes_read)
        with Rejects(rejects_path, records.header) as rejects:
            run = _Run(actor, desk, batches, rejects, lines.bytes_total, progress)
            await run.all()
        return run.tally.summary(desk.program.money_currency, run.seconds, rejects, lines.broken_off)


def _check_defaults(defaults: Defaults, desk: Desk) -> None:
    rules.check_channel(defaults.identity_channel, desk.channels, path=["identityChannel"])
    rules.check_channel(defaults.channel, desk.channels, path=["channel"])
    program = desk.program
    if defaults.currency not in (None, program.money_currency):
        raise UnknownCurrency(
            f"Program {program.code!r} takes {program.money_currency}, not {defaults.currency!r}.",
            path=["currency"],
            known=[program.money_currency],
        )
    if defaults.store is not None and defaults.store not in desk.stores:
        raise UnknownStore(f"Program {program.code!r} has no store {defaults.store!r}.", path=["store"])


@dataclass(slots=True)
class _Tally:
    """The sums of an import so far."""

    rows: int = 0
    new: int = 0
    known: int = 0
    members_new: int = 0
    spend: Decimal = field(default_factory=Decimal)
    points: int = 0
    expired: int = 0

    def add(self, batch: Batch, report: BatchReport) -> None:
        """Count what became of a batch."""
        self.members_new += report.members_new
        self.expired += report.points_expired
        for row, outcome in zip(batch.checked, report.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                continue
            if outcome.replayed:
                self.known += 1
            else:
                self.new += 1
                self.points += outcome.points
                self.spend += row.order.amount

    def summary(self, currency: str, seconds: float, rejects: Rejects, broken_off: str | None) -> ImportSummary:
        """What is told at the end."""
        return ImportSummary(
            rows=self.rows,
            orders_new=self.new,
            orders_known=self.known,
            rejected=rejects.count,
            members_new=self.members_new,
            spend=self.spend,
            currency=currency,
            points_issued=self.points,
            points_expired=self.expired,
            seconds=seconds,
            rejects_path=rejects.path if rejects.count else None,
            broken_off=broken_off,
        )


class _Run:
    """One import on its way."""

    def __init__(
        self, actor: Actor, desk: Desk, batches: Batches, rejects: Rejects, bytes_total: int, progress: Report | None
    ) -> None:
        self.tally = _Tally()
        self._actor = actor
        self._program = desk.program.code
        self._batches = batches
        self._rejects = rejects
        self._bytes_read = 0
        self._bytes_total = bytes_total
        self._progress = progress
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._begun

    async def all(self) -> None:
        """Every batch of the file, in order."""
        async with aclosing(_ahead(self._batches)) as batches:
            async for batch in batches:
                rejected = list(batch.rejected)
                if batch.checked:
                    report = await self._recorded(batch)
                    self.tally.add(batch, report)
                    for record, outcome in zip(batch.records, report.outcomes, strict=True):
                        if isinstance(outcome, Refusal):
                            rejected.append(self._batches.reject(record, outcome))
                rejected.sort(key=lambda one: one.record.line)
                self._rejects.add(rejected)
                self.tally.rows += batch.rows
                self._bytes_read = batch.bytes_read
                self._tell()

    async def _recorded(self, batch: Batch) -> BatchReport:
        """One batch on file."""
        return await _patiently(
            lambda: service.record_checked(self._actor, program=self._program, checked=batch.checked),
            lambda: self._tell(waiting=True),
        )

    def _tell(self, *, waiting: bool = False) -> None:
        if self._progress is not None:
            self._progress(Progress(self._bytes_read, self._bytes_total, self.tally.rows, self.seconds, waiting))


async def _patiently(work: Callable[[], Awaitable[T]], waiting: Callable[[], None]) -> T:
    """Do `work`, again while the database is away: what may have committed is repeated, which changes nothing."""
    deadline, pause = None, PAUSE_MIN_S
    while True:
        try:
            return await work()
        except OUTAGES as error:
            deadline = deadline or time.monotonic() + PATIENCE_S
            if time.monotonic() + pause > deadline:
                raise Unavailable(
                    f"PostgreSQL has not worked for {PATIENCE_S:.0f} seconds ({type(error).__name__}: {error}). "
                    "When it is well again, start the import again: nothing is lost or done twice."
                ) from error
        waiting()
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX_S)


async def _ahead(batches: Batches) -> AsyncGenerator[Batch, None]:
    """The batches, each read in a thread while the one before is being worked on."""
    coming = asyncio.ensure_future(asyncio.to_thread(batches.read))
    try:
        while (batch := await asyncio.shield(coming)) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(batches.read))
            yield batch
    finally:
        await asyncio.gather(
            coming, return_exceptions=True
        )  # the thread has to be done with the file before that is closed
