"""`engage audit`, as whoever runs engage uses it, and what the command line leaves in the log."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engage.api.relay import global_id
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.origin import Origin, Via, coming
from engage.base.settings import Settings
from engage.domains.ledger import service as ledger
from engage.domains.ledger.errors import InsufficientPoints
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef, MemberRecord
from engage.seed import seed_basics
from engage.wiring import connected as wired
from tests.e2e.programs import assert_sentence, engage
from tests.e2e.test_commands import env

CARD = "AUDITED-1"


@pytest.fixture(scope="module")
async def member(config: Settings) -> MemberRecord:
    """One who has got points, and asked for too many."""
    async with wired(config, "engage-test"):
        await seed_basics()
        made = await members.register_member(SYSTEM, identities=[IdentityRef("card", CARD)])
        given: dict[str, Any] = {"member_id": made.id, "program": "default"}
        with coming(Origin(Via.HTTP, "request-1", "203.0.113.7")):
            await ledger.earn_points(Actor("till", Role.STAFF), **given, amount=5, idempotency_key="1")
            with pytest.raises(InsufficientPoints):
                await ledger.spend_points(
                    Actor(str(made.id), Role.MEMBER, made.id), **given, amount=9, idempotency_key="2"
                )
    return made


async def run(config: Settings, *words: str) -> str:
    done = await asyncio.to_thread(engage, *words, **env(config))
    assert done.returncode == 0, done.stderr
    return done.stdout


async def listed(config: Settings, *words: str) -> list[tuple[str, str]]:
    lines = (await run(config, "audit", "list", *words, "--json")).splitlines()
    return [(row["command"], row["result"]) for row in map(json.loads, lines)]


async def test_the_filters(config: Settings, member: MemberRecord) -> None:
    earned, refused = ("earn_points", "OK"), ("spend_points", "INSUFFICIENT_POINTS")
    for words, expected in (
        (["--member", str(member.id), "--limit", "2"], [refused, earned]),
        (["--member", global_id("Member", member.id), "--limit", "1"], [refused]),
        (["--actor", "till"], [earned]),
        (["--role", "member"], [refused]),
        (["--command", "earn_points"], [earned]),
        (["--result", "INSUFFICIENT_POINTS"], [refused]),
        (["--actor", "till", "--from", "2026-01-01", "--to", "2199-01-01T00:00:00"], [earned]),
        (["--actor", "till", "--to", "2026-01-01"], []),
    ):
        assert await listed(config, *words) == expected, words


async def test_the_table_and_what_more_there_is(config: Settings, member: MemberRecord) -> None:
    done = await asyncio.to_thread(engage, "audit", "list", "--limit", "1", "--result", "OK", **env(config))
    head, line = done.stdout.splitlines()
    assert head.split() == ["at", "actor", "role", "via", "command", "result", "about"]
    assert line.split()[2:7] == ["till", "STAFF", "HTTP", "earn_points", "OK"]
    assert f"member_id={member.id}" in line
    assert "program=default" in line
    assert "There is more: --limit" in done.stderr
    assert CARD not in done.stdout
    assert "no such command" in await run(config, "audit", "list", "--actor", "nobody")


async def test_what_the_command_line_does_is_recorded(config: Settings, member: MemberRecord) -> None:
    assert member.state == "ACTIVE"
    await run(config, "jobs", "pause", "outbox.prune")
    failed = await asyncio.to_thread(engage, "jobs", "pause", "no.such.kind", **env(config))
    assert failed.returncode == 1
    [refused, paused] = map(
        json.loads, (await run(config, "audit", "list", "--command", "pause_job_kind", "--json")).splitlines()
    )
    assert (paused["actor"], paused["role"], paused["via"], paused["result"]) == ("system", "ADMIN", "CLI", "OK")
    assert paused["subjects"] == {"kind": "outbox.prune"}
    assert (refused["via"], refused["result"]) == ("CLI", "NOT_FOUND")


async def test_what_is_no_member(config: Settings) -> None:
    done = await asyncio.to_thread(engage, "audit", "list", "--member", "Ann", **env(config))
    assert_sentence(done, "'Ann' is no member's id", code=2)
