"""`engage jobs`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.base.paging import Window
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, errors, fail
from engage.cli.ids import typed_id
from engage.cli.job_results import Results, print_results
from engage.cli.job_sheet import hints_for, sheet_of
from engage.cli.job_tables import notes_of_lanes, table_of_jobs, table_of_lanes, table_of_schedules
from engage.cli.printing import print_json, print_lines, table_width
from engage.cli.watching import watch_all, watch_one
from engage.domains.members.queries import list_programs
from engage.outbox import queries, service
from engage.outbox.types import JobFilter, JobRecord, JobState, LaneFigures, ScheduleRecord

T = TypeVar("T")

LIST_MAX = 10_000
PAGE = 100

app = typer.Typer(
    help="Promised work: events to be carried out, and jobs. See it, retry it, pause it, cancel it.",
    no_args_is_help=True,
)

Kind = Annotated[str, typer.Argument(metavar="KIND", help="Name of a kind, as `engage jobs kinds` shows it.")]
OneId = Annotated[str, typer.Argument(metavar="ID", help="Id, as `engage jobs list` or the API shows it.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="Only of this kind, as `engage jobs kinds` shows it.")]
OfTarget = Annotated[str | None, typer.Option("--target", help="Only for this target, of a kind that has targets.")]
ForTarget = Annotated[str, typer.Option("--target", help="Only for this target, of a kind that has targets.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON, one object a line.")]


@app.command("list")
def list_(
    state: Annotated[JobState | None, typer.Option(help="Only in this state.", case_sensitive=False)] = None,
    kind: OfKind = None,
    target: OfTarget = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="So many at most.")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List promised work, newest first.

    WAITING is due later, READY is due now, RUNNING is leased to a worker.
    DONE and CANCELLED work is forgotten after some days; DEAD work was given
    up and waits for `engage jobs retry` or `discard`.
    """
    found, more = _connected(_list(JobFilter(state, kind, target), limit))
    if as_json:
        print_json(found)
    elif found:
        print_lines(*table_of_jobs(found, clock.now(), table_width()))
    else:
        console.print("There is no such work.")
    if more:
        errors.print(f"There is more: --limit shows up to {LIST_MAX:,}.", highlight=False)


async def _list(wanted: JobFilter, limit: int) -> tuple[list[JobRecord], bool]:
    if wanted.kind is not None:
        await queries.check_kind(wanted.kind, wanted.target or "")
    found: list[JobRecord] = []
    behind: str | None = None
    while True:
        page = await queries.list_jobs(SYSTEM, wanted, Window(min(PAGE, limit - len(found)), cursor=behind))
        found += page.rows
        if not page.has_next or len(found) == limit:
            return found, page.has_next
        behind = page.cursor(found[-1])


@app.command()
def show(job: OneId, *, as_json: AsJson = False) -> None:
    """Show one piece of work: arguments, progress, last error, and what to do about it."""
    record, lanes = _connected(_show(_id(job)))
    if as_json:
        print_json([record])
        return
    now = clock.now()
    print_lines(*sheet_of(record, now), "", *hints_for(record, lanes, now))


async def _show(job_id: UUID) -> tuple[JobRecord, list[LaneFigures]]:
    return await queries.get_job(SYSTEM, job_id), await queries.list_lanes(SYSTEM)


@app.command()
def retry(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of what is dead or waits.")] = None,
    kind: OfKind = None,
    target: OfTarget = None,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="All that is dead of the kind.")] = False,
) -> None:
    """Have work that is dead or waits tried at once, its attempts counted anew.

    Name ids, all or none of which are retried: engage jobs retry ID ID.
    Or a kind, of which all that is dead is: engage jobs retry --kind K --dead
    """
    if bool(jobs) == bool(kind or dead) or (kind is None) is dead or (target is not None and not dead):
        fail("Name ids, or --kind K --dead (with --target T for one target alone).", 2)
    if kind is not None:
        retried = _connected(_of_known(kind, target, service.retry_dead(SYSTEM, kind, target)))
        print_lines(f"Due now: {retried:,}." if retried else f"Nothing is dead of {kind} that can be retried.")
        return
    ids = [_id(job) for job in jobs or []]
    for retried_id in _connected(service.retry_jobs(SYSTEM, ids)):
        print_lines(f"Due now: {retried_id}")


@app.command()
def discard(
    kind: Annotated[str, typer.Option(help="The kind, as `engage jobs kinds` shows it.")],
    target: OfTarget = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
) -> None:
    """Forget all that is dead of a kind, with results and files: it will never be done."""
    gone = _connected(_of_known(kind, target, _discard(kind, target, sure=yes)))
    print_lines(f"Forgotten: {gone:,}." if gone else f"Nothing is dead of {kind}.")


