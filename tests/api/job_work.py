"""Jobs of the tests' own with an executor to carry them out, and an admin who asks about them over the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.outbox import Hopeless, OutboxEvent, RowResult, Run, Step, ask
from engage.outbox.registry import Registry, fresh_registry
from engage.wiring import register_all
from tests.api.clients import HttpClient, Json
from tests.api.promised import job_gid
from tests.outbox.working import EFFECTS, Happened, forget_all, work_off

ROWS, CHUNK = 10, 4
WHOLE = """{ id kind target state known event stream position key args { name value } attempts lastError askedBy
    createdAt dueAt leasedUntil finishedAt deadAt cancelAskedAt
    progress { steps rowsDone rowsFailed rowsTotal rowsPerSecond remainingSeconds fraction workedSeconds
               beganAt toldAt } }"""
JOB = f"query ($id: ID!) {{ job(id: $id) {WHOLE} }}"


@dataclass
class Work:
    """What the jobs of these tests do: the import goes one step on for each permit, `broken` ones give up."""

    registry: Registry
    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    broken: bool = True

    def permit(self, steps: int = 1) -> None:
        """Let imports go so many steps further."""
        for _ in range(steps):
            self.permits.release()


def register(work: Work) -> None:
    @work.registry.job("tests.import")
    async def import_rows(run: Run) -> None:
        async def step() -> Step:
            first = run.state.get("next", 1)
            rows = range(first, min(first + CHUNK, ROWS + 1))
            bad = [RowResult(row, "BAD_ROW", {"column": "amount", "at": row}) for row in rows if row % 5 == 0]
            return Step({"next": first + len(rows)}, len(rows) - len(bad), len(bad), ROWS, bad)

        while run.state.get("next", 1) <= ROWS:
            await work.permits.acquire()
            await asyncio.sleep(0.002)  # work that can be measured in milliseconds
            await run.step(step)

    @work.registry.job("tests.broken")
    async def broken() -> None:
        if work.broken:
            raise Hopeless("no such file")

    @work.registry.job("tests.nightly", cron="30 2 * * *", each_program=True)
    async def nightly() -> None:
        """Never run here."""

    @work.registry.on(Happened, name="tests.happened")
    async def happened(event: OutboxEvent) -> None:
        """Nothing."""


@asynccontextmanager
async def working() -> AsyncIterator[Work]:
    """Nothing promised, and these kinds alone."""
    register_all()
    await db.execute(EFFECTS)
    await forget_all()
    with fresh_registry() as registry:
        work = Work(registry)
        register(work)
        yield work


class Admin:
    """Asks as an admin does. `ask`, `job` and `do` fail where they are refused."""

    def __init__(self, http: HttpClient, token: str) -> None:
        self._http = http
        self._token = token

    async def ask(self, query: str, **variables: object) -> Json:
        answer = await self._http.ask(query, variables, token=self._token)
        return answer.data

    async def refused(self, query: str, **variables: object) -> Json:
        answer = await self._http.ask(query, variables, token=self._token)
        told: Json = answer.error["extensions"]
        return told

    async def job(self, id_: UUID) -> Json:
        found: Json = (await self.ask(JOB, id=job_gid(id_)))["job"]
        return found

    async def do(self, name: str, given: Json, *told: str) -> Json:
        """Command something; `told` is asked for beside the problems: `... on CancelJobPayload { job { id } }`."""
        query = f"""mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {{
            __typename ... on Problem {{ code path }} {" ".join(told)} }} }}"""
        answer: Json = (await self.ask(query, input=given))[name]
        return answer


async def ask_for(kind: str, *, late: bool = False, key: str | None = None, **args: object) -> UUID:
    due_at = clock.now() + timedelta(days=1) if late else None
    return (await ask(SYSTEM, kind, args, key=key, due_at=due_at)).id


async def dead_job(work: Work) -> UUID:
    made = await ask_for("tests.broken")
    await work_off(work.registry)
    return made
