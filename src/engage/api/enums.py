"""Enums of the domains, made known to GraphQL, value by value. Annotations name the domains' own classes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from engage.domains.ledger.types import TransferKind
from engage.domains.members.types import MemberState
from engage.domains.notifications.types import MessageCode
from engage.outbox.types import JobState

__all__ = ["JobState", "MemberState", "MessageCode", "TransferKind", "describe"]


def describe(kind: type[Enum], descriptions: Mapping[Any, str]) -> None:
    """Say what each value of a GraphQL enum means. Raises KeyError for a value that is left out."""
    for value in kind.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = descriptions[kind[value.name]]


strawberry.enum(TransferKind, description="What a transfer does.")
describe(
    TransferKind,
    {
        TransferKind.EARN: "Gives points to the member.",
        TransferKind.SPEND: "Takes points from the member for something.",
        TransferKind.MATURE: "Makes pending points available.",
        TransferKind.EXPIRE: "Takes points whose time is over.",
    },
)

strawberry.enum(MemberState, description="What a member may do: only an ACTIVE one spends points.")
describe(
    MemberState,
    {
        MemberState.ACTIVE: "Earns and spends.",
        MemberState.FROZEN: "Earns and does not spend.",
        MemberState.SUSPENDED: "Neither earns nor spends, for a time.",
        MemberState.CANCELLED: "Has left.",
        MemberState.ERASED: "Has left, and nothing personal is kept.",
    },
)

strawberry.enum(MessageCode, description="What a message is about.")
describe(MessageCode, {MessageCode.POINTS_EXPIRING: "Points are about to expire."})

strawberry.enum(JobState, description="Where a piece of promised work stands.")
describe(
    JobState,
    {
        JobState.WAITING: "Due later: asked for so, or tried in vain and to be tried again.",
        JobState.READY: "Due; the next worker with room takes it. So is what its worker lost.",
        JobState.RUNNING: "A worker has it.",
        JobState.DONE: "Carried out.",
        JobState.DEAD: "Given up, and kept with its error until somebody retries or discards it.",
        JobState.CANCELLED: "Ended since somebody asked for that; what its steps had committed stays.",
    },
)
