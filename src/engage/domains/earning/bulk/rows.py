"""Rows of points as texts: read from a file, written to one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from engage.base.errors import InvalidInput
from engage.domains.earning.bulk.types import LAYOUT, BulkInstructions, CheckedRow, PointsRow, Weight
from engage.domains.earning.csvfiles.columns import Columns, find_columns
from engage.domains.earning.csvfiles.lines import Lines
from engage.domains.earning.csvfiles.records import Records
from engage.domains.earning.csvfiles.texts import DATES_KEPT, read_date, shown
from engage.domains.ledger.types import POINTS_MAX, Cause
from engage.domains.members.types import IdentityRef

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_MEMBER_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def row_reader(columns: Columns, wanted: BulkInstructions, zone: ZoneInfo) -> Callable[[list[str]], PointsRow]:
    """A function that makes a row of its values; days and times without an offset are those of `zone`.

    It raises InvalidInput, with the field, for a text that is none of its kind.
    """
    at = [columns.places.get(field) for field in LAYOUT.fields]
    date = lru_cache(maxsize=DATES_KEPT)(read_date)

    def read(values: list[str]) -> PointsRow:
        row_key, member, amount, reason, cause_type, cause_id, usable, expires, note = (
            "" if place is None else values[place].strip() for place in at
        )
        return PointsRow(
            row_key=row_key,
            member=_read_member(member) if wanted.identity_channel is None
            else IdentityRef(wanted.identity_channel, member),
            amount=read_whole(amount),
            reason=reason or wanted.reason,
            cause=Cause(cause_type, cause_id) if cause_type or cause_id else None,
            usable_at=date(usable, zone, path="usableAt") if usable else None,
            expires_at=date(expires, zone, path="expiresAt") if expires else None,
            note=note or None,
        )  # fmt: skip

    return read


def read_whole(text: str) -> int:
    """A number of points, with its sign. Raises InvalidInput."""
    if not _WHOLE.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is no number of points; right would be 1000 or -1000.", path=["amount"])
    return int(text)


def _read_member(text: str) -> UUID:
    if not _MEMBER_ID.fullmatch(text):
        raise InvalidInput(
            f"{shown(text)} is no member's id; right would be 0198c0de-0000-7000-8000-000000000001. For identities, "
            "name the channel that they are of.",
            path=["member"],
        )
    return UUID(text)


def weigh_file(path: Path, wanted: BulkInstructions) -> Weight:
    """What the rows of a file come to; those that cannot be read move nothing.

    Raises InvalidInput for a file that cannot be read or whose header leaves a field open.
    """
    with Lines(path) as lines:
        records = Records(lines)
        place = find_columns(records.header, LAYOUT, wanted.mapping).places["amount"]
        rows, added, removed = 0, 0, 0
        for record in records:
            rows += 1
            text = "" if record.fault is not None else record.values[place].strip()
            amount = int(text) if _WHOLE.fullmatch(text) else 0
            added, removed = added + max(amount, 0), removed - min(amount, 0)
    return Weight(rows, min(added, POINTS_MAX), min(removed, POINTS_MAX))


def written(rows: Sequence[CheckedRow]) -> bytes:
    """Rows, which name members by id, as the file that they could have come in."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(LAYOUT.fields)
    for row, _ in rows:
        cause = ("", "") if row.cause is None else (row.cause.type, row.cause.id)
        times = ("" if at is None else at.isoformat() for at in (row.usable_at, row.expires_at))
        table.writerow([row.row_key, row.member, row.amount, row.reason, *cause, *times, row.note or ""])
    return text.getvalue().encode()
