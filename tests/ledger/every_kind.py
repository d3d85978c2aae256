"""Books in which everything has happened that can happen to points: each kind of transfer, in each of its forms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.domains.ledger import service
from engage.domains.ledger.policy.types import BonusStep, ReturnedKind
from engage.domains.ledger.types import HoldPosted, Posted, Shortfall
from tests.ledger.books import NOON, STAFF, earn, new_key, new_member, spend
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import merge

DAY = timedelta(days=1)


class Story:
    """Writes the books, a minute later with each step, and remembers what was posted under a name."""

    def __init__(self) -> None:
        self.ids: dict[str, UUID] = {}
        self.now = NOON
        self.given = self.offered = ""

    @contextmanager
    def step(self, later: timedelta = timedelta(minutes=1)) -> Iterator[None]:
        self.now += later
        with clock.frozen(self.now):
            yield

    async def note(self, name: str, posted: Posted) -> UUID:
        self.ids[name] = posted.transfer_id
        return posted.transfer_id

    async def gives(self, name: str, who: str, amount: int, program: str = "", **more: Any) -> UUID:
        with self.step():
            return await self.note(name, await earn(self.ids[who], program or self.given, amount, **more))

    async def spends(self, name: str, who: str, amount: int) -> UUID:
        with self.step():
            return await self.note(name, await spend(self.ids[who], self.given, amount))

    async def does(self, name: str, command: str, **more: Any) -> Any:
        """Any other command of the service, by the system; answers what it posted."""
        with self.step():
            posted = await getattr(service, command)(SYSTEM, idempotency_key=new_key(), **more)
        if isinstance(posted, Posted):
            await self.note(name, posted)
        return posted

    async def holds(self, name: str, who: str, amount: int, days: int = 20) -> UUID:
        held: HoldPosted = await self.does(
            name, "hold_points", member_id=self.ids[who], program=self.given, amount=amount,
            deadline=self.now + days * DAY,
        )  # fmt: skip
        return held.hold_id

    async def sweeps(self, days: int) -> None:
        with self.step(days * DAY):
            while await service.sweep_due(10):
                pass


async def write_every_kind() -> Story:
    """The whole story. Names are those of what the member did, or of the transfer's kind."""
    story = Story()
    bonus = BonusStep(Decimal(5), per_mille=100)
    story.given = await program_with(
        rolling("P1Y", returned_kind=ReturnedKind.REISSUED, returned_grace="P10D", gift_fee_fixed=2, gift_hops_max=5,
                top_up_bonus=(bonus,), top_up_bonus_valid_for="P90D")
    )  # fmt: skip
    story.offered = await program_with(rolling("P1Y", gift_accept_within="P3D", gift_fee_fixed=1))
    for name in ("ann", "ben", "cleo", "dora"):
        story.ids[name] = await new_member()
    await _earnings_and_holds(story)
    await _reversals(story)
    await _gifts(story)
    await _penalties(story)
    await _stored_value(story)
    await _merge(story)
    await _offers(story)
    await story.sweeps(2)
    await story.gives("last", "ann", 9)
    await story.does("open debt", "clawback_points", member_id=story.ids["dora"], program=story.given, amount=90)
    await _name_accounts_and_lots(story)
    return story


async def _name_accounts_and_lots(story: Story) -> None:
    """Remember accounts as `account of ann`, houses by their kind, lots as `lot of` what made them."""
    for name in ("ann", "ben", "cleo", "dora"):
        story.ids[f"account of {name}"] = await db.fetch_value(
            "SELECT id FROM accounts WHERE member_id = $1 AND currency_id = engage.ledger_currency($2)",
            story.ids[name], story.given,
        )  # fmt: skip
    for row in await db.fetch(
        "SELECT kind, id FROM accounts WHERE member_id IS NULL AND currency_id = engage.ledger_currency($1)",
        story.given,
    ):
        story.ids[row["kind"]] = row["id"]
    for name, transfer in list(story.ids.items()):
        lots = await db.fetch("SELECT id FROM lots WHERE source_id = $1", transfer)
        if len(lots) == 1:
            story.ids[f"lot of {name}"] = lots[0]["id"]


async def _earnings_and_holds(story: Story) -> None:
    await story.gives("lapsing", "ann", 100, expires_at=NOON + DAY)
    await story.gives("plain", "ann", 61)
    await story.gives("later", "ann", 44, usable_at=NOON + DAY)
    waiting = await story.gives("waiting", "ann", 33, on_confirmation=True)
    await story.gives("unconfirmed", "ann", 18, on_confirmation=True)
    await story.does("confirm", "confirm_pending", transfer_id=waiting)
    hold = await story.holds("hold", "ann", 120)
    await story.does("capture", "capture_hold", hold_id=hold, amount=31, keep_rest=True)
    await story.does("release", "release_hold", hold_id=hold, amount=15)
    await story.does("capture of the rest", "capture_hold", hold_id=hold, amount=11)
    await story.holds("overdue", "ann", 40, days=2)
    await story.sweeps(3)
    await story.holds("open", "ann", 13)


