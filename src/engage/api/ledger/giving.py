"""Points from one member to another: given at once, or offered until the recipient decides."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import GiftState
from engage.api.fields import mutation
from engage.api.ledger.inputs import Usual, amount_field, key_field, part_field, program_field
from engage.api.ledger.payloads import PointsMoved, points_moved
from engage.api.ledger_problems import BalanceLimit, GiftDecided, GiftLimit, InsufficientPoints
from engage.api.relay import global_id, local_id
from engage.api.scalars import Points
from engage.domains.ledger import service


@strawberry.input(description="Points to give to another member.")
class GiftPointsInput:
    """See giftPoints."""

    member_id: strawberry.ID = strawberry.field(description="Who gives.")
    recipient_id: strawberry.ID = strawberry.field(description="Who gets them.")
    amount: Points = amount_field("How many, 1 or more, without the fee.")
    idempotency_key: str = key_field()
    program: str = program_field()
    message: str | None = part_field("Words for the recipient, up to 500 characters; they can be erased.")


@strawberry.input(description="A gift to take.")
class AcceptGiftInput:
    """See acceptGift."""

    gift_id: strawberry.ID = strawberry.field(description="The gift.")
    idempotency_key: str = key_field()


@strawberry.input(description="A gift to refuse.")
class DeclineGiftInput:
    """See declineGift."""

    gift_id: strawberry.ID = strawberry.field(description="The gift.")
    idempotency_key: str = key_field()


@strawberry.input(description="A gift to take back.")
class WithdrawGiftInput:
    """See withdrawGift."""

    gift_id: strawberry.ID = strawberry.field(description="The gift.")
    idempotency_key: str = key_field()


@strawberry.type(description="The gift went, or is offered and its points are held.")
class GiftPointsPayload(PointsMoved):
    """See giftPoints: the sender's side. The amount is that of the transfer, which holds the fee of an offer, too."""

    gift_id: strawberry.ID = strawberry.field(description="Global id of the gift.")
    recipient_id: strawberry.ID = strawberry.field(description="Who gets them.")
    gift_state: GiftState = strawberry.field(description="GIVEN where it went at once, else OFFERED.")
    fee: Points = strawberry.field(description="What it costs beside.")
    deadline: datetime | None = strawberry.field(
        description="Until when it can be accepted; null where it went at once."
    )


@strawberry.type(description="The gift was taken.")
class AcceptGiftPayload(PointsMoved):
    """See acceptGift: the recipient's side."""

    gift_id: strawberry.ID = strawberry.field(description="Global id of the gift.")
    gift_state: GiftState = strawberry.field(description="ACCEPTED.")


@strawberry.type(description="The gift was refused; its points are with the sender again.")
class DeclineGiftPayload:
    """See declineGift: nothing of the recipient's moved, and the sender's points are not theirs to see."""

    gift_id: strawberry.ID = strawberry.field(description="Global id of the gift.")
    gift_state: GiftState = strawberry.field(description="DECLINED.")
    replayed: bool = strawberry.field(description="Whether the key was used before and this is its first answer.")


@strawberry.type(description="The gift was taken back; its points are with the sender again.")
class WithdrawGiftPayload(PointsMoved):
    """See withdrawGift: the sender's side."""

    gift_id: strawberry.ID = strawberry.field(description="Global id of the gift.")
    gift_state: GiftState = strawberry.field(description="WITHDRAWN.")


GiftPointsResult = Annotated[
    GiftPointsPayload | InsufficientPoints | GiftLimit | BalanceLimit | Usual,
    strawberry.union("GiftPointsResult", description="What giftPoints answers."),
]
AcceptGiftResult = Annotated[
    AcceptGiftPayload | GiftDecided | BalanceLimit | Usual,
    strawberry.union("AcceptGiftResult", description="What acceptGift answers."),
]
DeclineGiftResult = Annotated[
    DeclineGiftPayload | GiftDecided | Usual,
    strawberry.union("DeclineGiftResult", description="What declineGift answers."),
]
WithdrawGiftResult = Annotated[
    WithdrawGiftPayload | GiftDecided | Usual,
    strawberry.union("WithdrawGiftResult", description="What withdrawGift answers."),
]


def _gift_id(given: strawberry.ID) -> UUID:
    return local_id("Gift", given, path=["giftId"])


@strawberry.type
class GivingMutation:
    """Commands of gifts."""

    @mutation(
        "Give points to another member. The program's policy says what it costs, how much a member may give, and "
        "whether it goes at once or is offered first. Roles: the sender, STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def gift_points(
        self,
        info: Info,
        data: Annotated[GiftPointsInput, strawberry.argument(name="input", description="What to give.")],
    ) -> GiftPointsResult:
        """See engage.domains.ledger.service.gift_points."""
        posted = await service.gift_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            recipient_id=local_id("Member", data.recipient_id, path=["recipientId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            message=data.message,
        )
        return points_moved(
            GiftPointsPayload,
            posted,
            gift_id=global_id("Gift", posted.gift_id),
            recipient_id=global_id("Member", posted.recipient_id),
            gift_state=GiftState.GIVEN if posted.deadline is None else GiftState.OFFERED,
            fee=Points(posted.fee),
            deadline=posted.deadline,
        )

    @mutation(
        "Take a gift that is offered, before its deadline. Answers the recipient's side. Roles: the recipient, "
        "STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def accept_gift(
        self,
        info: Info,
        data: Annotated[AcceptGiftInput, strawberry.argument(name="input", description="Which gift.")],
    ) -> AcceptGiftResult:
        """See engage.domains.ledger.service.accept_gift."""
        posted = await service.accept_gift(
            context_of(info).actor, gift_id=_gift_id(data.gift_id), idempotency_key=data.idempotency_key
        )
        return points_moved(
            AcceptGiftPayload, posted, gift_id=global_id("Gift", posted.gift_id), gift_state=GiftState.ACCEPTED
        )

    @mutation("Refuse a gift that is offered. Roles: the recipient, STAFF, ADMIN, SERVICE. Scope: points:write.")
    async def decline_gift(
        self,
        info: Info,
        data: Annotated[DeclineGiftInput, strawberry.argument(name="input", description="Which gift.")],
    ) -> DeclineGiftResult:
        """See engage.domains.ledger.service.decline_gift."""
        posted = await service.decline_gift(
            context_of(info).actor, gift_id=_gift_id(data.gift_id), idempotency_key=data.idempotency_key
        )
        return DeclineGiftPayload(
            gift_id=global_id("Gift", posted.gift_id), gift_state=GiftState.DECLINED, replayed=posted.replayed
        )

    @mutation(
        "Take back a gift that is not accepted yet. Roles: the sender, STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def withdraw_gift(
        self,
        info: Info,
        data: Annotated[WithdrawGiftInput, strawberry.argument(name="input", description="Which gift.")],
    ) -> WithdrawGiftResult:
        """See engage.domains.ledger.service.withdraw_gift."""
        posted = await service.withdraw_gift(
            context_of(info).actor, gift_id=_gift_id(data.gift_id), idempotency_key=data.idempotency_key
        )
        return points_moved(
            WithdrawGiftPayload, posted, gift_id=global_id("Gift", posted.gift_id), gift_state=GiftState.WITHDRAWN
        )
