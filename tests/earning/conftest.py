"""Each module has a connected process with channels; each test a program of its own."""

from __future__ import annotations

import pytest

from engage.base.actor import SYSTEM
from engage.base.settings import Settings
from engage.domains.members.service import create_channel
from engage.wiring import register_all
from tests.earning.till import new_program


@pytest.fixture(scope="module")
async def channels(connected: Settings) -> Settings:
    register_all()
    for code in ("card", "email", "web", "pos"):
        await create_channel(SYSTEM, code=code, name=code)
    return connected


@pytest.fixture
async def program(channels: Settings) -> str:
    assert channels.database_url
    return await new_program()
