"""Asking for an import: what cannot be is refused here, before anything is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engage.base import db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.errors import InvalidInput
from engage.domains.earning import queries, rules
from engage.domains.earning.csvfiles.asking import ask_for_file, check_header
from engage.domains.earning.importing.types import JOB, LAYOUT, Instructions
from engage.domains.earning.service import BATCH_MAX
from engage.domains.earning.types import Desk
from engage.domains.purchases.errors import UnknownCurrency, UnknownStore
from engage.outbox import Asked, files


@db.recorded
async def request_import(actor: Actor, path: Path, wanted: Instructions, *, hold_s: float | None = None) -> Asked:
    """Store a CSV file and ask for its import; a second request for the same work answers the one that is not done.

    `hold_s` is for one who runs the job himself (`engage.outbox.here`). Raises Forbidden, NotFound, InvalidInput,
    UnknownChannel, UnknownCurrency, UnknownStore before anything is stored, for what concerns the whole file.
    """
    require(actor, STAFF_ROLES, Scope.PURCHASES_WRITE)
    desk = await queries.load_desk(wanted.program)
    _check_instructions(wanted, desk)
    await asyncio.to_thread(check_header, path, LAYOUT, wanted.mapping)
    stored = await files.store(path, path.name)
    asked = await ask_for_file(actor, JOB, stored, wanted.args(), hold_s=hold_s)
    if not asked.new:
        await files.discard(stored.id)
    return asked


def _check_instructions(wanted: Instructions, desk: Desk) -> None:
    rules.check_channel(wanted.identity_channel, desk.channels, path=["identityChannel"])
    rules.check_channel(wanted.channel, desk.channels, path=["channel"])
    program = desk.program
    if wanted.currency not in (None, program.money_currency):
        raise UnknownCurrency(
            f"Program {program.code!r} takes {program.money_currency}, not {wanted.currency!r}.",
            path=["currency"],
            known=[program.money_currency],
        )
    if wanted.store is not None and wanted.store not in desk.stores:
        raise UnknownStore(f"Program {program.code!r} has no store {wanted.store!r}.", path=["store"])
    if not 1 <= wanted.batch_size <= BATCH_MAX:
        raise InvalidInput(f"A batch has 1 to {BATCH_MAX} orders.", path=["batchSize"])
