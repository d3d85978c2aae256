"""What the ledger refuses, with which words and figures, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound, Refusal
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.domains.ledger.errors import InsufficientPoints, MemberNotActive
from engage.domains.ledger.queries import get_balance, get_program_points
from engage.domains.ledger.service import earn_points, spend_points
from engage.domains.ledger.types import POINTS_MAX, Cause, Posted
from tests.ledger.books import NOON, STAFF, earn, everything, new_key, new_member, spend

Command = Callable[..., Awaitable[Posted]]


async def refused(kind: type[Refusal], command: Command, *values: Any, **more: Any) -> Refusal:
    """Call a command that has to be refused, and see that nothing was changed."""
    before = await everything()
    with pytest.raises(kind) as caught:
        await command(*values, **more)
    assert await everything() == before
    assert type(caught.value) is kind
    return caught.value


async def test_more_than_there_is(member: UUID, program: str) -> None:
    await earn(member, program, 9)
    refusal = await refused(InsufficientPoints, spend, member, program, 10)
    assert (refusal.code, refusal.path) == ("INSUFFICIENT_POINTS", ["amount"])
    assert refusal.extras == {"available": 9, "required": 10}
    assert refusal.message == "10 points are needed and 9 are available."


async def test_a_member_without_an_account_has_nothing(member: UUID, program: str) -> None:
    refusal = await refused(InsufficientPoints, spend, member, program, 1)
    assert refusal.extras == {"available": 0, "required": 1}


@pytest.mark.parametrize("command", [earn, spend])
async def test_unknown_member(command: Command, program: str) -> None:
    refusal = await refused(NotFound, command, new_id(), program, 1)
    assert refusal.path == ["memberId"]


@pytest.mark.parametrize("command", [earn, spend])
async def test_unknown_program(command: Command, member: UUID) -> None:
    refusal = await refused(NotFound, command, member, "nowhere", 1)
    assert refusal.path == ["program"]


@pytest.mark.parametrize(
    ("command", "state"),
    [
        *((earn, state) for state in ("SUSPENDED", "CANCELLED", "ERASED")),
        *((spend, state) for state in ("FROZEN", "SUSPENDED", "CANCELLED", "ERASED")),
    ],
)
async def test_members_who_may_not_move_points(command: Command, state: str, program: str) -> None:
    member = await new_member(state)
    refusal = await refused(MemberNotActive, command, member, program, 1)
    assert refusal.extras == {"state": state}


async def test_a_frozen_member_still_earns(program: str) -> None:
    assert (await earn(await new_member("FROZEN"), program, 3)).balance.available == 3


@pytest.mark.parametrize("command", [earn, spend])
@pytest.mark.parametrize("amount", [0, -1, POINTS_MAX + 1, 2**63, -(2**63)])
async def test_amounts_out_of_range(command: Command, amount: int, member: UUID, program: str) -> None:
    refusal = await refused(InvalidInput, command, member, program, amount)
    assert refusal.path == ["amount"]


@pytest.mark.parametrize("command", [earn, spend])
@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"reason": ""}, ["reason"]),
        ({"reason": "free text"}, ["reason"]),
        ({"reason": "X" * 65}, ["reason"]),
        ({"cause": Cause("", "1")}, ["cause", "type"]),
        ({"cause": Cause("x" * 33, "1")}, ["cause", "type"]),
        ({"cause": Cause("order", "")}, ["cause", "id"]),
        ({"cause": Cause("order", "x" * 81)}, ["cause", "id"]),
        ({"key": ""}, ["idempotencyKey"]),
        ({"key": "x" * 129}, ["idempotencyKey"]),
    ],
)
async def test_malformed_codes(
    command: Command, more: dict[str, Any], path: list[str], member: UUID, program: str
) -> None:
    given = {"idempotency_key": new_key()} | {
        ("idempotency_key" if name == "key" else name): value for name, value in more.items()
    }
    service = earn_points if command is earn else spend_points
    refusal = await refused(InvalidInput, service, STAFF, member_id=member, program=program, amount=1, **given)
    assert refusal.path == path


@pytest.mark.parametrize(
    ("window", "path"),
    [
        ({"expires_at": NOON}, "expiresAt"),
        ({"expires_at": NOON - timedelta(days=1)}, "expiresAt"),
        ({"usable_at": NOON + timedelta(days=2), "expires_at": NOON + timedelta(days=2)}, "expiresAt"),
        ({"usable_at": NOON + timedelta(days=40000)}, "usableAt"),
        ({"expires_at": NOON + timedelta(days=40000)}, "expiresAt"),
        ({"usable_at": datetime(2026, 4, 1)}, "usableAt"),  # noqa: DTZ001 -- a moment without a zone is the point
        ({"expires_at": datetime(2026, 4, 1)}, "expiresAt"),  # noqa: DTZ001
    ],
)
async def test_windows_in_which_nothing_could_be_used(
    window: dict[str, datetime], path: str, member: UUID, program: str
) -> None:
    with clock.frozen(NOON):
        refusal = await refused(InvalidInput, earn, member, program, 1, **window)
    assert refusal.path == [path]


@pytest.mark.parametrize(
    "actor",
    [
        Actor("a-phone", Role.MEMBER, new_id()),
        Actor("moderator", Role.MODERATOR),
    ],
)
async def test_roles_that_may_not(actor: Actor, member: UUID, program: str) -> None:
    await earn(member, program, 5)
    for command in (earn_points, spend_points):
        await refused(
            Forbidden, command, actor, member_id=member, program=program, amount=1, idempotency_key=new_key()
        )


async def test_a_member_gives_nothing_to_themselves(member: UUID, program: str) -> None:
    actor = Actor("a-phone", Role.MEMBER, member)
    await refused(
        Forbidden, earn_points, actor, member_id=member, program=program, amount=1, idempotency_key=new_key()
    )


async def test_nobody_learns_who_is_a_member(member: UUID, program: str) -> None:
    actor = Actor("a-phone", Role.MEMBER, new_id())
    words = set()
    for other in (member, new_id()):
        refusal = await refused(
            Forbidden, spend_points, actor, member_id=other, program=program, amount=1, idempotency_key=new_key()
        )
        words.add(refusal.message)
        with pytest.raises(Forbidden) as caught:
            await get_balance(actor, other, program)
        words.add(caught.value.message.replace("MODERATOR, ", ""))
    assert len(words) == 1


async def test_totals_are_for_admins(connected: Settings) -> None:
    assert connected.development
    for role in (Role.STAFF, Role.SERVICE, Role.MODERATOR):
        with pytest.raises(Forbidden):
            await get_program_points(Actor("x", role), "default")
