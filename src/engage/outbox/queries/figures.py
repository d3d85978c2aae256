"""How much there is to be done, by lane."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.outbox.kinds import Job
from engage.outbox.queries.reading import DEAD, LANES_MAX, UNDONE, lanes_of
from engage.outbox.registry import present
from engage.outbox.types import LaneFigures

FIGURES_MAX = 10_000
"""Rows of a lane and state that are counted; of those beyond, it is only told that there are more."""

COUNTED_MAX = 500_000
"""Rows that are counted at once: where there are many lanes, each is counted less far."""

RATE_OVER = timedelta(seconds=10)

DONE_MAX = 200_000
"""Rows done in that time that are counted."""

# What is due is looked at once, for what is at work lies among it. Each part is in the order of an index, which would
# else be left for a scan of all that there is.
_FIGURES = f"""
    WITH RECURSIVE undone AS (
      SELECT * FROM (WITH RECURSIVE lanes AS ({lanes_of(UNDONE)}) SELECT * FROM lanes LIMIT $2) u
    ), dead AS (
      SELECT * FROM (WITH RECURSIVE lanes AS ({lanes_of(DEAD)}) SELECT * FROM lanes LIMIT $2) d
    ), done AS MATERIALIZED (
      SELECT handler, target, count(*) AS n
        FROM (SELECT handler, target FROM outbox
               WHERE finished_at > $5 AND finished_at <= $6 AND cancel_asked_at IS NULL
               ORDER BY finished_at LIMIT $7) lately
       GROUP BY 1, 2
    ), all_lanes AS MATERIALIZED (
      SELECT k.name AS handler, '' AS target FROM unnest($1::text[]) AS k (name)
       UNION SELECT handler, target FROM undone
       UNION SELECT handler, target FROM dead
       UNION SELECT handler, target FROM done
       UNION SELECT handler, target FROM outbox_lanes WHERE paused_at IS NOT NULL OR failures > 0
      ORDER BY handler, target LIMIT $2
    ), cap AS MATERIALIZED (
      SELECT least($3, $4 / greatest(count(*), 1)) AS n FROM all_lanes
    )
    SELECT a.handler, a.target, w.n AS waiting, due.ready, due.running, d.n AS dead, due.oldest_due_at,
           coalesce(done.n, 0) AS done,
           greatest(w.n, due.n, d.n) >= cap.n AS capped, coalesce(one.is_job, false) AS is_job,
           p.paused_at, p.paused_by, coalesce(p.failures, 0) AS failures, p.failing_since, p.not_before
      FROM all_lanes a
     CROSS JOIN cap
     CROSS JOIN LATERAL (
       SELECT count(*) AS n FROM (
         SELECT FROM outbox WHERE handler = a.handler AND target = a.target AND {UNDONE} AND due_at > $6
          ORDER BY due_at LIMIT cap.n) x
     ) w
     CROSS JOIN LATERAL (
       SELECT count(*) AS n, count(*) FILTER (WHERE leased) AS running, count(*) FILTER (WHERE NOT leased) AS ready,
              min(due_at) FILTER (WHERE NOT leased) AS oldest_due_at
         FROM (SELECT due_at, coalesce(leased_until > $6, false) AS leased FROM outbox
                WHERE handler = a.handler AND target = a.target AND {UNDONE} AND due_at <= $6
                ORDER BY due_at LIMIT cap.n) x
     ) due
     CROSS JOIN LATERAL (
       SELECT count(*) AS n FROM (
         SELECT FROM outbox WHERE handler = a.handler AND target = a.target AND {DEAD} ORDER BY id LIMIT cap.n) x
     ) d
      LEFT JOIN LATERAL (
        (SELECT event_id IS NULL AS is_job FROM outbox
          WHERE handler = a.handler AND target = a.target AND {UNDONE} ORDER BY due_at LIMIT 1)
        UNION ALL
        (SELECT event_id IS NULL FROM outbox
          WHERE handler = a.handler AND target = a.target AND {DEAD} ORDER BY id LIMIT 1)
        LIMIT 1
      ) one ON true
      LEFT JOIN done ON done.handler = a.handler AND done.target = a.target
      LEFT JOIN outbox_lanes p ON p.handler = a.handler AND p.target = a.target
     ORDER BY a.handler, a.target
"""  # noqa: S608 -- no value is pasted in


async def list_lanes(actor: Actor) -> list[LaneFigures]:
    """Every kind of this release, and every lane where something is undone, dead, done just now, paused or failing.

    By name; they are LANES_MAX at most. What is ready and what is running is counted to FIGURES_MAX together.
    Raises Forbidden.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_READ)
    now = clock.now()
    found = await db.fetch(
        _FIGURES, present().names(), LANES_MAX, FIGURES_MAX, COUNTED_MAX, now - RATE_OVER, now, DONE_MAX
    )
    return [_figures(row) for row in found]


def _figures(row: asyncpg.Record) -> LaneFigures:
    kind = present().find(row["handler"])
    return LaneFigures(
        kind=row["handler"],
        target=row["target"],
        known=kind is not None,
        is_job=row["is_job"] if kind is None else isinstance(kind, Job),
        waiting=row["waiting"],
        ready=row["ready"],
        running=row["running"],
        dead=row["dead"],
        capped=row["capped"],
        oldest_due_at=row["oldest_due_at"],
        done_per_minute=row["done"] * timedelta(minutes=1) / RATE_OVER,
        paused_at=row["paused_at"],
        paused_by=row["paused_by"],
        failures=row["failures"],
        failing_since=row["failing_since"],
        not_before=row["not_before"],
    )
