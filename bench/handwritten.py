"""The reference of `profile`: one handler written by hand for one answer, without GraphQL, tokens or limits."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engage.base.settings import Settings

PROFILE_QUERY = """query Profile($id: ID!) {
  member(id: $id) {
    id state displayName locale createdAt
    identities { channel identifier }
    balance { available pending held debt }
    expirySchedule(first: 12) { lines { expiresOn amount } later never total }
    transactions(first: 20) {
      edges { cursor node { id kind amount reason postedAt balanceAfter cause { type id } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

MEMBER = """
SELECT m.id, m.state, m.display_name, m.locale, m.created_at, a.id AS account_id,
       a.available, a.pending, a.held, a.debt,
       (SELECT json_agg(json_build_object('channel', i.channel, 'identifier', i.identifier))
          FROM identities i WHERE i.member_id = m.id) AS identities
  FROM members m
  JOIN currencies c ON c.program_code = 'default' AND c.kind = 'POINTS'
  JOIN accounts a ON a.member_id = m.id AND a.currency_id = c.id
 WHERE m.id = $1
"""
STATEMENT = """
SELECT id, kind, amount, reason, cause_type, cause_id, posted_at, balance_after, version_after
  FROM transfers WHERE account_id = $1 ORDER BY version_after DESC LIMIT 21
"""
SCHEDULE = """
SELECT expires_at::date AS day, sum(remaining)::bigint AS amount
  FROM lots WHERE account_id = $1 AND state = 'OPEN' GROUP BY 1 ORDER BY 1
"""


def _id(kind: str, value: UUID) -> str:
    return urlsafe_b64encode(f"{kind}:".encode() + value.bytes).decode().rstrip("=")


def _cursor(version: int) -> str:
    return urlsafe_b64encode(f"[{version}]".encode()).decode().rstrip("=")


def _edge(row: asyncpg.Record) -> dict[str, object]:
    negative = row["kind"] in ("SPEND", "EXPIRE")
    return {
        "cursor": _cursor(row["version_after"]),
        "node": {
            "id": _id("Transfer", row["id"]),
            "kind": row["kind"],
            "amount": -row["amount"] if negative else row["amount"],
            "reason": row["reason"],
            "postedAt": row["posted_at"],
            "balanceAfter": row["balance_after"],
            "cause": {"type": row["cause_type"], "id": row["cause_id"]} if row["cause_type"] else None,
        },
    }


async def profile(request: Request) -> Response:
    """The same JSON as PROFILE_QUERY, by three statements on one connection."""
    async with request.app.state.pool.acquire() as connection:
        member = await connection.fetchrow(MEMBER, UUID(request.path_params["id"]))
        rows = await connection.fetch(STATEMENT, member["account_id"])
        days = await connection.fetch(SCHEDULE, member["account_id"])
    edges = [_edge(row) for row in rows[:20]]
    lines = [{"expiresOn": row["day"], "amount": row["amount"]} for row in days if row["day"] is not None]
    never = sum(row["amount"] for row in days if row["day"] is None)
    later = sum(line["amount"] for line in lines[12:])
    body = {
        "data": {
            "member": {
                "id": _id("Member", member["id"]),
                "state": member["state"],
                "displayName": member["display_name"],
                "locale": member["locale"],
                "createdAt": member["created_at"],
                "identities": orjson.loads(member["identities"] or "[]"),
                "balance": {name: member[name] for name in ("available", "pending", "held", "debt")},
                "expirySchedule": {
                    "lines": lines[:12],
                    "later": later,
                    "never": never,
                    "total": sum(line["amount"] for line in lines) + never,
                },
                "transactions": {
                    "edges": edges,
                    "pageInfo": {"hasNextPage": len(rows) > 20, "endCursor": edges[-1]["cursor"]},
                },
            }
        }
    }
    return Response(orjson.dumps(body), media_type="application/json")


async def healthz(_request: Request) -> Response:
    """For the harness."""
    return PlainTextResponse("ok")


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    config = Settings()
    app.state.pool = await asyncpg.create_pool(
        config.database_url, min_size=4, max_size=config.pool_size_max, server_settings={"jit": "off"}
    )
    yield
    await app.state.pool.close()


def main() -> None:
    """Serve at ENGAGE_PORT."""
    app = Starlette(routes=[Route("/profile/{id}", profile), Route("/healthz", healthz)], lifespan=_lifespan)
    uvicorn.run(app, port=Settings().port, log_level="warning", access_log=False, http="httptools", loop="uvloop")


if __name__ == "__main__":
    main()
