"""What an import leaves in the audit log: who has asked for it, and one row for each batch, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engage.base import db
from engage.base.actor import Actor, Role
from engage.base.origin import Origin, Via, coming
from engage.base.settings import Settings
from engage.domains.earning.importing import Instructions, import_here
from tests.api.audited import recording, told
from tests.earning.till import a_file

ORDERS = 2_500


async def test_an_import_is_a_row_when_asked_for_and_one_for_each_batch(
    channels: Settings, program: str, tmp_path: Path
) -> None:
    assert channels.database_url
    file = a_file(tmp_path, *(f"{number},audited-{number},2024-05-01,1,10" for number in range(ORDERS)))
    with coming(Origin(Via.CLI)):
        async with recording() as rows:
            summary = await import_here(Actor("clerk", Role.STAFF), file, Instructions(program=program))
    assert summary.orders_new == ORDERS
    assert told(rows) == [("request_import", "OK"), *[("record_checked", "OK")] * 3]
    job_id = await db.fetch_value("SELECT id::text FROM outbox ORDER BY id DESC LIMIT 1")
    assert [(row["via"], row["actor"], row["role"], row["request_id"]) for row in rows[:2]] == [
        ("CLI", "clerk", "STAFF", None),
        ("JOB", "clerk", "SERVICE", job_id),
    ]
    assert {row["subjects"].get("program", program) for row in rows} == {program}


async def test_a_file_that_cannot_be_is_refused_and_recorded(channels: Settings, tmp_path: Path) -> None:
    assert channels.database_url
    file = a_file(tmp_path, "1,audited,2024-05-01,1,10")
    async with recording() as rows:
        with pytest.raises(Exception, match="no program"):
            await import_here(Actor("clerk", Role.STAFF), file, Instructions(program="nowhere"))
    assert told(rows) == [("request_import", "NOT_FOUND")]
