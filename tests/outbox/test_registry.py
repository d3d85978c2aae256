from __future__ import annotations

import json

import pytest

from engage.base import clock
from engage.outbox import OutboxEvent, Tick, handlers_json, job, on
from engage.outbox.registry import Registry, fresh_registry, present
from tests.outbox.working import Happened


async def handle(event: OutboxEvent) -> None:
    raise AssertionError(event)


async def work(tick: Tick) -> None:
    raise AssertionError(tick)


def test_events_are_named_by_class_or_wire_name_and_handlers_by_room_and_function(registry: Registry) -> None:
    on(Happened, "other.happened.v1")(handle)
    on(Happened, Happened, name="mail.handle")(handle)
    assert json.loads(handlers_json()) == {
        "tests.happened.v1": ["tests.outbox.test_registry.handle", "mail.handle"],
        "other.happened.v1": ["tests.outbox.test_registry.handle"],
    }
    assert registry.is_promised("other.happened.v1")
    assert not registry.is_promised("nobody.cares.v1")


def test_the_room_of_a_domain_is_its_name(registry: Registry) -> None:
    async def welcome(event: OutboxEvent) -> None:
        raise AssertionError(event)

    welcome.__module__ = "engage.domains.notifications.handlers"
    registry.on(Happened)(welcome)
    assert registry.names() == ["notifications.welcome"]


def test_a_name_is_registered_once_whatever_it_names(registry: Registry) -> None:
    registry.on(Happened, name="same")(handle)
    with pytest.raises(ValueError, match="'same' is registered already"):
        registry.on(Happened, name="same")(handle)
    with pytest.raises(ValueError, match="'same' is registered already"):
        registry.job("same", every_minutes=1)(work)


@pytest.mark.parametrize("name", ["", "n" * 71])
def test_names_fit_their_column(registry: Registry, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 70 characters"):
        registry.job(name, every_minutes=1)(work)


def test_what_is_not_async_is_refused(registry: Registry) -> None:
    with pytest.raises(TypeError, match="has to be an `async def`"):
        registry.on(Happened)(lambda _: None)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="has to be an `async def`"):
        registry.job("sync", every_minutes=1)(lambda: None)  # type: ignore[type-var]


def test_a_handler_without_events_is_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="at least one event"):
        registry.on()


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ({}, "exactly one"),
        ({"every_minutes": 5, "at": "02:30"}, "exactly one"),
        ({"every_minutes": 0}, "every minute at most"),
        ({"every_minutes": 1_000_000}, "every year at least"),
        ({"at": "25:00"}, "HH:MM"),
        ({"at": "half past two"}, "HH:MM"),
        ({"at": "02:30", "zone": "Mars/Olympus"}, "IANA name"),
        ({"at": "02:30", "zone": "../etc/passwd"}, "IANA name"),
    ],
)
def test_a_schedule_that_never_fires_is_refused(schedule: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        job("never", **schedule)  # type: ignore[arg-type]


async def test_a_job_may_do_without_its_tick(registry: Registry) -> None:
    ran = []

    @registry.job("plain", every_minutes=1)
    async def plain() -> None:
        ran.append(1)

    (registered,) = registry.jobs()
    await registered.call(Tick("plain", registered.schedule.latest(clock.now()), 1))
    assert ran == [1]


def test_a_fresh_registry_leaves_nothing_behind() -> None:
    before = present().names()
    with fresh_registry() as registry:
        registry.on(Happened)(handle)
        assert present() is registry
    assert present().names() == before
