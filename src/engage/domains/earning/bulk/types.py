"""Plain values of bulk points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from engage.base.errors import Refusal
from engage.base.idempotency import IdempotencyKey
from engage.domains.earning.csvfiles.types import FileSummary, Layout
from engage.domains.ledger.types import AdjustmentState, Cause
from engage.domains.members.types import IdentityRef

JOB = "earning.bulk_points"

BATCH_MAX = 1000
"""Rows of one transaction, and of one request that names them itself."""

LAYOUT = Layout(
    fields=(
        "row_key", "member", "amount", "reason", "cause_type", "cause_id", "usable_at", "expires_at", "note",
    ),
    optional=frozenset({"reason", "cause_type", "cause_id", "usable_at", "expires_at", "note"}),
    omissible=frozenset({"reason", "cause_type", "cause_id", "usable_at", "expires_at", "note"}),
    of_refusals={
        "rowKey": "row_key",
        "member": "member",
        "memberId": "member",
        "amount": "amount",
        "reason": "reason",
        "cause.type": "cause_type",
        "cause.id": "cause_id",
        "usableAt": "usable_at",
        "expiresAt": "expires_at",
        "note": "note",
    },
    key="row_key",
)  # fmt: skip
"""What is read of a file of points."""


class BulkOperation(StrEnum):
    """EARN gives points; ADJUST corrects balances, up or down."""

    EARN = "EARN"
    ADJUST = "ADJUST"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkInstructions:
    """How rows are to be posted: all that decides what comes out, besides the rows."""

    program: str
    operation: BulkOperation
    key: str | None = None
    """The piece of work that rows belong to: a row key counts once in it. None: the file is one by itself."""

    reason: str = "CORRECTION"
    """Of rows that name none."""

    identity_channel: str | None = None
    """The channel in which `member` names a person; None: it is the member's id."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    """Columns by field where the header calls them otherwise; "" for one that is missing."""

    batch_size: int = BATCH_MAX

    def args(self) -> dict[str, object]:
        """As arguments of the job: `BulkInstructions.of(args)` is the same again."""
        return asdict(self)

    @classmethod
    def of(cls, args: Mapping[str, object]) -> BulkInstructions:
        """Out of the arguments of the job."""
        values: dict[str, object] = {**args, "operation": BulkOperation(str(args["operation"]))}
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class PointsRow:
    """One row: whose balance is changed, by how many points, and under which key."""

    row_key: str
    member: UUID | IdentityRef
    amount: int
    reason: str
    cause: Cause | None = None
    usable_at: datetime | None = None
    expires_at: datetime | None = None
    note: str | None = None


class CheckedRow(NamedTuple):
    """A row that can be right by itself, with the key that tells a repetition."""

    row: PointsRow
    key: IdempotencyKey


class RowPosted(NamedTuple):
    """A row that is on file: its signed amount, and whether it was there before."""

    amount: int
    replayed: bool


Outcome = RowPosted | Refusal


class Weight(NamedTuple):
    """What rows come to, as far as they can be read."""

    rows: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class BulkAsked:
    """The job of a request; `waits` when it begins only once a second person has approved it."""

    job_id: UUID
    new: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class BulkRecord:
    """A bulk correction that waits for a second person, or was decided."""

    job_id: UUID
    program: str
    reason: str
    rows: int
    added: int
    removed: int
    state: AdjustmentState
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSummary(FileSummary):
    """What a bulk job has done. `added` and `removed` are the points of the new rows."""

    rows_new: int
    rows_known: int
    added: int
    removed: int
