"""Each module of these tests has a gateway with a database of its own, members, and a token for each role."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from engage.api.relay import global_id
from engage.base.actor import SYSTEM, Role
from engage.base.settings import Settings
from engage.domains.ledger import service as ledger
from engage.domains.ledger.types import Posted
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.seed import seed_basics
from tests.api.clients import HttpClient, http_client
from tests.api.gateway import Gateway, serving

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """A member with a card and a token."""

    id: UUID
    card: str
    token: str

    @property
    def gid(self) -> str:
        """The id as the API has it."""
        return global_id("Member", self.id)


class People:
    """Makes members, and remembers the tokens of the other roles."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.staff = gateway.token(Role.STAFF)
        self.moderator = gateway.token(Role.MODERATOR)
        self.admin = gateway.token(Role.ADMIN)
        self.service = gateway.token(Role.SERVICE)

    async def new(self, points: int = 0, *, locale: str = "en") -> Person:
        """A new member, with some points in the program `default`."""
        card = f"CARD-{next(_numbers):06}"
        record = await members.register_member(SYSTEM, identities=[IdentityRef("card", card)], locale=locale)
        if points:
            await give(record.id, points)
        return Person(record.id, card, self._gateway.token(Role.MEMBER, record.id))


def new_key() -> str:
    """An idempotency key, or a code, that nobody has used."""
    return f"key-{next(_numbers)}"


async def give(member_id: UUID, points: int, program: str = "default") -> Posted:
    return await ledger.earn_points(
        SYSTEM, member_id=member_id, program=program, amount=points, idempotency_key=new_key()
    )


@pytest.fixture(scope="module")
async def gateway(config: Settings) -> AsyncIterator[Gateway]:
    async with serving(config) as started:
        await seed_basics()
        yield started


@pytest.fixture(scope="module")
async def http(gateway: Gateway) -> AsyncIterator[HttpClient]:
    async with http_client(gateway.url) as client:
        yield client


@pytest.fixture(scope="module")
def people(gateway: Gateway) -> People:
    return People(gateway)
