"""What a new installation begins with: the channels and the program `default`; and a small demo to play with.

Both can be run again: what is there stays as it is.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.domains.earning import service as earning
from engage.domains.earning.types import PurchaseInput
from engage.domains.members import queries, service
from engage.domains.members.errors import AlreadyExists, IdentityTaken
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.types import Order, OrderLine

CHANNELS = {
    "app": "App",
    "card": "Member card",
    "email": "E-mail",
    "marketplace": "Marketplace",
    "phone": "Phone",
    "pos": "Till",
    "web": "Web shop",
    "wechat": "WeChat",
}

DEMO_MEMBER = IdentityRef("email", "demo@example.com")


async def seed_basics() -> None:
    """The channels, and the program `default`, whose points never expire."""
    for code, name in CHANNELS.items():
        with suppress(AlreadyExists):
            await service.create_channel(SYSTEM, code=code, name=name)
    with suppress(AlreadyExists):
        await service.create_program(
            SYSTEM, code="default", name="Default program", time_zone="UTC", money_currency="USD"
        )


async def seed_demo() -> UUID:
    """The program `demo` with two stores and a member with some orders; answers the member's id."""
    with suppress(AlreadyExists):
        await service.create_program(
            SYSTEM,
            code="demo",
            name="Demo tea house",
            time_zone="Asia/Shanghai",
            money_currency="CNY",
            points_per_unit=Decimal("1.5"),
            points_valid_for="P12M",
        )
        await service.create_store(SYSTEM, program="demo", code="bund", name="The Bund")
        await service.create_store(SYSTEM, program="demo", code="lake", name="West Lake")
    with suppress(IdentityTaken):
        await service.register_member(
            SYSTEM, identities=[DEMO_MEMBER, IdentityRef("card", "DEMO-0001")], display_name="Demo member"
        )
    member_id = (await queries.load_ids([DEMO_MEMBER]))[DEMO_MEMBER]
    await earning.record_purchases(SYSTEM, program="demo", rows=_demo_orders())
    return member_id


def _demo_orders() -> list[PurchaseInput]:
    """Three orders of last year, always the same in one year, so that they are recorded once."""
    begin = clock.now().replace(month=12, day=1, hour=2, minute=0, second=0, microsecond=0)
    begin = begin.replace(year=begin.year - 1)
    lines = (
        OrderLine("TEA-LONGJING-50", 1, Decimal("88.00"), "tea", "West Lake"),
        OrderLine("CUP-CELADON", 2, Decimal("64.00"), "ware", "Longquan"),
    )
    orders = (
        Order(
            order_no=f"DEMO-{begin.year}-{number}",
            amount=Decimal("152.00"),
            purchased_at=begin + timedelta(days=7 * number),
            channel="pos",
            store="bund",
            quantity=3,
            lines=lines,
        )
        for number in range(1, 4)
    )
    return [PurchaseInput(DEMO_MEMBER, order) for order in orders]
