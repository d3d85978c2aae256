"""`engage jobs`, as whoever runs engage uses it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from uuid import UUID, uuid4

import asyncpg
import pytest

from engage.api.relay import global_id
from engage.base import db
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.outbox.lanes import pause
from engage.outbox.queries import RESULTS_MAX
from engage.outbox.types import JobState
from engage.seed import seed_basics
from engage.wiring import register_all
from tests.e2e.programs import ENGAGE, assert_sentence, engage, environment
from tests.e2e.terminal import Terminal, Wire
from tests.e2e.test_commands import NOWHERE, env, typed
from tests.outbox.standing import put, put_progress, put_results

KNOWN, GONE, ROUTED = "outbox.prune", "gone.handler", "gone.hooks"
TARGET = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
RESULTS = RESULTS_MAX + 500
HELP = {
    "list": ["--state", "--kind", "--target", "--limit", "--json", "WAITING is due later"],
    "show": ["ID", "--json"],
    "retry": ["--kind", "--target", "--dead", "all or none"],
    "discard": ["--kind", "--target", "--yes", "never be done"],
    "pause": ["KIND", "--target"],
    "resume": ["KIND", "--target"],
    "cancel": ["ID", "next step"],
    "results": ["ID", "--code", "--csv"],
    "kinds": ["--json", "last ten seconds"],
    "schedules": ["--json", "clocks"],
    "watch": ["ID", "--every", "Ctrl-C"],
}
Ids = dict[str, UUID]


@pytest.fixture(scope="module")
async def ids(config: Settings) -> Ids:
    """Work in every state: of a job of this release by its state, other work by what the tests do with it."""
    register_all()
    await db.connect(config, orm_config(config.database_url))
    try:
        await seed_basics()
        found = {state.value: await put(KNOWN, state, is_job=True) for state in JobState}
        await put_progress(found["RUNNING"], 1_200, 4_000, failed=300)
        await db.execute("UPDATE outbox SET leased_until = leased_until + interval '1 hour'")
        for name, state in (("dead", "DEAD"), ("waiting", "WAITING"), ("unwanted", "READY")):
            found[name] = await put(GONE, JobState(state))
        for _ in range(3):
            await put(ROUTED, JobState.DEAD, target=TARGET)
        found["told"] = await put(KNOWN, JobState.DONE, is_job=True, args={"file": "[red]orders[/].csv"})
        await put_progress(found["told"], RESULTS, RESULTS)
        await put_results(found["told"], RESULTS)
        await pause(ROUTED, TARGET, by="alice")
    finally:
        await db.disconnect()
    return found


def jobs(config: Settings, *words: object, code: int = 0) -> str:
    """What a command says that ends well."""
    done = typed("jobs", *map(str, words), **env(config))
    assert (done.returncode, done.stderr if code == 0 else "") == (code, ""), done.stderr
    return done.stdout


def state_of(config: Settings, job_id: UUID) -> str:
    return str(json.loads(jobs(config, "show", job_id, "--json"))["state"])


async def write(config: Settings, sql: str, *values: object) -> None:
    connection = await asyncpg.connect(config.database_url)
    try:
        await connection.execute(sql, *values)
    finally:
        await connection.close()


@pytest.mark.parametrize("command", HELP)
def test_help(command: str) -> None:
    done = typed("jobs", command, "--help")
    text = " ".join(done.stdout.split())
    assert done.returncode == 0
    for word in HELP[command]:
        assert word in text, done.stdout
    assert f" {command} " in typed("jobs").stdout


@pytest.mark.parametrize(
    ("state", "note"),
    [
        (JobState.WAITING, "due in "),
        (JobState.READY, "due for "),
        (JobState.RUNNING, "38%, 1,500 of 4,000 rows, 300 of them failed, 750/s, 3s left"),
        (JobState.DONE, " ago"),
        (JobState.DEAD, "3 attempts: OSError: full disk"),
        (JobState.CANCELLED, " ago"),
    ],
)
def test_list(config: Settings, ids: Ids, state: JobState, note: str) -> None:
    said = jobs(config, "list", "--state", state.lower(), "--kind", KNOWN)
    [line] = [line for line in said.splitlines() if line.startswith(str(ids[state.value]))]
    assert line.split()[1:3] == [state.value, KNOWN]
    assert note in line
    assert {row.split()[1] for row in said.splitlines()[1:]} == {state.value}


def test_list_as_json_by_target_and_up_to_a_limit(config: Settings, ids: Ids) -> None:
    said = jobs(config, "list", "--json", "--kind", ROUTED, "--target", TARGET)
    assert [json.loads(line)["target"] for line in said.splitlines()] == [TARGET] * 3
    few = typed("jobs", "list", "--limit", "2", **env(config))
    assert (len(few.stdout.splitlines()), "There is more" in few.stderr) == (3, True)
    assert jobs(config, "list", "--target", "nobody") == "There is no such work.\n"
    assert ids


def test_lines_of_a_table_end_in_time(config: Settings, ids: Ids) -> None:
    """Whole ids are in them, of targets too."""
    done = engage("jobs", "list", "--kind", ROUTED, **env(config), COLUMNS="120")
    assert all(len(line) <= 120 and line.count(TARGET) == 1 for line in done.stdout.splitlines()[1:])
    assert ids


def test_show(config: Settings, ids: Ids) -> None:
    said = jobs(config, "show", ids["told"])
    for words in (str(ids["told"]), KNOWN, "DONE", "alice", '{"file":"[red]orders[/].csv"}', "1,500 of 1,500 rows"):
        assert words in said
    assert f"engage jobs results {ids['told']}" in said
    record = json.loads(jobs(config, "show", global_id("Job", ids["RUNNING"]), "--json"))
    assert (record["id"], record["progress"]["rows_failed"]) == (str(ids["RUNNING"]), 300)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("WAITING", "engage jobs retry {}"),
        ("READY", "engage jobs cancel {}"),
        ("RUNNING", "engage jobs cancel {}"),
        ("DEAD", "engage jobs retry {}"),
        ("dead", f"engage jobs discard --kind {GONE}"),
        ("unwanted", "This release cannot carry it out"),
    ],
)
def test_show_says_what_to_do(config: Settings, ids: Ids, name: str, hint: str) -> None:
    assert hint.format(ids[name]) in jobs(config, "show", ids[name])


def test_retry_and_cancel(config: Settings, ids: Ids) -> None:
    said = jobs(config, "retry", ids["dead"], ids["waiting"])
    assert said.splitlines() == [f"Due now: {ids['dead']}", f"Due now: {ids['waiting']}"]
    assert {state_of(config, ids[name]) for name in ("dead", "waiting")} == {"READY"}
    done = typed("jobs", "retry", str(ids["dead"]), str(ids["DONE"]), **env(config))
    assert_sentence(done, str(ids["DONE"]), "DONE")

    assert jobs(config, "cancel", ids["unwanted"]) == f"Cancelled: {ids['unwanted']}\n"
    assert_sentence(typed("jobs", "cancel", str(ids["unwanted"]), **env(config)), "CANCELLED already")
    assert "with its next step" in jobs(config, "cancel", ids["RUNNING"])
    assert "asked to end" in jobs(config, "list", "--state", "running")


def test_pause_and_resume(config: Settings, ids: Ids) -> None:
    assert f"engage jobs resume {KNOWN}" in jobs(config, "pause", KNOWN)
    assert f"{KNOWN}: paused by system" in jobs(config, "kinds")
    assert "paused by system" in jobs(config, "show", ids["READY"])
    assert KNOWN in jobs(config, "resume", KNOWN)
    assert f"{KNOWN}: paused" not in jobs(config, "kinds")
    assert_sentence(typed("jobs", "pause", KNOWN, "--target", "x", **env(config)), KNOWN, "'x'")


def test_all_dead_of_a_kind(config: Settings, ids: Ids) -> None:
    """To discard it wants a yes; to retry it does not."""
    of_target = ("--kind", ROUTED, "--target", TARGET)
    assert_sentence(typed("jobs", "discard", *of_target, **env(config)), "--yes", code=2)
    with Terminal("jobs", "discard", *of_target, **env(config)) as terminal:
        terminal.wait_for("Forget 3 that are dead of gone.hooks, for good? [y/N]")
        assert terminal.interrupt() == 1
    with Terminal("jobs", "discard", *of_target, **env(config)) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("n\n")
        assert terminal.end() == 1
    assert jobs(config, "retry", "--dead", *of_target) == "Due now: 3.\n"
    assert "Nothing is dead" in jobs(config, "retry", "--dead", *of_target)
    assert "Nothing is dead" in jobs(config, "discard", *of_target)
    assert jobs(config, "discard", "--yes", "--kind", KNOWN) == "Forgotten: 1.\n"
    assert_sentence(typed("jobs", "show", str(ids["DEAD"]), **env(config)), str(ids["DEAD"]))


def test_results(config: Settings, ids: Ids) -> None:
    lines = jobs(config, "results", ids["told"]).splitlines()
    assert [line.split()[0] for line in lines] == [str(row) for row in range(1, RESULTS + 1)]
    assert lines[2].split() == ["3", "REFUSED", '{"order":"A-3"}']
    refused = list(csv.DictReader(io.StringIO(jobs(config, "results", ids["told"], "--csv", "--code", "REFUSED"))))
    assert len(refused) == RESULTS // 3
    assert (refused[0]["row"], json.loads(refused[0]["detail"])) == ("3", {"order": "A-3"})
    nothing = typed("jobs", "results", str(ids["told"]), "--code", "LOST", **env(config))
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "No row has this code." in nothing.stderr


def test_results_that_nobody_reads_to_their_end(config: Settings, ids: Ids) -> None:
    with subprocess.Popen(
        [*ENGAGE, "jobs", "results", str(ids["told"])],
        env=environment(**env(config)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_kinds_and_schedules(config: Settings, ids: Ids) -> None:
    said = jobs(config, "kinds")
    assert f"{ROUTED} {TARGET}: paused by alice" in said
    lanes = map(json.loads, jobs(config, "kinds", "--json").splitlines())
    [lane] = [one for one in lanes if one["kind"] == KNOWN]
    assert (lane["known"], lane["is_job"], lane["capped"]) == (True, True, False)
    assert "*/10 * * * *" in jobs(config, "schedules")
    found = map(json.loads, jobs(config, "schedules", "--json").splitlines())
    assert any((one["name"], one["zone"], one["last_at"]) == (KNOWN, "UTC", None) for one in found)
    assert ids


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (("show", "nonsense"), ("'nonsense'", "engage jobs list"), 2),
        (("cancel", global_id("Member", uuid4())), ("no job's id",), 2),
        (("watch", "nonsense"), ("'nonsense'",), 2),
        (("show", str(UUID(int=7))), ("There is no job",), 1),
        (("results", str(UUID(int=7))), ("There is no job",), 1),
        (("list", "--kind", "nobody"), ("nobody", KNOWN), 1),
        (("retry", "--kind", "nobody", "--dead"), ("nobody", KNOWN), 1),
        (("discard", "--kind", "nobody", "--yes"), ("nobody", KNOWN), 1),
        (("pause", "nobody"), ("nobody", KNOWN), 1),
        (("resume", "nobody"), ("nobody", KNOWN), 1),
        (("retry",), ("--dead",), 2),
        (("retry", "--kind", KNOWN), ("--dead",), 2),
        (("retry", "--dead"), ("--kind",), 2),
        (("retry", str(UUID(int=7)), "--kind", KNOWN, "--dead"), ("Name ids, or",), 2),
        (("retry", str(UUID(int=7)), "--target", "x"), ("Name ids, or",), 2),
    ],
)
def test_what_cannot_be(config: Settings, words: tuple[str, ...], says: tuple[str, ...], code: int) -> None:
    assert_sentence(typed("jobs", *words, **env(config)), *says, code=code)


@pytest.mark.parametrize(
    "words", [("list", "--limit", "0"), ("list", "--state", "asleep"), ("watch", "--every", "0")]
)
def test_options_that_cannot_be(config: Settings, words: tuple[str, ...]) -> None:
    done = typed("jobs", *words, **env(config))
    assert done.returncode == 2
    assert words[1] in done.stderr


def test_without_a_database(config: Settings) -> None:
    assert_sentence(typed("jobs", "watch", **env(config) | {"ENGAGE_DATABASE_URL": NOWHERE}), "ENGAGE_DATABASE_URL")


def test_watch_where_nobody_looks(config: Settings, ids: Ids) -> None:
    """One snapshot, then it ends."""
    done = engage("jobs", "watch", **env(config))
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("done/min", str(ids["RUNNING"]), "1,500 of 4,000 rows", "paused by alice"):
        assert words in done.stdout
    assert str(ids["RUNNING"]) in jobs(config, "watch", ids["RUNNING"])
    assert jobs(config, "watch", ids["CANCELLED"], code=1)


def test_watch_goes_on_when_the_database_is_back(config: Settings, ids: Ids) -> None:
    with Wire(config.database_url) as wire:
        settings = env(config) | {"ENGAGE_DATABASE_URL": wire.url}
        with Terminal("jobs", "watch", "--every", "0.1", **settings) as terminal:
            terminal.wait_for(str(ids["RUNNING"]))
            wire.cut()
            terminal.wait_for("PostgreSQL does not answer")
            terminal.wait_for("done/min")  # what was seen last stays
            wire.mend()
            terminal.wait_for("UTC")
            assert terminal.interrupt() == 0
            assert "Traceback" not in terminal.said


async def test_watch_one_until_it_is_done(config: Settings, ids: Ids) -> None:
    job_id = ids["READY"]
    with Terminal("jobs", "watch", "--every", "0.1", str(job_id), **env(config)) as terminal:
        await terminal.sees("READY")
        await write(config, "UPDATE outbox SET finished_at = now() WHERE id = $1", job_id)
        await terminal.sees("DONE")
        assert terminal.end() == 0
