"""`engage ledger seal` and `verify`, as an auditor uses them."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import asyncpg
import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.settings import Settings
from engage.domains.ledger import service as ledger
from engage.domains.members import service as members
from engage.domains.members.types import IdentityRef
from engage.migrations import orm_config
from engage.seed import seed_basics
from tests.e2e.programs import assert_sentence
from tests.e2e.test_commands import env, typed

RIGHT = "The ledger is right."


@pytest.fixture(scope="module")
async def posted(config: Settings) -> None:
    """Three earnings, none of them sealed."""
    await db.connect(config, orm_config(config.database_url))
    try:
        await seed_basics()
        member = await members.register_member(SYSTEM, identities=[IdentityRef("card", "SEALED")])
        for _ in range(3):
            await ledger.earn_points(
                SYSTEM, member_id=member.id, program="default", amount=100, idempotency_key=secrets.token_hex(8)
            )
    finally:
        await db.disconnect()


async def tamper(url: str, change: str) -> None:
    """What somebody does who may do everything in the database."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "public"})
    try:
        for table in ("transfers", "ledger_blocks"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await connection.execute(change)
    finally:
        await connection.close()


def test_nothing_posted_is_nothing_sealed(config: Settings) -> None:
    assert_sentence(typed("ledger", "seal", **env(config)), "nothing to seal")
    done = typed("ledger", "verify", **env(config))
    assert done.returncode == 0, done.stderr
    assert "Sealed up to block 0 (never), 0 transfers not yet." in done.stdout


@pytest.mark.usefixtures("posted")
def test_a_head_is_kept_and_compared(config: Settings) -> None:
    done = typed("ledger", "verify", **env(config))
    assert "Sealed up to block 0 (never), 3 transfers not yet." in done.stdout
    sealed = typed("ledger", "seal", **env(config))
    assert sealed.returncode == 0, sealed.stderr
    head = sealed.stdout.strip()
    height, _, digest = head.partition(":")
    assert (height, len(digest)) == ("1", 64)
    assert typed("ledger", "seal", **env(config)).stdout == sealed.stdout

    day = f"{clock.now() - timedelta(days=1):%Y-%m-%d}"
    for options in ([], ["--head", head], ["--since", "1"], ["--since", day, "--head", head]):
        done = typed("ledger", "verify", *options, **env(config))
        assert (done.returncode, done.stderr) == (0, ""), options
        assert f"Sealed up to block 1 ({clock.now():%Y-}" in done.stdout
        assert "Z), 0 transfers not yet." in done.stdout
        assert RIGHT in done.stdout

    asyncio.run(tamper(config.database_url, "UPDATE transfers SET reason = 'GOODWILL' WHERE version_after = 2"))
    wrong = typed("ledger", "verify", **env(config))
    assert_sentence(wrong, "Wrong: transfers ", ": hash in block 1 is ", ", should be ")
    assert RIGHT not in wrong.stdout

    asyncio.run(tamper(config.database_url, "DELETE FROM ledger_blocks"))
    other = typed("ledger", "seal", **env(config)).stdout.strip()
    assert other != head
    assert RIGHT in typed("ledger", "verify", **env(config)).stdout
    for options in ([], ["--since", "1"]):
        found = typed("ledger", "verify", "--head", head, *options, **env(config))
        assert_sentence(found, f"Wrong: ledger_blocks 1: digest is {other[2:]}, should be {digest}.")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "soon"], "soon is neither a day such as 2026-11-01 nor the height of a block."),
        (["--since", "0"], "begin with one of them, or on a day."),
        (["--since", "99"], "begin with one of them, or on a day."),
        (["--head", "1:abc"], "A head is HEIGHT:DIGEST"),
    ],
)
def test_options_that_cannot_be(config: Settings, options: list[str], says: str) -> None:
    assert_sentence(typed("ledger", "verify", *options, **env(config)), says)
