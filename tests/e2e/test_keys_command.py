"""`engage keys`, as whoever runs engage uses it."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from engage.base.actor import Role, Scope
from engage.base.crypto import read_token
from engage.base.errors import Unauthenticated
from engage.base.grants import Grant
from engage.base.settings import Settings
from engage.domains.access.gate import Gate
from engage.wiring import connected
from tests.e2e.programs import assert_sentence
from tests.e2e.test_commands import env, typed


def admitted(config: Settings, bearer: str) -> Grant | str:
    """What a gateway that starts now makes of a bearer: what is granted, or why nothing is."""

    async def inside() -> Grant | str:
        async with connected(config, "engage-test"):
            gate = Gate(config)
            await gate.start()
            try:
                return await gate.admit(bearer)
            except Unauthenticated as refused:
                return refused.message
            finally:
                await gate.close()

    return asyncio.run(inside())


def created(config: Settings, *words: str) -> tuple[UUID, str]:
    done = typed("keys", "create", *words, **env(config))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    return UUID(first.removeprefix("id").strip()), second.removeprefix("secret").strip()


def listed(config: Settings) -> dict[str, dict[str, object]]:
    done = typed("keys", "list", "--json", **env(config))
    assert done.returncode == 0, done.stderr
    return {one["id"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_a_key_is_made_listed_and_revoked(config: Settings) -> None:
    key_id, secret = created(config, "till 7", "--scope", "points:write", "--scope", "members:read", "--days", "30")
    grant = admitted(config, secret)
    assert isinstance(grant, Grant)
    assert (grant.actor.role, grant.actor.has(Scope.POINTS_WRITE)) == (Role.SERVICE, True)
    assert not grant.actor.has(Scope.PURCHASES_WRITE)

    found = listed(config)[str(key_id)]
    assert (found["name"], found["state"], found["scopes"]) == ("till 7", "ACTIVE", ["members:read", "points:write"])
    assert found["last_used_at"] is not None
    table = typed("keys", "list", **env(config)).stdout
    assert "till 7" in table
    assert secret not in table + json.dumps(found)

    done = typed("keys", "revoke", str(key_id), **env(config))
    assert "opens nothing any more" in done.stdout
    assert listed(config)[str(key_id)]["state"] == "REVOKED"
    assert "revoked" in str(admitted(config, secret))


def test_tokens_are_revoked(config: Settings) -> None:
    made = typed("token", "--role", "staff", "--subject", "till-9", "--scope", "points:read", **env(config))
    token = made.stdout.strip()
    assert read_token(config, token).actor.confined_to == frozenset({Scope.POINTS_READ})
    done = typed("keys", "revoke-tokens", "--subject", "till-9", **env(config))
    assert "accepted no longer" in done.stdout, done.stderr
    assert "revoked" in str(admitted(config, token))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "till", "--scope", "jobs:write"], "cannot have jobs:write"),
        (["create", " ", "--scope", "points:read"], "1 to 80 characters"),
        (["revoke", str(uuid4())], "There is no such API key"),
        (["revoke", "till"], "is no UUID"),
        (["revoke-tokens"], "Name one of"),
        (["revoke-tokens", "--subject", "a", "--token", "b"], "Name one of"),
    ],
)
def test_what_cannot_be_done_is_said(config: Settings, words: list[str], said: str) -> None:
    done = typed("keys", *words, **env(config))
    assert_sentence(done, said, code=2 if said == "is no UUID" else 1)


def test_a_scope_that_is_none_is_refused(config: Settings) -> None:
    done = typed("keys", "create", "till", "--scope", "everything", **env(config))
    assert done.returncode == 2
    assert "points:write" in done.stderr


def test_whoever_runs_engage_is_recorded(config: Settings) -> None:
    key_id, _ = created(config, "till 8", "--scope", "points:read")
    typed("keys", "revoke", str(key_id), **env(config))
    done = typed("audit", "list", "--limit", "2", "--json", **env(config))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["command"], row["via"], row["result"]) for row in rows] == [
        ("revoke_api_key", "CLI", "OK"),
        ("create_api_key", "CLI", "OK"),
    ]
