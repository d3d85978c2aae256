"""Everything that gateways and workers do, as a role that cannot change history."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from engage.api.relay import global_id
from engage.base import clock, db
from engage.base.actor import SYSTEM, Role
from engage.base.crypto import issue_token
from engage.base.settings import Settings
from engage.domains.ledger import service as ledger
from engage.domains.ledger.events import POINTS_SPENT
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.domains.profiles.queries import get_profile_by_identity
from engage.migrations import migrate
from engage.outbox import lanes
from engage.outbox.registry import present
from engage.seed import seed_basics
from engage.wiring import connected as wired
from tests.api.clients import http_client
from tests.api.test_shutdown import engage_serve
from tests.base.app_role import AppRole, app_role
from tests.e2e.programs import ENGAGE, assert_sentence, engage, environment, until
from tests.e2e.spending import SPEND
from tests.e2e.test_commands import env
from tests.earning.till import a_file, an_order, buy, take
from tests.ledger.books import assert_whole
from tests.webhooks.conftest import hang_up
from tests.webhooks.receivers import receiving
from tests.webhooks.telling import carry_out, states, subscribe, tick

PROGRAM = "default"
UNPROTECTED = "database.history_unprotected"


@pytest.fixture(scope="module")
async def role(database_url: str) -> AsyncIterator[AppRole]:
    async with app_role(database_url) as made:
        await migrate(database_url, made.name)
        yield made


@pytest.fixture(scope="module")
async def as_owner(config: Settings) -> Settings:
    return config.model_copy(update={"development": False})


@pytest.fixture(scope="module")
async def as_role(as_owner: Settings, role: AppRole) -> Settings:
    return as_owner.model_copy(update={"database_url": role.url, "webhook_private_addresses": True})


@pytest.fixture
async def connected_as_role(as_role: Settings, role: AppRole) -> AsyncIterator[None]:
    """This process could be a worker of that role."""
    async with wired(as_role, "engage-test"):
        assert await db.fetch_value("SELECT current_user") == role.name
        await seed_basics()
        await lanes.ensure(present().kinds())
        yield
        await hang_up()


async def new_member(card: str) -> UUID:
    return (await members.register_member(SYSTEM, identities=[IdentityRef("card", card)])).id


async def earn(member: UUID, amount: int, key: str, valid_for: timedelta | None = None) -> None:
    expires_at = None if valid_for is None else clock.now() + valid_for
    await ledger.earn_points(
        SYSTEM, member_id=member, program=PROGRAM, amount=amount, idempotency_key=key, expires_at=expires_at
    )


@pytest.mark.usefixtures("connected_as_role")
async def test_commands(tmp_path: Path) -> None:
    member = await new_member("ROLE-1")
    await earn(member, 100, "role-earn")
    await ledger.spend_points(SYSTEM, member_id=member, program=PROGRAM, amount=30, idempotency_key="role-spend")
    await buy(PROGRAM, IdentityRef("card", "ROLE-1"), an_order(amount="12.00"))
    imported = await take(PROGRAM, a_file(tmp_path, "1,role-2,2024-05-01,1,10.00", "2,role-3,2024-05-02,1,bad"))
    assert (imported.orders_new, imported.rejected) == (1, 1)
    assert (await get_profile_by_identity(SYSTEM, IdentityRef("card", "ROLE-1"))).id == member
    assert await db.fetch_value("SELECT available FROM accounts WHERE member_id = $1", member) == 82
    await assert_whole()


@pytest.mark.usefixtures("connected_as_role")
async def test_jobs_handlers_and_webhooks() -> None:
    """What time brings is posted, told in the house and out of it, and forgotten in the end."""
    member, begin = await new_member("ROLE-TIME"), clock.now()
    async with receiving() as receiver:
        await subscribe(receiver, "*")
        with clock.frozen(begin):
            await tick()  # schedules count from when they are first seen
            await earn(member, 50, "role-time", valid_for=timedelta(days=7))
        for days in (0, 6, 7, 60):
            with clock.frozen(begin + timedelta(days=days, hours=1)):
                await tick()
                await carry_out()
        told = {one.message["type"] for one in receiver.deliveries}
    assert {"ledger.points_earned.v1", "ledger.points_expiring.v1", "ledger.points_expired.v1"} <= told
    assert set(await states()) <= {"done"}
    assert await db.fetch_value("SELECT count(*) FROM messages WHERE member_id = $1", member) >= 1
    assert (
        await db.fetch_value("SELECT count(*) FROM transfers WHERE kind = 'EXPIRE' AND member_id = $1", member) == 1
    )
    lately = begin + timedelta(days=7)
    assert await db.fetch_value("SELECT count(*) FROM events WHERE recorded_at < $1", lately) == 0  # pruned
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 0
    await assert_whole()


@contextmanager
def worker_running(config: Settings, log: Path) -> Iterator[None]:
    """`engage worker`, which is at work."""
    settings = env(config) | {"ENGAGE_WEBHOOK_PRIVATE_ADDRESSES": "true"}
    with log.open("w") as output:
        process = subprocess.Popen([*ENGAGE, "worker"], env=environment(**settings), stdout=output, stderr=output)
    try:
        until(lambda: process.poll() is not None or "worker.started" in log.read_text(), "the worker starts")
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


@pytest.mark.usefixtures("connected_as_role")
async def test_a_spend_from_gateway_to_worker(as_role: Settings, tmp_path: Path) -> None:
    member = await new_member("ROLE-SPENDS")
    await earn(member, 100, "role-given")
    token = issue_token(as_role, Role.STAFF, subject="till", valid_for=timedelta(hours=1))
    given = {"memberId": global_id("Member", member), "amount": 40, "program": PROGRAM, "idempotencyKey": "role-till"}
    logs = [tmp_path / "gateway.log", tmp_path / "worker.log"]
    async with receiving() as receiver, engage_serve(as_role, logs[0]) as gateway, http_client(gateway.url) as http:
        with worker_running(as_role, logs[1]):
            await subscribe(receiver, POINTS_SPENT)
            answer = (await http.ask(SPEND, {"input": given}, token=token)).data["spendPoints"]
            assert answer["amount"] == -40
            await asyncio.to_thread(until, lambda: receiver.deliveries, "the worker tells of the spend")
        assert receiver.deliveries[0].message["type"] == POINTS_SPENT
    for log in logs:
        assert UNPROTECTED not in log.read_text()
        assert "permission denied" not in log.read_text()


async def test_a_role_that_may_change_history_is_warned_of_once(as_owner: Settings, tmp_path: Path) -> None:
    logs = [tmp_path / "gateway.log", tmp_path / "worker.log"]
    async with engage_serve(as_owner, logs[0]):
        with worker_running(as_owner, logs[1]):
            pass
    for log in logs:
        warned = [line for line in log.read_text().splitlines() if UNPROTECTED in line]
        assert len(warned) == 1, log.read_text()
        assert "ENGAGE_DATABASE_ROLE" in warned[0]
        assert "docs/operations.md#two-roles" in warned[0]


async def test_migrate_names_the_role_and_refuses_a_wrong_one(config: Settings, role: AppRole) -> None:
    done = await asyncio.to_thread(engage, "db", "migrate", ENGAGE_DATABASE_ROLE=role.name, **env(config))
    assert done.returncode == 0, done.stderr
    assert f"{role.name} may do what gateways and workers need" in done.stdout
    wrong = await asyncio.to_thread(engage, "db", "migrate", ENGAGE_DATABASE_ROLE="nobody_here", **env(config))
    assert_sentence(wrong, "CREATE ROLE nobody_here LOGIN PASSWORD")
    itself = await asyncio.to_thread(engage, "db", "migrate", **env(config) | {"ENGAGE_DATABASE_URL": role.url})
    assert_sentence(itself, "run `engage db migrate` as the owner")


async def test_a_role_without_rights_is_told_what_to_do(config: Settings) -> None:
    async with app_role(config.database_url) as bare:
        settings = env(config) | {"ENGAGE_DATABASE_URL": bare.url}
        done = await asyncio.to_thread(engage, "ledger", "verify", **settings)
    assert_sentence(done, "run `engage db migrate`")
