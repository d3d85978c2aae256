"""Asking for the job of a file: what cannot be is refused before anything is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import orjson

from engage.base import db
from engage.base.actor import Actor
from engage.domains.earning.csvfiles.columns import find_columns
from engage.domains.earning.csvfiles.lines import Lines
from engage.domains.earning.csvfiles.records import Records
from engage.domains.earning.csvfiles.types import Layout
from engage.outbox import Asked, ask, files
from engage.outbox.files import StoredFile


def check_header(path: Path, layout: Layout, mapping: Mapping[str, str]) -> None:
    """Raise InvalidInput for a file that cannot be read or whose header leaves a field open."""
    with Lines(path) as lines:
        find_columns(Records(lines).header, layout, mapping)


def job_key(sha256: str, args: Mapping[str, object]) -> str:
    """What a job of the file with this digest goes by: the same for the same work."""
    return hashlib.sha256(orjson.dumps([sha256, args], option=orjson.OPT_SORT_KEYS)).hexdigest()


@db.command
async def ask_for_file(
    actor: Actor,
    kind: str,
    stored: StoredFile,
    args: Mapping[str, object],
    *,
    hold_s: float | None = None,
    due_at: datetime | None = None,
) -> Asked:
    """Ask for the job of a file that was stored, which then has the file; `hold_s` and `due_at` are those of `ask`.

    Where the same work is not done yet, that job is answered, and the file is left to the caller to discard.
    """
    key = job_key(stored.sha256, args)
    asked = await ask(actor, kind, {"file": str(stored.id), **args}, key=key, hold_s=hold_s, due_at=due_at)
    if asked.new:
        await files.attach(stored.id, asked.id)
    return asked
