"""Transfers in a few words, where another thing leads to them. Whose they are is told to those who may know."""

from __future__ import annotations

from datetime import datetime

import strawberry

from engage.api.enums import CurrencyKind, TransferKind
from engage.api.relay import global_id
from engage.api.scalars import Points
from engage.base.actor import READING_ROLES, Actor, may
from engage.domains.ledger.queries import records


@strawberry.type(description="A transfer at the other end of something, in a few words.")
class LinkedTransfer:
    """Ids are there for those who may look at its member."""

    id: strawberry.ID | None = strawberry.field(description="Global id; null where it is another member's.")
    member_id: strawberry.ID | None = strawberry.field(
        description="Whose it is; null where it is another member's, but for the two sides of a gift."
    )
    kind: TransferKind = strawberry.field(description="What it does.")
    amount: Points = strawberry.field(description="Signed, as its member sees it; of stored value, in minor units.")
    program: str = strawberry.field(description="Code of its program.")
    currency: CurrencyKind = strawberry.field(description="What its amount is of.")
    posted_at: datetime = strawberry.field(description="When it was posted.")


def sees(actor: Actor, record: records.LinkedTransfer) -> bool:
    """Whether the actor may look at the member whose transfer this is."""
    return may(actor, READING_ROLES, own=record.member_id)


def linked_transfer(actor: Actor, record: records.LinkedTransfer, *, known_member: bool = False) -> LinkedTransfer:
    """A transfer for the API. `known_member`: its member is no secret to the actor, though their transfers are."""
    seen = sees(actor, record)
    return LinkedTransfer(
        id=global_id("Transfer", record.id) if seen else None,
        member_id=global_id("Member", record.member_id) if seen or known_member else None,
        kind=record.kind,
        amount=Points(record.amount),
        program=record.program,
        currency=record.currency,
        posted_at=record.posted_at,
    )
