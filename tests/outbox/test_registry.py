from __future__ import annotations

import json
from typing import Any

import pytest

from engage.base import clock
from engage.base.ids import new_id
from engage.outbox import Bounds, OutboxEvent, Run, handlers_json, job, on
from engage.outbox.registry import Registry, fresh_registry, present
from tests.outbox.working import Happened


async def handle(event: OutboxEvent) -> None:
    raise AssertionError(event)


async def work(run: Run) -> None:
    raise AssertionError(run)


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
        registry.job("same", cron="* * * * *")(work)


@pytest.mark.parametrize("name", ["", "n" * 71])
def test_names_fit_their_column(registry: Registry, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 70 characters"):
        registry.job(name, cron="* * * * *")(work)


def test_what_is_not_async_is_refused(registry: Registry) -> None:
    with pytest.raises(TypeError, match="has to be an `async def`"):
        registry.on(Happened)(lambda _: None)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="has to be an `async def`"):
        registry.job("sync", cron="* * * * *")(lambda: None)  # type: ignore[type-var]


def test_a_handler_without_events_is_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="at least one event"):
        registry.on()


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ({"cron": "every morning"}, "no cron expression"),
        ({"cron": "61 * * * *"}, "no cron expression"),
        ({"cron": "0 0 31 2 *"}, "'never': '0 0 31 2 \\*' is never due"),
        ({"cron": "30 2 * * *", "zone": "Mars/Olympus"}, "IANA name"),
        ({"cron": "30 2 * * *", "zone": "../etc/passwd"}, "IANA name"),
        ({"each_program": True}, "needs a schedule"),
    ],
)
def test_a_schedule_that_never_fires_is_refused(schedule: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        job("never", **schedule)


def test_the_name_of_a_job_leaves_room_for_a_program(registry: Registry) -> None:
    with pytest.raises(ValueError, match="for each program has 1 to 43 characters"):
        registry.job("n" * 44, cron="30 2 * * *", each_program=True)
    with pytest.raises(ValueError, match="has no slash"):
        registry.job("tests.tick/oak", cron="30 2 * * *")


async def test_a_job_may_do_without_its_run(registry: Registry) -> None:
    ran = []

    @registry.job("plain")
    async def plain() -> None:
        ran.append(1)

    (registered,) = registry.jobs()
    await registered.call(Run(id=new_id(), kind="plain", args={}, at=clock.now(), attempt=1, lease=1))
    assert ran == [1]


def test_what_is_asked_for_is_bounded_and_kept_longer_than_what_is_scheduled(registry: Registry) -> None:
    registry.job("asked")(work)
    registry.job("scheduled", cron="* * * * *")(work)
    asked, scheduled = (kind.bounds for kind in registry.kinds())
    assert asked.keep > scheduled.keep
    assert asked.in_flight_max is not None


def test_a_routed_handler_names_no_events_and_is_promised_none(registry: Registry) -> None:
    bounds = Bounds(in_flight_max=1)
    registry.on(routed=True, bounds=bounds)(handle)
    assert handlers_json() == "{}"
    with pytest.raises(ValueError, match="at least one event"):
        registry.on(Happened, routed=True, name="both", bounds=bounds)
    with pytest.raises(ValueError, match="needs an in_flight_max"):
        registry.on(routed=True, name="unbounded")


def test_a_fresh_registry_leaves_nothing_behind() -> None:
    before = present().names()
    with fresh_registry() as registry:
        registry.on(Happened)(handle)
        assert present() is registry
    assert present().names() == before
