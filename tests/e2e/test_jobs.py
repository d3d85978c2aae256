"""The worker's scheduled work from the clock to the member's inbox, with the clock set by the tests."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

import engage
from engage import wiring
from engage.base import clock, db
from engage.base.actor import SYSTEM, Role
from engage.base.settings import Settings
from engage.domains.ledger import seal
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.outbox.registry import present
from engage.outbox.scheduler import Scheduler
from engage.seed import seed_basics
from engage.worker import program_zones
from tests.api.clients import DEADLINE_S, HttpClient, http_client
from tests.api.gateway import Gateway, serving
from tests.outbox.working import work_off

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
EXPIRY = datetime(2031, 3, 1, tzinfo=SHANGHAI)
BEGIN = EXPIRY - 50 * DAY + timedelta(hours=12)
INBOX = """{ me {
  unreadCount
  messages(first: 10) { edges { node { title body createdAt } } }
  balance(program: "tea") { available pending }
} }"""


@pytest.fixture(scope="module")
async def gateway(config: Settings) -> AsyncIterator[Gateway]:
    async with serving(config) as started:
        await seed_basics()
        await members.create_program(
            SYSTEM, code="tea", name="Tea house", time_zone="Asia/Shanghai", money_currency="CNY"
        )
        yield started


@pytest.fixture(scope="module")
async def http(gateway: Gateway) -> AsyncIterator[HttpClient]:
    async with http_client(gateway.url) as client:
        yield client


@pytest.fixture
async def quiet(gateway: Gateway) -> None:  # noqa: ARG001 -- connected first
    """No ticks and no points of other tests."""
    await db.execute("TRUNCATE outbox, job_runs, schedule_ticks, expiry_reminders, messages")
    with clock.frozen(EXPIRY + 4000 * DAY):
        while await ledger.sweep_due(1000):
            pass
    await db.execute("TRUNCATE outbox, job_runs, schedule_ticks, expiry_reminders, messages")
    await work_at(BEGIN)  # schedules count from when they are first seen


async def work_at(moment: datetime) -> Counter[str]:
    """What a worker does that looks at the clock at this moment; which rows it made and carried out."""
    registry = present()
    with clock.frozen(moment):
        before = {row["id"] for row in await db.fetch("SELECT id FROM outbox")}
        await Scheduler(registry, lambda: None, program_zones).tick()
        while await work_off(registry):
            pass
        done = await db.fetch("SELECT id, handler, last_error FROM outbox WHERE finished_at = $1", clock.now())
        assert await db.fetch_value("SELECT count(*) FROM outbox WHERE finished_at IS NULL") == 0
    return Counter(row["handler"] for row in done if row["id"] not in before)


async def new_member(card: str, locale: str = "en") -> UUID:
    return (await members.register_member(SYSTEM, identities=[IdentityRef("card", card)], locale=locale)).id


async def give(member: UUID, amount: int, *, usable_at: datetime | None = None, at: datetime = EXPIRY) -> None:
    with clock.frozen(BEGIN):
        await ledger.earn_points(
            SYSTEM,
            member_id=member,
            program="tea",
            amount=amount,
            idempotency_key=f"{member}-{amount}",
            usable_at=usable_at,
            expires_at=at,
        )


async def events(member: UUID) -> Counter[str]:
    found = await db.fetch("SELECT name FROM events WHERE stream = $1", f"member:{member}")
    return Counter(row["name"].split(".")[1] for row in found)


async def inbox(gateway: Gateway, http: HttpClient, member: UUID) -> Any:
    return (await http.ask(INBOX, token=gateway.token(Role.MEMBER, member))).data["me"]


def titles(me: Any) -> list[str]:
    """Oldest first."""
    return [edge["node"]["title"] for edge in reversed(me["messages"]["edges"])]


@pytest.mark.usefixtures("quiet")
async def test_the_sweep_matures_and_expires_with_one_event_a_member(gateway: Gateway, http: HttpClient) -> None:
    one, other = await new_member("SWEEP-1"), await new_member("SWEEP-2")
    for member in (one, other):
        for amount in (10, 20, 30):
            await give(member, amount, usable_at=BEGIN + 2 * DAY)
        await give(member, 7)
    assert (await work_at(BEGIN + DAY))["ledger.sweep"] == 1
    assert (await events(one))["points_matured"] == 0
    await work_at(BEGIN + 2 * DAY)
    assert [(await events(member))["points_matured"] for member in (one, other)] == [1, 1]
    matured = await db.fetch("SELECT amount FROM transfers WHERE kind = 'MATURE'")
    assert [row["amount"] for row in matured] == [60, 60]

    await work_at(EXPIRY - timedelta(seconds=1))
    assert (await events(one))["points_expired"] == 0
    assert (await inbox(gateway, http, one))["balance"] == {"available": 67, "pending": 0}
    await work_at(EXPIRY)
    for member in (one, other):
        assert (await events(member))["points_expired"] == 1
    expired = "SELECT sum(e.amount) FROM entries e JOIN accounts a ON a.id = e.account_id WHERE a.kind = 'EXPIRED'"
    assert await db.fetch_value(expired) >= 2 * 67
    await work_at(EXPIRY + DAY)
    assert (await events(one))["points_expired"] == 1


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("locale", "titles_wanted", "body"),
    [
        ("en", "150 points of tea expire on March 1, 2031", "Use them before then"),
        ("zh-CN", "您在tea的 150 积分将于 2031年3月1日 到期", "请在此之前使用"),
    ],
)
async def test_reminders_come_30_7_and_1_days_before_once_each(
    gateway: Gateway, http: HttpClient, locale: str, titles_wanted: str, body: str
) -> None:
    member = await new_member(f"REMIND-{locale}", locale)
    await give(member, 100)
    await give(member, 50, at=EXPIRY + timedelta(hours=23))
    said: list[int] = []
    for days in range(45, -1, -1):
        for hour in (0, 9):
            await work_at(EXPIRY - days * DAY + timedelta(hours=hour))
            me = await inbox(gateway, http, member)
            said += [days] * (me["unreadCount"] - len(said))
    assert said == [30, 7, 1]
    assert titles(me) == [titles_wanted] * 3
    assert body in me["messages"]["edges"][0]["node"]["body"]


@pytest.mark.usefixtures("quiet")
async def test_a_worker_that_was_away_reminds_once_and_late(gateway: Gateway, http: HttpClient) -> None:
    member, gone = await new_member("LATE-1"), await new_member("LATE-2")
    await give(member, 100)
    await give(gone, 100)
    with clock.frozen(BEGIN):
        await ledger.spend_points(SYSTEM, member_id=gone, program="tea", amount=100, idempotency_key="all")
    done = await work_at(EXPIRY - 5 * DAY)
    assert done["ledger.remind"] == 1
    assert done["ledger.sweep"] == 1
    assert titles(await inbox(gateway, http, member)) == ["100 points of tea expire on March 1, 2031"]
    assert titles(await inbox(gateway, http, gone)) == []
    assert (await work_at(EXPIRY - 5 * DAY + timedelta(hours=1)))["ledger.remind"] == 1
    await work_at(EXPIRY - DAY)
    assert (await inbox(gateway, http, member))["unreadCount"] == 2


@pytest.mark.usefixtures("quiet")
async def test_what_was_posted_is_sealed() -> None:
    await give(await new_member("SEAL-1"), 10)
    assert (await work_at(BEGIN + DAY))["ledger.seal"] == 1
    with clock.frozen(BEGIN + DAY):
        async with asyncio.timeout(DEADLINE_S):
            while (await seal.find_sealed()).unsealed:  # what waits for transactions elsewhere on the server
                await seal.seal_next()
    assert await db.fetch_value("SELECT sum(count) FROM ledger_blocks") == await db.fetch_value(
        "SELECT count(*) FROM transfers"
    )
    last = await db.fetch_value("SELECT sealed_at FROM ledger_blocks ORDER BY height DESC LIMIT 1")
    assert last == BEGIN + DAY


def test_every_room_of_handlers_and_jobs_is_wired() -> None:
    rooms = {
        module.name
        for module in pkgutil.walk_packages(engage.__path__, "engage.")
        if module.name.rpartition(".")[2] in {"handlers", "jobs"}
        and module.name.startswith(("engage.domains.", "engage.outbox."))  # api/jobs.py is no such room
    }
    assert rooms == set(wiring.HANDLER_MODULES)
    for room in rooms:
        importlib.import_module(room)
    assert {"ledger.sweep", "ledger.remind", "ledger.seal", "notifications.remind_of_expiry"} <= set(
        present().names()
    )
