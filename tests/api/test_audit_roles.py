"""Every mutation of the table of roles leaves one row in the audit log: when it is allowed, refused, or malformed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from engage.base import db
from engage.base.actor import Role
from tests.api import hooks
from tests.api.audited import check_recorded, recording, snake, told
from tests.api.clients import HttpClient, Json
from tests.api.ledger_inputs import LEDGER, make_ready
from tests.api.operations import ADMIN, ANONYMOUS, CALLERS, OTHER, OWN, TABLE, Scene, put_all, refusal
from tests.api.test_roles import scene

__all__ = ["scene"]

MUTATIONS = [name.removeprefix("Mutation.") for name in TABLE if name.startswith("Mutation.")]
TYPED = ("CARD-", "key-", "Brand", "Kiosk", "Shop", "Till", "hooks.", "reforestation", "ACCOUNT_TAKEOVER")
"""Parts of what the inputs of these mutations hold beside ids and codes of ours."""


async def ask(http: HttpClient, scene: Scene, mutation: str, caller: str, **change: Any) -> tuple[Json, Json | None]:
    """Give a mutation its right input, changed; answers that, and the refusal."""
    await put_all()
    await make_ready(mutation, scene.member)
    operation = TABLE[f"Mutation.{mutation}"]
    given: Json = operation.variables(scene)["input"] | change
    answer = await http.ask(operation.document, {"input": given}, token=scene.tokens[caller])
    return given, refusal(answer.body)


def role_of(caller: str) -> Role:
    return Role.MEMBER if caller in (OWN, OTHER) else Role[caller.upper()]


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_one_row_when_allowed_and_one_when_refused(http: HttpClient, scene: Scene, mutation: str) -> None:
    allowed = TABLE[f"Mutation.{mutation}"].allowed
    callers = [next(one for one in CALLERS if one in allowed), OTHER]
    callers += [next((one for one in CALLERS if one not in (*allowed, ANONYMOUS, OTHER)), OTHER)]
    for caller in callers:
        async with recording(via="HTTP") as rows:
            given, refused = await ask(http, scene, mutation, caller)
        assert (refused is None) == (caller in allowed)
        check_recorded(rows, mutation, role_of(caller), "OK" if refused is None else "FORBIDDEN", given)
        if refused is None and mutation in LEDGER and mutation != "publishExchangeRate":
            assert rows[0]["member_id"] is not None


async def test_who_is_not_known_leaves_none(http: HttpClient, scene: Scene) -> None:
    """Or else anyone could fill the log."""
    async with recording() as rows:
        _, refused = await ask(http, scene, "createChannel", ANONYMOUS)
    assert (refused or {})["code"] == "UNAUTHENTICATED"
    assert rows == []


async def test_what_is_refused_before_its_command_has_the_same_name(http: HttpClient, scene: Scene) -> None:
    tried = 0
    for mutation in MUTATIONS:
        given = TABLE[f"Mutation.{mutation}"].variables(scene)["input"]
        for field in [name for name in given if name == "id" or name.endswith("Id")]:
            async with recording(via="HTTP") as rows:
                _, refused = await ask(http, scene, mutation, ADMIN, **{field: "no-id"})
            assert (refused or {})["code"] == "INVALID_INPUT"
            assert told(rows) == [(snake(mutation), "INVALID_INPUT")]
            assert "no-id" not in str(rows)
            tried += 1
    assert tried > 30


async def test_nothing_that_somebody_has_typed_is_in_it(scene: Scene) -> None:
    """Of all that this module has done: ids and codes; no identity, name, note, key, address or secret."""
    rows = [row["row"] for row in await db.fetch("SELECT to_jsonb(a)::text AS row FROM audit_log a")]
    assert len(rows) > 2 * len(MUTATIONS)
    assert [part for part in (*TYPED, scene.member.card, hooks.URL) if any(part in row for row in rows)] == []
    names = {name for row in rows for name in orjson.loads(row)["subjects"]}
    codes = {"program", "from_program", "to_program", "kind"}
    assert {name for name in names - codes if name != "id" and not name.endswith(("_id", "_ids"))} == set()
