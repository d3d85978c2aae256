"""Each test of the ledger has a connected process, and a program and a member of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from engage.base.settings import Settings
from tests.ledger.books import new_member, new_program
from tests.ledger.soundness import assert_sound


@pytest.fixture
async def program(connected: Settings) -> str:
    assert connected.database_url
    return await new_program()


@pytest.fixture
async def member(connected: Settings) -> UUID:
    assert connected.database_url
    return await new_member()


@pytest.fixture
async def sound(connected: Settings) -> AsyncIterator[None]:
    """The ledger keeps its laws after the test, whatever that was about."""
    assert connected.database_url
    yield
    await assert_sound()
