from __future__ import annotations

from collections.abc import Iterator

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.outbox.registry import Registry, fresh_registry
from engage.wiring import register_all
from tests.outbox.working import EFFECTS, forget_all


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry of this test's own. engage's own handlers are registered before, so that they stay out of it."""
    register_all()
    with fresh_registry() as registry:
        yield registry


@pytest.fixture(scope="module")
async def tables(connected: Settings) -> Settings:
    await db.execute(EFFECTS)
    return connected


@pytest.fixture
async def clean(tables: Settings, registry: Registry) -> Registry:  # noqa: ARG001 -- connected first
    """Nothing promised yet, and a registry to fill."""
    await forget_all()
    return registry
