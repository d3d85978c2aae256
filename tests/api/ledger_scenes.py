"""What has to have happened for some of the ledger's problems to be met, and what the input says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from engage.api.relay import global_id
from engage.base import db
from engage.base.actor import SYSTEM, Actor, Role
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from tests.api.clients import Json
from tests.api.conftest import Person, give, new_key
from tests.api.ledger_inputs import OFFERS, adjustment, gift_of, gift_to, offers, publish, somebody, spending, top_up

MOST = 2**53 - 1
"""The most that an account holds."""

ADMIN = Actor("admin-1", Role.ADMIN)
"""The subject of the admin's token."""


async def fill_up(member_id: UUID, program: str = "default") -> Json:
    """Have an account that is there hold as much as one can."""
    await db.execute(
        "UPDATE accounts a SET available = $3 - a.pending - a.held FROM currencies c"
        " WHERE c.id = a.currency_id AND a.member_id = $1 AND c.program_code = $2",
        member_id,
        program,
        MOST,
    )
    return {}


async def owing_all(member: Person) -> Json:
    """Have a member owe as much as one can."""
    await db.execute("UPDATE accounts SET debt = $2 WHERE member_id = $1", member.id, MOST)
    return {"amount": 200, "shortfall": "DEBT"}


async def full_recipient(member: Person) -> Json:
    other = await somebody(member)
    await give(other, 1)
    await fill_up(other)
    return {"recipientId": global_id("Member", other)}


async def given_by_one_erased(member: Person) -> Json:
    gift_id = await gift_to(member)
    await db.execute(
        "UPDATE members SET state = 'ERASED' WHERE id = (SELECT sender_id FROM gifts WHERE id = $1)", gift_id
    )
    return {"giftId": global_id("Gift", gift_id)}


async def offered_and_full(member: Person) -> Json:
    gift_id = await gift_to(member)
    await give(member.id, 1, OFFERS)
    await fill_up(member.id, OFFERS)
    return {"giftId": global_id("Gift", gift_id)}


async def waiting_and_full(member: Person) -> Json:
    waiting = await adjustment(member)
    await give(member.id, 1, OFFERS)
    await fill_up(member.id, OFFERS)
    return {"adjustmentId": global_id("Adjustment", waiting)}


async def full_of_value(member: Person) -> Json:
    await top_up(member)
    return await fill_up(member.id)


async def paid_and_full(member: Person) -> Json:
    paid = await pay(member)
    await fill_up(member.id)
    return {**paid, "value": "1.00"}


async def pay(member: Person) -> Json:
    """A payment of 5.00 with stored value."""
    await top_up(member)
    done = await ledger.pay_stored_value(
        SYSTEM, member_id=member.id, program="default", amount=500, idempotency_key=new_key()
    )
    return {"transferId": global_id("Transfer", done.transfer_id), "amount": None}


async def pay_and_ask_for_more(member: Person) -> Json:
    return {**await pay(member), "value": "5.01"}


async def hold_value(member: Person) -> Json:
    """A hold of 5.00, of which more is asked for."""
    await top_up(member)
    done = await ledger.hold_stored_value(
        SYSTEM, member_id=member.id, program="default", amount=500, idempotency_key=new_key()
    )
    return {"holdId": global_id("Hold", done.hold_id), "amount": None, "value": "5.01"}


async def ended_hold(member: Person) -> Json:
    done = await ledger.hold_points(
        SYSTEM, member_id=member.id, program="default", amount=5, idempotency_key=new_key()
    )
    await ledger.release_hold(SYSTEM, hold_id=done.hold_id, idempotency_key=new_key())
    await db.execute("UPDATE holds SET deadline = '2099-01-01T00:00:00Z' WHERE id = $1", done.hold_id)
    return {"holdId": global_id("Hold", done.hold_id)}


async def usable(member: Person) -> Json:
    done = await give(member.id, 5)
    return {"transferId": global_id("Transfer", done.transfer_id)}


async def spent(member: Person) -> Json:
    return {"transferId": global_id("Transfer", await spending(member))}


async def earned_and_spent(member: Person) -> Json:
    """An earning of 50 of which nothing is there, to be taken back or refused."""
    done = await give(member.id, 50)
    await ledger.spend_points(SYSTEM, member_id=member.id, program="default", amount=150, idempotency_key=new_key())
    return {
        "transferId": global_id("Transfer", done.transfer_id),
        "amount": None,
        "shortfall": "REFUSE",
    }


async def held(member: Person) -> Json:
    """A transfer that reversals do not take back."""
    done = await ledger.hold_points(
        SYSTEM, member_id=member.id, program="default", amount=5, idempotency_key=new_key()
    )
    return {"transferId": global_id("Transfer", done.transfer_id)}


async def strict(member: Person) -> Json:
    """A program in which a member gives away five points a day."""
    program = f"strict-{new_key()}"
    await members.create_program(SYSTEM, code=program, name=program, time_zone="UTC", money_currency="USD")
    await publish(program, gift_daily_points=5)
    await give(member.id, 10, program)
    return {"program": program}


def decided(decision: str, *, key: bool = False) -> Callable[[Person], Awaitable[Json]]:
    """A gift that was decided, under the key that is used again or another."""

    async def decide(member: Person) -> Json:
        gift_id = await (gift_of if decision == "withdraw_gift" else gift_to)(member)
        given = {"giftId": global_id("Gift", gift_id), "idempotencyKey": new_key()}
        command = getattr(ledger, decision)
        await command(SYSTEM, gift_id=gift_id, idempotency_key=given["idempotencyKey"] if key else new_key())
        return given

    return decide


async def withdrawn_by_another_decision(member: Person) -> Json:
    """A gift of the member's that was declined under the key with which it is withdrawn."""
    gift_id, key = await gift_of(member), new_key()
    await ledger.decline_gift(SYSTEM, gift_id=gift_id, idempotency_key=key)
    return {"giftId": global_id("Gift", gift_id), "idempotencyKey": key}


async def no_rate(_: Person) -> Json:
    """No rate leads this way yet."""
    program = f"rates-{new_key()}"
    await members.create_program(SYSTEM, code=program, name=program, time_zone="UTC", money_currency="USD")
    return {"toProgram": program}


async def full_elsewhere(member: Person) -> Json:
    await offers()
    await give(member.id, 1, OFFERS)
    return await fill_up(member.id, OFFERS)


async def asked_by_oneself(member: Person) -> Json:
    return {"adjustmentId": global_id("Adjustment", await adjustment(member, ADMIN))}


async def too_much_down(member: Person) -> Json:
    return {"adjustmentId": global_id("Adjustment", await adjustment(member, amount=-11))}


async def approved(member: Person) -> Json:
    waiting = await adjustment(member)
    await ledger.approve_adjustment(SYSTEM, adjustment_id=waiting)
    return {"adjustmentId": global_id("Adjustment", waiting)}


async def rejected(member: Person) -> Json:
    waiting = await adjustment(member)
    await ledger.reject_adjustment(SYSTEM, adjustment_id=waiting)
    return {"adjustmentId": global_id("Adjustment", waiting)}


async def paid_in_before(member: Person) -> Json:
    await top_up(member, reference := new_key())
    return {"paymentReference": reference}
