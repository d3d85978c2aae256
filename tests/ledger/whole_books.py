"""Books with every kind of transfer: a story of a few members, told in one place for tests that read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.domains.ledger import service
from engage.domains.ledger.policy.types import BonusStep
from engage.domains.ledger.types import GiftPosted, Posted, RateRecord, ReturnPosted, Shortfall, TakenPosted
from tests.ledger.books import NOON, STAFF, earn, new_key, new_member, new_program, spend
from tests.ledger.merging import merge
from tests.ledger.publishing import program_with, rolling

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
OFFERING = rolling(
    "P1Y", gift_accept_within="P2D", gift_fee_fixed=3, top_up_bonus=(BonusStep(Decimal(10), 100),),
)  # fmt: skip


@dataclass
class Story:
    """What was posted, by a word for it."""

    program: str
    other_program: str
    member: UUID
    friend: UUID
    twin: UUID
    posted: dict[str, Posted] = field(default_factory=dict)
    rate: RateRecord | None = None

    def id(self, word: str) -> UUID:
        return self.posted[word].transfer_id


async def write_books(program: str | None = None) -> Story:
    """Write the books, in the three days after noon; answers what is in them. Without a program, one of its own."""
    await db.execute(
        "INSERT INTO channels (id, code, name) VALUES (gen_random_uuid(), 'pos', 'Till') ON CONFLICT DO NOTHING"
    )
    story = Story(
        program or await program_with(OFFERING), await new_program(), await new_member(), await new_member(),
        await new_member(),
    )  # fmt: skip
    with clock.frozen(NOON):
        await _points(story)
    with clock.frozen(NOON + HOUR):
        await _between_members(story)
    with clock.frozen(NOON + 2 * HOUR):
        await _corrections(story)
        await _stored_value(story)
    with clock.frozen(NOON + 3 * HOUR):
        story.posted["lapsed"] = await earn(story.member, story.program, 9, expires_at=NOON + DAY)
        await earn(story.twin, story.program, 60)
        await merge(story.twin, story.member)
    with clock.frozen(NOON + 3 * DAY):
        while await service.sweep_due(100):
            pass
    return story


async def _points(story: Story) -> None:
    member, program, posted = story.member, story.program, story.posted
    posted["earned"] = await earn(member, program, 1000)
    posted["short"] = await earn(member, program, 50, expires_at=NOON + DAY)
    posted["later"] = await earn(member, program, 40, usable_at=NOON + DAY)
    posted["waiting"] = await earn(member, program, 30, on_confirmation=True)
    posted["confirmed"] = await service.confirm_pending(
        STAFF, transfer_id=story.id("waiting"), idempotency_key=new_key()
    )
    posted["spent"] = await spend(member, program, 70)
    posted["returned"] = await service.reverse_transfer(
        STAFF, transfer_id=story.id("spent"), amount=20, idempotency_key=new_key()
    )
    posted["donated"] = await service.donate_points(
        STAFF, member_id=member, program=program, amount=5, good_cause="trees", idempotency_key=new_key()
    )
    posted["held"] = await service.hold_points(
        STAFF, member_id=member, program=program, amount=100, deadline=NOON + 2 * DAY, idempotency_key=new_key()
    )
    posted["captured"] = await service.capture_hold(
        STAFF, hold_id=story.id("held"), amount=60, keep_rest=True, idempotency_key=new_key()
    )
    posted["released"] = await service.release_hold(
        STAFF, hold_id=story.id("held"), amount=10, idempotency_key=new_key()
    )


async def give(story: Story, amount: int, message: str | None = None) -> GiftPosted:
    return await service.gift_points(
        STAFF, member_id=story.member, recipient_id=story.friend, program=story.program, amount=amount,
        message=message, idempotency_key=new_key(),
    )  # fmt: skip


async def _between_members(story: Story) -> None:
    posted = story.posted
    offered = await give(story, 200, "for your birthday")
    posted["offered"] = offered
    accepted = await service.accept_gift(STAFF, gift_id=offered.gift_id, idempotency_key=new_key())
    given = "SELECT id FROM transfers WHERE refers_id = $1 AND kind = 'GIFT'"  # accepting answers the other side
    posted["given"] = replace(accepted, transfer_id=await db.fetch_value(given, offered.gift_id))
    declined = await give(story, 10)
    posted["declined"] = await service.decline_gift(STAFF, gift_id=declined.gift_id, idempotency_key=new_key())
    posted["forgotten"] = await give(story, 15)
    story.rate = await service.publish_exchange_rate(
        SYSTEM, from_program=story.program, to_program=story.other_program, numerator=1, denominator=2
    )
    posted["exchanged"] = await service.exchange_points(
        STAFF, member_id=story.friend, from_program=story.program, to_program=story.other_program, amount=81,
        idempotency_key=new_key(),
    )  # fmt: skip


async def _corrections(story: Story) -> None:
    member, friend, program, posted = story.member, story.friend, story.program, story.posted
    for word, amount in (("added", 25), ("removed", -15)):
        done = await service.adjust_points(
            STAFF, member_id=member, program=program, amount=amount, reason="MISTAKE", idempotency_key=new_key()
        )
        assert done.posted is not None
        posted[word] = done.posted
    deducted: TakenPosted = await service.deduct_points(
        SYSTEM, member_id=friend, program=program, amount=150, shortfall=Shortfall.DEBT, idempotency_key=new_key()
    )
    posted["deducted"] = deducted
    posted["clawed back"] = await service.clawback_points(
        STAFF, member_id=friend, program=program, amount=7, idempotency_key=new_key()
    )
    posted["in debt"] = await earn(friend, program, 20)
    restored: ReturnPosted = await service.restore_points(
        SYSTEM, transfer_id=story.id("deducted"), amount=30, idempotency_key=new_key()
    )
    posted["restored"] = restored
    posted["taken back"] = await service.reverse_transfer(
        STAFF, transfer_id=story.id("added"), idempotency_key=new_key()
    )


async def _stored_value(story: Story) -> None:
    member, program, posted = story.member, story.program, story.posted
    posted["topped up"] = await service.top_up(
        STAFF, member_id=member, program=program, amount=2050, channel="pos", payment_reference=new_key(),
        paid_at=NOON, idempotency_key=new_key(),
    )  # fmt: skip
    posted["paid"] = await service.pay_stored_value(
        STAFF, member_id=member, program=program, amount=500, idempotency_key=new_key()
    )
    posted["value held"] = await service.hold_stored_value(
        STAFF, member_id=member, program=program, amount=120, idempotency_key=new_key(), deadline=NOON + 30 * DAY
    )
    posted["refunded"] = await service.refund_top_up(
        STAFF, transfer_id=story.id("topped up"), amount=430, idempotency_key=new_key()
    )
