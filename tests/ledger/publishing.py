"""Publishing points policies in few words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engage.base import clock
from engage.base.actor import Actor, Role
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms, PublishedPolicy
from tests.ledger.books import new_key, new_program

ADMIN = Actor("desk-1", Role.ADMIN)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def publish(
    program: str, terms: PolicyTerms, key: str | None = None, effective_at: datetime | None = None
) -> PublishedPolicy:
    return await publish_points_policy(
        ADMIN, program=program, policy=terms, idempotency_key=key or new_key(), effective_at=effective_at
    )


def rolling(after: str = "P1Y", **more: Any) -> PolicyTerms:
    return PolicyTerms(ExpiryKind.ROLLING, after, **more)


async def program_with(terms: PolicyTerms, zone: str = "UTC") -> str:
    """A program of its own whose policy has held for long; answers its code."""
    program = await new_program(zone=zone)
    with clock.frozen(LONG_AGO):
        await publish(program, terms)
    return program
