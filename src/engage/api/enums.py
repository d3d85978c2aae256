"""Enums of the domains, made known to GraphQL, value by value. Annotations name the domains' own classes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from engage.domains.ledger.types import (
    AdjustmentState,
    CurrencyKind,
    GiftLimitKind,
    GiftState,
    HoldPurpose,
    HoldState,
    LotState,
    Shortfall,
    TransferKind,
)
from engage.domains.members.types import MemberState
from engage.domains.notifications.types import MessageCode
from engage.outbox.types import JobState

__all__ = [
    "AdjustmentState",
    "CurrencyKind",
    "GiftLimitKind",
    "GiftState",
    "HoldPurpose",
    "HoldState",
    "JobState",
    "LotState",
    "MemberState",
    "MessageCode",
    "Shortfall",
    "TransferKind",
    "describe",
]


def describe(kind: type[Enum], descriptions: Mapping[Any, str]) -> None:
    """Say what each value of a GraphQL enum means. Raises KeyError for a value that is left out."""
    for value in kind.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = descriptions[kind[value.name]]


strawberry.enum(TransferKind, description="What a transfer does.")
describe(
    TransferKind,
    {
        TransferKind.EARN: "Gives points to the member.",
        TransferKind.CONFIRM: "Makes pending points available because somebody confirmed them.",
        TransferKind.MATURE: "Makes pending points available because their time has come.",
        TransferKind.EXPIRE: "Takes points whose time is over.",
        TransferKind.SPEND: "Takes points from the member for something.",
        TransferKind.HOLD: "Sets points aside until a deadline.",
        TransferKind.CAPTURE: "Spends points that were held.",
        TransferKind.RELEASE: "Gives back points that were held.",
        TransferKind.REVERSE: "Gives back what another transfer took.",
        TransferKind.CLAWBACK: "Takes back what should not have been given, as debt where it is spent.",
        TransferKind.DEBT_PAID: "Pays debt with points that came in.",
        TransferKind.GIFT: "Takes points for a gift to another member.",
        TransferKind.RECEIVE: "Gives the points of a gift to its recipient.",
        TransferKind.FEE: "Takes the fee of a gift.",
        TransferKind.DONATE: "Takes points for a good cause.",
        TransferKind.EXCHANGE_OUT: "Takes points that become another program's.",
        TransferKind.EXCHANGE_IN: "Gives the points that came of another program's.",
        TransferKind.DEDUCT: "Takes points as a penalty.",
        TransferKind.RESTORE: "Gives back what a penalty or a clawback took.",
        TransferKind.ADJUST_UP: "Corrects the balance upwards.",
        TransferKind.ADJUST_DOWN: "Corrects the balance downwards.",
        TransferKind.TOP_UP: "Puts paid-in money into stored value.",
        TransferKind.REFUND: "Takes stored value that is paid back.",
        TransferKind.MERGE_OUT: "Takes all that a member had who was merged into another.",
        TransferKind.MERGE_IN: "Gives it to the survivor.",
    },
)

strawberry.enum(CurrencyKind, description="What an amount is of.")
describe(
    CurrencyKind,
    {
        CurrencyKind.POINTS: "The program's points.",
        CurrencyKind.CASH: "Stored value: money that was paid in.",
    },
)

strawberry.enum(HoldPurpose, description="What points are held for.")
describe(
    HoldPurpose,
    {
        HoldPurpose.SPEND: "To be spent.",
        HoldPurpose.GIFT: "For a gift that waits to be accepted.",
    },
)

strawberry.enum(HoldState, description="How a hold stands.")
describe(
    HoldState,
    {
        HoldState.OPEN: "Something is still held.",
        HoldState.CAPTURED: "Spent, the last of it at least.",
        HoldState.RELEASED: "Given back.",
        HoldState.EXPIRED: "Given back when its deadline came.",
    },
)

strawberry.enum(GiftState, description="How a gift stands.")
describe(
    GiftState,
    {
        GiftState.GIVEN: "Went at once.",
        GiftState.OFFERED: "Waits for its recipient.",
        GiftState.ACCEPTED: "Was taken.",
        GiftState.DECLINED: "Was refused; the points are with the sender again.",
        GiftState.WITHDRAWN: "Was taken back by its sender.",
        GiftState.EXPIRED: "Was not taken in time.",
    },
)

strawberry.enum(GiftLimitKind, description="Which limit of the program's policy a gift goes beyond.")
describe(
    GiftLimitKind,
    {
        GiftLimitKind.DAILY_POINTS: "Points that a member gives away a day.",
        GiftLimitKind.DAILY_COUNT: "Gifts that a member makes a day.",
        GiftLimitKind.HOPS: "How often points are given on from member to member.",
    },
)

strawberry.enum(LotState, description="How points stand that came at once.")
describe(
    LotState,
    {
        LotState.PENDING: "Not usable yet.",
        LotState.OPEN: "Usable; some are left.",
        LotState.CLOSED: "None are left.",
    },
)

strawberry.enum(AdjustmentState, description="How a large correction stands.")
describe(
    AdjustmentState,
    {
        AdjustmentState.WAITING: "Waits for a second person.",
        AdjustmentState.APPROVED: "Was posted.",
        AdjustmentState.REJECTED: "Was turned down.",
    },
)

strawberry.enum(Shortfall, description="What becomes of points that should be taken and are not there.")
describe(
    Shortfall,
    {
        Shortfall.REFUSE: "Nothing is taken at all.",
        Shortfall.FORGO: "What is there is taken, and the rest is let go.",
        Shortfall.DEBT: "The rest is debt, which later earnings pay.",
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
