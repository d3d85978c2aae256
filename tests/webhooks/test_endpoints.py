"""Making, changing and deleting endpoints; who may; how many there may be."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from engage import domains, wiring
from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.paging import Window
from engage.domains.webhooks import queries, service
from engage.domains.webhooks.errors import TooManyWebhooks, UnknownEvent
from engage.domains.webhooks.types import WebhookState
from engage.outbox.catalogue import known_events
from tests.api.hooks import URL
from tests.walking import walk_both
from tests.webhooks.receivers import answer, receiving
from tests.webhooks.telling import NOW, REGISTERED, carry_out, happen, rows, states, subscribe, tick

pytestmark = pytest.mark.usefixtures("ready")

ENDPOINT = new_id()
COMMANDS: dict[str, Callable[[Actor], Awaitable[Any]]] = {
    "create": lambda actor: service.create_endpoint(actor, url=URL, events=[REGISTERED]),
    "update": lambda actor: service.update_endpoint(actor, ENDPOINT, description="x"),
    "pause": lambda actor: service.pause_endpoint(actor, ENDPOINT),
    "resume": lambda actor: service.resume_endpoint(actor, ENDPOINT),
    "delete": lambda actor: service.delete_endpoint(actor, ENDPOINT),
    "rotate": lambda actor: service.rotate_secret(actor, ENDPOINT),
    "replay": lambda actor: service.replay(actor, ENDPOINT, since=NOW),
    "test": lambda actor: service.send_test(actor, ENDPOINT),
    "get": lambda actor: queries.get_endpoint(actor, ENDPOINT),
    "list": lambda actor: queries.list_endpoints(actor, Window(10)),
    "figures": lambda actor: queries.load_endpoint_figures(actor, [ENDPOINT]),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("role", [Role.MEMBER, Role.STAFF, Role.MODERATOR, Role.SERVICE])
async def test_only_admins_have_to_do_with_webhooks(name: str, role: Role) -> None:
    actor = Actor("someone", role, new_id() if role is Role.MEMBER else None)
    with pytest.raises(Forbidden):
        await COMMANDS[name](actor)


@pytest.mark.parametrize("name", ["update", "pause", "resume", "delete", "rotate", "replay", "test", "get"])
async def test_an_endpoint_that_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        await COMMANDS[name](SYSTEM)
    assert await states() == []


def test_every_room_of_events_is_in_the_catalogue() -> None:
    rooms = pkgutil.walk_packages(domains.__path__, "engage.domains.")
    found = {module.name for module in rooms if module.name.endswith(".events")}
    assert found == set(wiring.EVENT_MODULES)
    assert {
        "members.registered.v1",
        "ledger.points_earned.v1",
        "ledger.points_spent.v1",
        "ledger.points_expiring.v1",
        "purchases.recorded.v1",
        "webhooks.ping.v1",
    } <= set(known_events())
    assert not [name for name in known_events() if name.startswith("tests.")]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "1 to 500"),
        ("https://hooks.example/" + "x" * 500, "1 to 500"),
        ("ftp://hooks.example/", "no address"),
        ("hooks.example", "no address"),
        ("https://", "no address"),
        ("https://hooks.example/a b", "no address"),
        ("https://hooks.example/\x00", "no address"),
        ("https://hooks.example/#part", "no address"),
        ("https://hooks.example:0/", "no address"),
        ("https://hooks.example:65536/", "no address"),
        ("https:" + "//[::1/", "no address"),
        ("https://höoks.example/", "no address"),
        ("https://hooks.example\\@127.0.0.1/", "no address"),
        ("https://user:pass@hooks.example/", "no user"),
        ("https://user@hooks.example/", "no user"),
        ("https://@hooks.example/", "no user"),
    ],
)
async def test_what_is_no_address_is_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        await service.create_endpoint(SYSTEM, url=url, events=[REGISTERED])
    assert refused.value.path == ["url"]


async def test_events_are_checked_against_those_there_are() -> None:
    with pytest.raises(UnknownEvent) as refused:
        await service.create_endpoint(SYSTEM, url=URL, events=[REGISTERED, "members.resurrected.v1"])
    assert REGISTERED in refused.value.extras["known"]
    for events in ([], [REGISTERED] * 51):
        with pytest.raises(InvalidInput):
            await service.create_endpoint(SYSTEM, url=URL, events=events)
    made = await service.create_endpoint(SYSTEM, url=URL, events=[REGISTERED, "*"])
    assert made.endpoint.events == ("*",)


async def test_many_that_are_made_at_once_do_not_pass_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ENDPOINTS_MAX", 5)
    made = await asyncio.gather(
        *(service.create_endpoint(SYSTEM, url=URL, events=[REGISTERED]) for _ in range(12)), return_exceptions=True
    )
    refused = [one for one in made if isinstance(one, TooManyWebhooks)]
    assert (len(refused), len(made)) == (7, 12)
    assert refused[0].extras == {"limit": 5}
    assert await db.fetch_value("SELECT count(*) FROM webhook_endpoints") == 5
    assert await db.fetch_value("SELECT count(DISTINCT target) FROM outbox_routes") == 5


async def test_endpoints_are_listed_newest_first_by_page() -> None:
    made = [(await service.create_endpoint(SYSTEM, url=URL, events=["*"])).endpoint for _ in range(3)]
    assert await walk_both(lambda window: queries.list_endpoints(SYSTEM, window), 2) == made[::-1]


async def test_an_update_changes_what_is_given_and_what_is_told_from_then_on() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver, "ledger.points_spent.v1")
        await happen()
        changed = await service.update_endpoint(SYSTEM, made.endpoint.id, events=[REGISTERED], description=" Till ")
        assert (changed.url, changed.events, changed.description) == (receiver.url, (REGISTERED,), "Till")
        stream = await happen()
        await carry_out()
        assert [one.message["stream"] for one in receiver.deliveries] == [stream]
        assert (await queries.get_endpoint(SYSTEM, made.endpoint.id)) == changed


async def test_another_address_is_tried_at_once_with_what_waits() -> None:
    async with receiving() as wrong, receiving() as right:
        made = await subscribe(wrong)
        wrong.answers = [answer(500)] * 10
        with clock.frozen(NOW):
            stream = await happen(3)
            await carry_out()
            figures = (await queries.load_endpoint_figures(SYSTEM, [made.endpoint.id]))[made.endpoint.id]
            assert (figures.failures, figures.failing_since, figures.waiting, figures.dead) == (1, NOW, 3, 0)
            await service.update_endpoint(SYSTEM, made.endpoint.id, url=right.url)
            await carry_out()
            figures = (await queries.load_endpoint_figures(SYSTEM, [made.endpoint.id]))[made.endpoint.id]
            assert (figures.failures, figures.failing_since, figures.waiting, figures.dead) == (0, None, 0, 0)
        assert right.positions(stream) == [1, 2, 3]


async def test_what_waited_for_a_deleted_endpoint_is_never_told_and_goes() -> None:
    async with receiving() as receiver:
        made, other = await subscribe(receiver), await subscribe(receiver)
        with clock.frozen(NOW):
            await tick()
            await happen(2)
            await db.execute(
                "UPDATE outbox SET dead_at = $1 WHERE target = $2 AND payload ->> 'position' = '2'",
                NOW, str(made.endpoint.id),
            )  # fmt: skip
            await service.delete_endpoint(SYSTEM, made.endpoint.id)
            await happen()
            assert len(await rows(made.endpoint.id)) == 2
            await carry_out()
        assert len(receiver.deliveries) == 3
        with clock.frozen(NOW + timedelta(minutes=30)):
            await tick()
            await carry_out()
        assert await rows(made.endpoint.id) == []
        lanes = "SELECT target FROM outbox_lanes WHERE handler = 'webhooks.deliver' AND target <> ''"
        assert await db.fetch_value(f"SELECT count(*) FROM ({lanes}) l") == 2  # noqa: S608
        with clock.frozen(NOW + timedelta(minutes=90)):
            await tick()
            await carry_out()
        assert [row["target"] for row in await db.fetch(lanes)] == [str(other.endpoint.id)]
        assert (await queries.get_endpoint(SYSTEM, other.endpoint.id)).state is WebhookState.ACTIVE
