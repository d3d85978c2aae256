"""A job in steps that leaves a trace of each row it does, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engage.base import db
from engage.outbox import RowResult, Run, Step
from engage.outbox.registry import Registry

KIND = "tests.steps"
LAST = 6

Between = Callable[[Run, int], Awaitable[None]]


async def nothing_between(run: Run, row: int) -> None:
    """The job as it is when nobody interferes."""


def with_steps(registry: Registry, *, before: Between = nothing_between, within: Between = nothing_between) -> None:
    """Register a job that does rows 1 to LAST, each in a step: `before` is called outside of it, `within` inside."""

    @registry.job(KIND)
    async def work(run: Run) -> None:
        while (row := run.state.get("next", 1)) <= LAST:
            await before(run, row)
            await run.step(lambda: do_row(run, row))

    async def do_row(run: Run, row: int) -> Step:
        await db.execute("INSERT INTO effects (event_id, note) VALUES ($1, $2)", run.id, str(row))
        await within(run, row)
        return Step(
            state={"next": row + 1}, done=1, total=LAST, results=[RowResult(row, "DONE", {"attempt": run.attempt})]
        )


async def done_rows() -> list[int]:
    """The rows that have an effect, in the order in which they got it."""
    return [int(row["note"]) for row in await db.fetch("SELECT note FROM effects ORDER BY at")]


async def counts() -> tuple[int, int, int, int]:
    """Of the only job: steps, rows done, rows failed, results."""
    found = await db.fetch_row(
        """SELECT steps, rows_done, rows_failed, (SELECT count(*) FROM job_results j WHERE j.job_id = r.id)
             FROM job_runs r"""
    )
    assert found is not None
    return found[0], found[1], found[2], found[3]
