"""How promised work is written on a terminal: a line each, with whole ids that can be copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.text import Text

from engage.outbox.types import JobRecord, JobState, LaneFigures, Progress, ScheduleRecord

COLORS = {
    JobState.WAITING: "yellow",
    JobState.READY: "cyan",
    JobState.RUNNING: "bold green",
    JobState.DONE: "green",
    JobState.DEAD: "bold red",
    JobState.CANCELLED: "dim",
}

GAP = "  "
BAR_LENGTH = 40
NOTE_LENGTH_MIN = 20

Cell = str | Text


def columns(
    headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: str = "", width: int | None
) -> list[Text]:
    """Lines in which `headers` and `rows` stand below each other; `right` names the columns of figures.

    The last column is cut so that lines end at `width`, if there is one; all others are written whole.
    """
    texts = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    lines = [[Text(header, "bold") for header in headers], *texts]
    last = len(headers) - 1
    widths = [max(line[place].cell_len for line in lines) for place in range(last)]
    if width is not None:
        room = max(width - sum(widths) - last * len(GAP), NOTE_LENGTH_MIN)
        for line in lines:
            line[last].truncate(room, overflow="ellipsis")
    written = []
    for line in lines:
        for place, size in enumerate(widths):
            line[place].align("right" if headers[place] in right.split() else "left", size)
        joined = Text(GAP).join(line)
        joined.rstrip()
        written.append(joined)
    return written


def span(time: timedelta) -> str:
    """Such as 4s, 3m 20s, 5h 2m, 12d 3h."""
    seconds = max(round(time.total_seconds()), 0)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size}{unit} {rest}{smaller}" if rest else f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(at: datetime, now: datetime) -> str:
    """With how far it is from now."""
    away = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({away})"


def table_of_jobs(records: Sequence[JobRecord], now: datetime, width: int | None) -> list[Text]:
    """Work of any kind and state."""
    rows: list[list[Cell]] = [
        [
            str(record.id),
            Text(record.state, COLORS[record.state]),
            f"{record.kind} {record.target}".rstrip(),
            span(now - record.created_at),
            note_of(record, now),
        ]
        for record in records
    ]
    return columns(["id", "state", _kind_header(record.target for record in records), "age", ""], rows, width=width)


def _kind_header(targets: Iterable[str]) -> str:
    return "kind and target" if any(targets) else "kind"


def note_of(record: JobRecord, now: datetime) -> str:
    """What matters about it in its state."""
    error = f": {record.last_error}" if record.last_error else ""
    match record.state:
        case JobState.WAITING:
            return f"due in {span(record.due_at - now)}" + (f", failed {record.attempts}x{error}" if error else "")
        case JobState.READY:
            return f"due for {span(now - record.due_at)}" + ("" if record.known else ", not of this release")
        case JobState.RUNNING:
            doing = "asked to end, " if record.cancel_asked_at else ""
            return doing + (pace_of(record.progress) or f"attempt {record.attempts}")
        case JobState.DEAD:
            return f"{record.attempts} attempts{error}"
        case _:
            return "" if record.finished_at is None else f"{span(now - record.finished_at)} ago"


def pace_of(progress: Progress | None) -> str:
    """Such as `45%, 1,200 of 2,600 rows, 300/s, 5s left`; empty before anything is known."""
    if progress is None or (progress.rows_total is None and not progress.rows_done + progress.rows_failed):
        return ""
    parts = [] if progress.fraction is None else [f"{progress.fraction:.0%}"]
    parts.append(f"{rows_of(progress)} rows")
    if progress.rows_failed:
        parts.append(f"{progress.rows_failed:,} of them failed")
    if progress.rows_per_s is not None:
        parts.append(f"{progress.rows_per_s:,.0f}/s")
    if progress.remaining_s:
        parts.append(f"{span(timedelta(seconds=progress.remaining_s))} left")
    return ", ".join(parts)


def rows_of(progress: Progress) -> str:
    """Rows done and failed, of how many."""
    rows = f"{progress.rows_done + progress.rows_failed:,}"
    return rows if progress.rows_total is None else f"{rows} of {progress.rows_total:,}"


def table_of_progress(records: Sequence[JobRecord], now: datetime, width: int | None) -> list[Text]:
    """Jobs that are not done: a line each, and one below with a bar for those that have told how far they are."""
    rows: list[list[Cell]] = [
        [
            str(record.id),
            Text(record.state, COLORS[record.state]),
            record.kind,
            "asked to end" if record.cancel_asked_at else "" if _bar(record) else note_of(record, now),
        ]
        for record in records
    ]
    head, *lines = columns(["job", "state", "kind", ""], rows, width=width)
    written = [head]
    for record, line in zip(records, lines, strict=True):
        bar = _bar(record)
        written += [line] if bar is None else [line, bar]
    return written


def _bar(record: JobRecord) -> Text | None:
    progress = record.progress
    if progress is None or not pace_of(progress):
        return None
    done = int((progress.fraction or 0) * BAR_LENGTH)
    return Text.assemble(
        "  ", ("#" * done, "green"), ("-" * (BAR_LENGTH - done), "dim"), "  ", Text(pace_of(progress))
    )


def table_of_lanes(lanes: Sequence[LaneFigures], now: datetime) -> list[Text]:
    """Figures by kind and target."""
    rows: list[list[Cell]] = [
        [
            _lane_name(lane),
            _figure(lane.waiting, "yellow", lane),
            _figure(lane.ready, "cyan", lane),
            _figure(lane.running, "bold green", lane),
            _figure(lane.dead, "bold red", lane),
            _figure(round(lane.done_per_minute), "green"),
            "" if lane.oldest_due_at is None else span(now - lane.oldest_due_at),
        ]
        for lane in lanes
    ]
    figures = ["waiting", "ready", "running", "dead", "done/min", "oldest"]
    headers = [_kind_header(lane.target for lane in lanes), *figures]
    return columns(headers, rows, right=" ".join(figures), width=None)


def notes_of_lanes(lanes: Sequence[LaneFigures], now: datetime) -> list[Text]:
    """A line for each that is held up, and why."""
    noted = [(lane, note_of_lane(lane, now)) for lane in lanes]
    return [Text.assemble((_lane_name(lane), "bold"), f": {note}") for lane, note in noted if note]


def _lane_name(lane: LaneFigures) -> str:
    return f"{lane.kind} {lane.target}".rstrip()


def _figure(count: int, color: str, counted_in: LaneFigures | None = None) -> Text:
    """A figure that stands out unless it is nothing; with a plus where it was not counted to its end."""
    lane = counted_in
    more = lane is not None and lane.capped and count == max(lane.waiting, lane.ready, lane.dead)
    return Text(f"{count:,}{'+' if more else ''}", color if count else "dim")


def note_of_lane(lane: LaneFigures, now: datetime) -> str:
    """Why nothing of it is taken, if that is so."""
    parts = []
    if lane.paused_at is not None:
        parts.append(f"paused by {lane.paused_by or 'somebody'} {span(now - lane.paused_at)} ago")
    if lane.failing_since is not None:
        parts.append(f"failing for {span(now - lane.failing_since)}")
    if lane.not_before is not None and lane.not_before > now:
        parts.append(f"rests for {span(lane.not_before - now)}")
    if not lane.known:
        parts.append("not of this release")
    return ", ".join(parts)


def table_of_schedules(schedules: Sequence[ScheduleRecord], now: datetime, width: int | None) -> list[Text]:
    """When each was due, and is due next on its own clocks."""
    rows: list[list[Cell]] = []
    for one in schedules:
        last = "not yet" if one.last_at is None else f"{span(now - one.last_at)} ago"
        due = Text(f"{one.next_at.astimezone(ZoneInfo(one.zone)):%Y-%m-%d %H:%M} in {span(one.next_at - now)}")
        if one.next_at <= now:
            due = Text(f"due for {span(now - one.next_at)}")
        if one.late:
            due = Text(f"LATE by {span(now - one.next_at)}: is a worker running?", "bold red")
        rows.append([one.name, one.program or "", one.cron, one.zone, last, due])
    return columns(["job", "program", "cron", "zone", "last", "next"], rows, width=width)