async def _reversals(story: Story) -> None:
    spent = await story.spends("spend", "ann", 21)
    await story.does("reverse", "reverse_transfer", transfer_id=spent, amount=5)
    await story.does("reverse again", "reverse_transfer", transfer_id=spent, amount=7)
    await story.does("donate", "donate_points", member_id=story.ids["ann"], program=story.given, amount=3,
                     good_cause="trees")  # fmt: skip
    for name, amount in (("adjust up", 17), ("adjust down", -4)):
        with story.step():
            adjusted = await service.adjust_points(
                STAFF, member_id=story.ids["ann"], program=story.given, amount=amount, reason="MISCOUNT",
                idempotency_key=new_key(),
            )  # fmt: skip
            assert adjusted.posted
            await story.note(name, adjusted.posted)
    await story.does("reverse of adjust down", "reverse_transfer", transfer_id=story.ids["adjust down"])
    pending = await story.gives("cancelled", "ann", 16, usable_at=story.now + 30 * DAY)
    await story.does("cancel", "cancel_pending", transfer_id=pending, amount=6)


async def _gifts(story: Story) -> None:
    ben = story.ids["ben"]
    source = await story.gives("source", "cleo", 50)
    await story.does("gift", "gift_points", member_id=story.ids["cleo"], recipient_id=ben, program=story.given,
                     amount=30)  # fmt: skip
    with story.step():
        await service.publish_exchange_rate(
            SYSTEM, from_program=story.given, to_program=story.offered, numerator=3, denominator=2
        )
    await story.does("exchange", "exchange_points", member_id=ben, from_program=story.given,
                     to_program=story.offered, amount=11)  # fmt: skip
    await story.spends("spend of the rest", "cleo", 18)
    await story.does("clawback", "reverse_transfer", transfer_id=source)  # from ben too, and debt
    await story.gives("paying", "cleo", 8)


async def _penalties(story: Story) -> None:
    ben = story.ids["ben"]
    await story.gives("good", "ben", 26)
    await story.gives("pending", "ben", 14, usable_at=story.now + 60 * DAY)
    await story.holds("older", "ben", 9)
    await story.holds("newer", "ben", 7)
    penalty: Any = {"member_id": ben, "program": story.given, "from_held": True, "shortfall": Shortfall.DEBT}
    await story.does("deduct held", "deduct_points", amount=15, **penalty)
    deduct = await story.does("deduct", "deduct_points", amount=50, from_pending=True, **penalty)
    await story.gives("paying a part", "ben", 12)
    for name, amount in (("restore", 11), ("restore again", 33)):
        await story.does(name, "restore_points", transfer_id=deduct.transfer_id, amount=amount)
    await story.does("clawback of any", "clawback_points", member_id=ben, program=story.given, amount=2)
    await story.does("deduct from cleo", "deduct_points", member_id=story.ids["cleo"], program=story.given, amount=6,
                     shortfall=Shortfall.DEBT)  # fmt: skip


async def _stored_value(story: Story) -> None:
    await db.execute("INSERT INTO channels (id, code, name) VALUES (gen_random_uuid(), 'pos', 'Till')")
    cleo: Any = {"member_id": story.ids["cleo"], "program": story.given}
    await story.does("top up", "top_up", amount=1000, channel="pos", payment_reference="P-1", paid_at=NOON, **cleo)
    await story.does(
        "small top up", "top_up", amount=20, channel="pos", payment_reference="P-2", paid_at=NOON, **cleo
    )
    await story.does("pay", "pay_stored_value", amount=30, **cleo)
    held = await story.does("hold value", "hold_stored_value", amount=45, **cleo)
    await story.does("capture value", "capture_hold", hold_id=held.hold_id)
    await story.does("refund", "refund_top_up", transfer_id=story.ids["top up"], amount=200)


async def _merge(story: Story) -> None:
    """Dora has everything that can be had, and is merged into Cleo; what was hers goes on there."""
    await story.gives("of dora", "dora", 70)
    await story.gives("pending of dora", "dora", 23, usable_at=story.now + 40 * DAY)
    spent = await story.spends("spend of dora", "dora", 19)
    hold = await story.holds("hold of dora", "dora", 28)
    await story.does("debt of dora", "deduct_points", member_id=story.ids["dora"], program=story.given, amount=24,
                     shortfall=Shortfall.DEBT)  # fmt: skip
    with story.step():
        await merge(story.ids["dora"], story.ids["cleo"])
    await story.does("capture after the merge", "capture_hold", hold_id=hold, amount=5, keep_rest=True)
    await story.does("reverse after the merge", "reverse_transfer", transfer_id=spent, amount=10)
    await story.gives("after the merge", "cleo", 39)
    await story.does("restore after the merge", "restore_points", transfer_id=story.ids["debt of dora"], amount=4)


async def _offers(story: Story) -> None:
    ann, cleo = story.ids["ann"], story.ids["cleo"]
    await story.gives("offering", "ann", 200, story.offered)
    offers = {}
    for name, amount in (("accepted", 21), ("declined", 22), ("withdrawn", 23), ("expired", 24)):
        gift = await story.does(f"offer {name}", "gift_points", member_id=ann, recipient_id=cleo,
                                program=story.offered, amount=amount)  # fmt: skip
        offers[name] = gift.gift_id
    await story.does("accept", "accept_gift", gift_id=offers["accepted"])
    story.ids["accept"] = await db.fetch_value(  # the sender's side, where accepting answers the other
        "SELECT id FROM transfers WHERE refers_id = $1 AND kind = 'GIFT'", offers["accepted"]
    )
    await story.does("decline", "decline_gift", gift_id=offers["declined"])
    await story.does("withdraw", "withdraw_gift", gift_id=offers["withdrawn"])
    await story.sweeps(4)
    await story.does("offer open", "gift_points", member_id=ann, recipient_id=cleo, program=story.offered, amount=25)
