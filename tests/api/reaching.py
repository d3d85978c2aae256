"""Meeting a problem of a mutation, and seeing that nothing was changed by it."""

from __future__ import annotations

import re

from engage.base import db
from tests.api.cases import Case
from tests.api.clients import HttpClient
from tests.api.conftest import People, Person
from tests.api.inputs import VALID, document
from tests.api.ledger_inputs import make_ready
from tests.api.tables import everything

STATE = """
    UPDATE members SET state = $2::text, frozen_at = CASE $2::text WHEN 'FROZEN' THEN now() END WHERE id = $1
"""


async def reach(http: HttpClient, people: People, member: Person, name: str, problem: str, case: Case) -> None:
    """Give the mutation what the case says: it answers the problem, with its figures, and changes nothing."""
    await make_ready(name, member)
    given = {**VALID[name](member), **case.change}
    if case.arrange is not None:
        given |= await case.arrange(member)
    await db.execute(STATE, member.id, case.state)
    if case.twice is not None:
        first = await http.ask(document(name), {"input": given}, token=people.admin)
        assert first.data[name]["__typename"].endswith("Payload"), first.body
        given |= case.twice
    before = await everything()
    token = {"moderator": people.moderator, "staff": people.staff}.get(case.role, people.admin)
    answer = await http.ask(document(name), {"input": given}, token=token)
    assert answer.status == 200
    told = answer.data[name]
    assert told.pop("__typename") == problem, told
    message = told.pop("message")
    assert re.fullmatch(r"[A-Z0-9].+\.", message), message
    code = "".join(f"_{char}" if char.isupper() else char for char in problem).lstrip("_").upper()
    assert told == {"code": code, "path": case.path, **case.known}
    assert await everything() == before
