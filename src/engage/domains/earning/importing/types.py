"""Plain values of an import."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import orjson

from engage.domains.earning.service import BATCH_MAX
from engage.outbox.types import JobState

JOB = "earning.import_purchases"

FIELDS = ("order_no", "customer_id", "date", "quantity", "amount", "channel", "currency", "store")
"""What an import reads of a file, and the names that its columns have unless a mapping says otherwise."""

OPTIONAL = frozenset({"channel", "currency", "store"})
"""Columns that a file need not have; for each there is a default."""

OMISSIBLE = OPTIONAL | {"quantity"}
"""Columns that a mapping may declare missing."""

BROKEN_ROW = "BROKEN_ROW"
"""Code of a rejected row that could not be taken apart; others have the code of what refused them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """How a file is to be imported: all that decides what comes out, besides the file."""

    program: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Columns by field where the header calls them otherwise; "" for one that is missing."""

    identity_channel: str = "card"
    """The channel in which `customer_id` names a person."""

    channel: str = "web"
    """Of orders that name none; so with the next two, where None means the program's and none."""

    currency: str | None = None
    store: str | None = None
    batch_size: int = BATCH_MAX

    def args(self) -> dict[str, object]:
        """As arguments of the job: `Instructions(**args)` is the same again."""
        return asdict(self)

    def key(self, sha256: str) -> str:
        """What an import of the file with this digest goes by: the same for the same work."""
        text = orjson.dumps([sha256, self.args()], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()


class Record(NamedTuple):
    """One row as the file has it: the number of its first line, and its values or why it has none."""

    line: int
    values: list[str]
    fault: str | None = None


class Rejected(NamedTuple):
    """A row that was not imported, and why."""

    record: Record
    reason: str
    code: str = BROKEN_ROW


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import has done, over all of its attempts. `spend` and `points_issued` are those of the new orders."""

    job_id: UUID
    state: JobState
    """How it ended: DONE, CANCELLED, or DEAD because of `error`."""

    rows: int
    orders_new: int
    orders_known: int
    rejected: int
    members_new: int
    spend: Decimal
    currency: str
    points_issued: int
    points_expired: int
    seconds: float
    broken_off: str | None
    """Why the file could not be read to its end; what came before is imported."""

    error: str | None = None
    rejects_path: Path | None = None

    @property
    def rows_per_s(self) -> float:
        """The rate over all."""
        return self.rows / self.seconds if self.seconds else 0.0
