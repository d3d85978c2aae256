"""A gift that is offered between two members ends when they turn out to be one."""

from __future__ import annotations

from uuid import UUID

import pytest

from engage.base import clock
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.domains.ledger.errors import GiftDecided
from engage.domains.ledger.types import Balance, GiftPosted
from tests.ledger.books import NOON, STAFF, balance, earn, new_key, new_member
from tests.ledger.merging import merge
from tests.ledger.publishing import program_with, rolling
from tests.ledger.sums import assert_sums


@pytest.fixture(scope="module", autouse=True)
async def database(connected: Settings) -> None:
    assert connected.database_url


async def offer(sender: UUID, recipient: UUID, program: str) -> GiftPosted:
    return await service.gift_points(
        STAFF, member_id=sender, recipient_id=recipient, program=program, amount=30, idempotency_key=new_key()
    )


@pytest.mark.parametrize("sender_survives", [True, False])
async def test_a_merge_takes_back_what_one_offered_the_other(sender_survives: bool) -> None:  # noqa: FBT001
    program = await program_with(rolling(gift_accept_within="P1D"))
    sender, recipient, third = await new_member(), await new_member(), await new_member()
    with clock.frozen(NOON):
        await earn(sender, program, 100)
        between = await offer(sender, recipient, program)
        outside = await offer(sender, third, program)
        survivor = sender if sender_survives else recipient
        await merge(recipient if sender_survives else sender, survivor)
        assert await balance(survivor, program) == Balance(available=70, held=30)
        with pytest.raises(GiftDecided):
            await service.accept_gift(STAFF, gift_id=between.gift_id, idempotency_key=new_key())
        await service.accept_gift(STAFF, gift_id=outside.gift_id, idempotency_key=new_key())
        assert await balance(survivor, program) == Balance(available=70)
        assert await balance(third, program) == Balance(available=30)
    await assert_sums()