async def _discard(kind: str, target: str | None, *, sure: bool) -> int:
    lanes = [one for one in await queries.list_lanes(SYSTEM) if one.kind == kind and target in (None, one.target)]
    dead = sum(lane.dead for lane in lanes)
    if dead and not sure:
        if not sys.stdin.isatty():
            fail("Nobody is there to be asked whether this is meant: say --yes.", 2)
        more = " or more" if any(lane.capped for lane in lanes) else ""
        _confirm(f"Forget {dead:,}{more} that are dead of {kind}, for good?")
    return await service.discard_dead(SYSTEM, kind, target) if dead else 0


def _confirm(question: str) -> None:
    """Ask, and end the program unless the answer is yes. Ctrl-C ends it too, which a running loop would put off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        typer.confirm(question, abort=True)
    finally:
        signal.signal(signal.SIGINT, before)


@app.command()
def pause(kind: Kind, target: ForTarget = "") -> None:
    """Have nothing of a kind begun any more, until `engage jobs resume`. What is at work ends as usual."""
    _connected(service.pause_kind(SYSTEM, kind, target))
    print_lines(f"Paused: {_named(kind, target)}. Go on: engage jobs resume {kind}{_option(target)}")


@app.command()
def resume(kind: Kind, target: ForTarget = "") -> None:
    """Go on with a kind that was paused, or that rests since what it calls has failed."""
    _connected(service.resume_kind(SYSTEM, kind, target))
    print_lines(f"Goes on: {_named(kind, target)}.")


@app.command()
def cancel(job: OneId) -> None:
    """Have work not done: at once, or a job at work from its next step on. What it has done stays."""
    record = _connected(service.cancel_job(SYSTEM, _id(job)))
    if record.state is JobState.CANCELLED:
        print_lines(f"Cancelled: {record.id}")
    else:
        print_lines(f"Asked to end, which it does with its next step: {record.id}")


@app.command()
def results(
    job: OneId,
    code: Annotated[str | None, typer.Option(help="Only rows with this code.")] = None,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV: row, code, detail as JSON.")] = False,
) -> None:
    """Print what became of the rows of a job's input, all of them, as they are read."""
    if not _connected(print_results(Results(_id(job), code), as_csv=as_csv)):
        errors.print("It has told nothing of single rows." if code is None else "No row has this code.")


@app.command()
def kinds(*, as_json: AsJson = False) -> None:
    """Show how much there is of each kind.

    done/min is by the last ten seconds; oldest is for how long the first of
    what is ready has been due. A plus: there is more, not all was counted.
    """
    lanes = _connected(queries.list_lanes(SYSTEM))
    if as_json:
        print_json(lanes)
    else:
        now = clock.now()
        notes = notes_of_lanes(lanes, now)
        print_lines(*table_of_lanes(lanes, now))
        if notes:
            print_lines("", *notes)


@app.command()
def schedules(*, as_json: AsJson = False) -> None:
    """Show when each schedule was due last and is due next, on its own clocks."""
    found = _connected(_schedules())
    if as_json:
        print_json(found)
    else:
        print_lines(*table_of_schedules(found, clock.now(), table_width()))


async def _schedules() -> list[ScheduleRecord]:
    zones = {program.code: program.time_zone for program in await list_programs()}
    return await queries.list_schedules(SYSTEM, zones)


@app.command()
def watch(
    job: Annotated[str | None, typer.Argument(metavar="ID", help="Only this job, until it has ended.")] = None,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Watch kinds and the jobs at work; Ctrl-C ends it.

    With an ID: watch that one until it has ended; the exit code is 1 unless
    it was done. Where the output is no terminal: print it once and end.
    """
    if job is None:
        _connected(watch_all(every))
    elif _connected(watch_one(_id(job), every)) in (JobState.DEAD, JobState.CANCELLED):
        raise typer.Exit(1)


def _connected(work: Coroutine[Any, Any, T]) -> T:
    return with_database(configured(), work)


async def _of_known(kind: str, target: str | None, work: Coroutine[Any, Any, T]) -> T:
    """Do it, if there is such a kind."""
    try:
        await queries.check_kind(kind, target or "")
        return await work
    finally:
        work.close()


def _id(given: str) -> UUID:
    return typed_id("Job", given, "job's id; take one from `engage jobs list`, or the `id` that the API answers.")


def _named(kind: str, target: str) -> str:
    return f"{kind} for {target}" if target else kind


def _option(target: str) -> str:
    return f" --target {target}" if target else ""
