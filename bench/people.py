"""Members with points for measurements, with ids that a pgbench script can compute."""

from __future__ import annotations

import random
from uuid import UUID

import asyncpg
import orjson

from engage.base.ids import new_id

MEMBERS = 5000
LOTS = 4


def member_id(number: int) -> UUID:
    """The id of one of them, 1 to MEMBERS."""
    return UUID(f"00000000-0000-7000-8000-{number:012d}")


def random_member() -> UUID:
    """The id of any of them."""
    return member_id(random.randint(1, MEMBERS))


MEMBER_SQL = "('00000000-0000-7000-8000-' || lpad(:n::text, 12, '0'))::uuid"


async def make_members(database_url: str) -> None:
    """Members with LOTS lots of a million points each, so that nobody runs out."""
    connection = await asyncpg.connect(database_url)
    ids = [member_id(number) for number in range(1, MEMBERS + 1)]
    await connection.execute(
        "INSERT INTO members (id, state, locale, created_at)"
        " SELECT m, 'ACTIVE', 'en', now() FROM unnest($1::uuid[]) m",
        ids,
    )
    await connection.execute(
        "INSERT INTO identities (id, member_id, channel, identifier, created_at)"
        " SELECT gen_random_uuid(), m, 'card', m::text, now() FROM unnest($1::uuid[]) m",
        ids,
    )
    for _ in range(LOTS):
        await connection.execute(
            "SELECT count(*) FROM engage.ledger_post_earnings('default', $1, $2, array_fill(1000000::bigint, $3),"
            " array_fill(now(), $3), array_fill(now(), $3), array_fill(now() + interval '1 year', $3),"
            " array_fill('BENCH'::text, $3), array_fill('bench'::text, $3), array_fill('1'::text, $3), 'bench',"
            " now(), $4)",
            ids,
            [new_id() for _ in ids],
            [len(ids)],
            orjson.dumps({}).decode(),
        )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
