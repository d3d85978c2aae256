"""Something of every kind that has a global id, all of it one member's where it is a member's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from engage.api.relay import global_id
from engage.base import db
from engage.base.actor import SYSTEM
from engage.domains.access import service as access
from engage.domains.earning import service as earning
from engage.domains.earning.types import PurchaseInput
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.domains.notifications.service import add_message
from engage.domains.notifications.types import MessageCode
from engage.domains.purchases.types import Order, OrderLine
from tests.api import hooks, keys
from tests.api.conftest import Person, new_key
from tests.api.ledger_inputs import adjustment, gift_of, hold, rate_id, top_up
from tests.api.promised import DONE, put_jobs


async def _purchase(member: Person) -> UUID:
    order = Order(
        order_no=new_key(),
        amount=Decimal("10.50"),
        purchased_at=datetime(2026, 1, 1, tzinfo=UTC),
        channel="pos",
        lines=(OrderLine("ITEM-1", 2, Decimal("1.25"), "tea", None),),
    )
    await earning.record_purchases(
        SYSTEM, program="default", rows=[PurchaseInput(IdentityRef("card", member.card), order)]
    )
    return await _id("SELECT id FROM purchases WHERE order_no = $1", order.order_no)


async def _message(member: Person) -> UUID:
    params: dict[str, object] = {"program": "default", "amount": 5, "expires_on": "2026-12-31"}
    return await add_message(member.id, MessageCode.POINTS_EXPIRING, params)


async def _store(_: Person) -> UUID:
    return (await members.create_store(SYSTEM, program="default", code=new_key(), name="The corner shop")).id


async def _job(_: Person) -> UUID:
    await put_jobs()
    return DONE


async def _endpoint(_: Person) -> UUID:
    await hooks.put_webhooks()
    return hooks.PRESENT


async def _id(sql: str, *values: object) -> UUID:
    found = await db.fetch_value(sql, *values)
    assert isinstance(found, UUID)
    return found


async def _of_itself(member: Person) -> UUID:
    return member.id


async def _key(_: Person) -> UUID:
    await keys.put_keys()
    return keys.PRESENT


async def _revocation(_: Person) -> UUID:
    return (await access.revoke_tokens(SYSTEM, subject="nobody-here")).id


MADE: dict[str, Callable[[Person], Awaitable[UUID]]] = {
    "Adjustment": adjustment,
    "ApiKey": _key,
    "AuditEntry": lambda _: _id("SELECT id FROM audit_log ORDER BY id DESC LIMIT 1"),
    "Revocation": _revocation,
    "Channel": lambda _: _id("SELECT id FROM channels WHERE code = 'card'"),
    "ExchangeRate": rate_id,
    "Gift": gift_of,
    "Hold": hold,
    "Job": _job,
    "Lot": lambda member: _id("SELECT id FROM lots WHERE member_id = $1 ORDER BY id LIMIT 1", member.id),
    "Member": _of_itself,
    "Message": _message,
    "Program": lambda _: _id("SELECT id FROM programs WHERE code = 'default'"),
    "Purchase": _purchase,
    "Store": _store,
    "TopUp": top_up,
    "Transfer": lambda member: _id("SELECT source_id FROM lots WHERE member_id = $1 ORDER BY id LIMIT 1", member.id),
    "WebhookEndpoint": _endpoint,
}
"""How there comes to be one of each kind."""


async def make_things(member: Person) -> dict[str, str]:
    """One of each kind: its global id."""
    return {kind: global_id(kind, await make(member)) for kind, make in MADE.items()}
