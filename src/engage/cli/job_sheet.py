"""One piece of promised work with all that is known of it, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import orjson
from rich.text import Text

from engage.cli.job_tables import COLORS, moment, note_of_lane, pace_of, span
from engage.outbox.types import JobRecord, JobState, LaneFigures

UNTAKEN_AFTER = timedelta(minutes=1)
"""What is due for longer may want a look at the workers."""

_NAME_LENGTH = 14


def sheet_of(record: JobRecord, now: datetime) -> list[Text]:
    """All that is known of it, a line each."""
    return [Text.assemble((f"{name:<{_NAME_LENGTH}}", "dim"), value) for name, value in _lines(record, now) if value]


def _lines(record: JobRecord, now: datetime) -> Iterator[tuple[str, str | Text]]:
    yield "id", str(record.id)
    yield "kind", record.kind + ("" if record.known else " (not of this release)")
    yield "target", record.target
    yield "state", Text(record.state, COLORS[record.state])
    yield "asked by", record.asked_by or ""
    yield "key", record.key or ""
    yield "event", record.event or ""
    yield "stream", (record.stream or "") + ("" if record.position is None else f", position {record.position}")
    yield "arguments", orjson.dumps(record.args).decode() if record.args else ""
    for name, at in (
        ("promised", record.created_at),
        ("due", record.due_at),
        ("leased until", record.leased_until),
        ("cancel asked", record.cancel_asked_at),
        ("dead since", record.dead_at),
        ("finished", record.finished_at),
    ):
        yield name, "" if at is None else moment(at, now)
    yield "attempts", str(record.attempts)
    yield "last error", record.last_error or ""
    progress = record.progress
    if progress is not None:
        yield "progress", pace_of(progress)
        yield "steps", f"{progress.steps:,} in {progress.worked_ms / 1000:,.1f} s of work" if progress.steps else ""
        yield "last step", "" if progress.told_at is None else moment(progress.told_at, now)


def hints_for(record: JobRecord, lanes: Sequence[LaneFigures], now: datetime) -> Iterator[str]:
    """What there is to do about it, or to wait for."""
    retry = f"engage jobs retry {record.id}"
    match record.state:
        case JobState.DEAD:
            yield f"It was given up. Try it again: {retry}"
            yield f"Forget all that is dead of this kind: engage jobs discard --kind {record.kind}"
        case JobState.WAITING:
            failed = "has failed and is tried again" if record.last_error else "is due"
            yield f"It {failed} in {span(record.due_at - now)}. Have it tried at once: {retry}"
        case JobState.READY:
            yield from _why_not_taken(record, lanes, now)
        case JobState.RUNNING if record.cancel_asked_at:
            yield "It was asked to end, which it does with its next step."
        case JobState.RUNNING if record.event is None:
            yield f"End it with its next step: engage jobs cancel {record.id}"
        case JobState.DONE | JobState.CANCELLED if record.progress is not None and record.progress.steps:
            yield f"What became of its rows, if it has told: engage jobs results {record.id}"
    if record.state in (JobState.WAITING, JobState.READY):
        yield f"Have it not done at all: engage jobs cancel {record.id}"


def _why_not_taken(record: JobRecord, lanes: Sequence[LaneFigures], now: datetime) -> Iterator[str]:
    if not record.known:
        yield "This release cannot carry it out; a worker of a release that can will take it."
        return
    for lane in lanes:
        if lane.kind != record.kind or lane.target not in ("", record.target):
            continue
        if lane.paused_at is not None:
            target = f" --target {lane.target}" if lane.target else ""
            yield f"It is {note_of_lane(lane, now)}. Go on: engage jobs resume {lane.kind}{target}"
            return
        if lane.not_before is not None and lane.not_before > now:
            yield f"What it calls is {note_of_lane(lane, now)}; then one is tried."
            return
    if now - record.due_at > UNTAKEN_AFTER:
        yield "No worker has taken it yet. Is one running, and is much before it? See: engage jobs kinds"
