"""Plain values of an import of orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal

from engage.domains.earning.csvfiles.types import FileSummary, Layout
from engage.domains.earning.service import BATCH_MAX

JOB = "earning.import_purchases"

FIELDS = ("order_no", "customer_id", "date", "quantity", "amount", "channel", "currency", "store")
"""What an import reads of a file, and the names that its columns have unless a mapping says otherwise."""

OPTIONAL = frozenset({"channel", "currency", "store"})
"""Columns that a file need not have; for each there is a default."""

OMISSIBLE = OPTIONAL | {"quantity"}
"""Columns that a mapping may declare missing."""

LAYOUT = Layout(
    FIELDS,
    OPTIONAL,
    OMISSIBLE,
    {
        "orderNo": "order_no",
        "member": "customer_id",
        "purchasedAt": "date",
        "quantity": "quantity",
        "amount": "amount",
        "channel": "channel",
        "currency": "currency",
        "store": "store",
    },
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary(FileSummary):
    """What an import has done. `spend` and `points_issued` are those of the new orders."""

    orders_new: int
    orders_known: int
    members_new: int
    spend: Decimal
    currency: str
    points_issued: int
    points_expired: int
