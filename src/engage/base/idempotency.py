"""Idempotency: a command repeated with its key finds its first answer, and moves nothing twice.

One table for all commands, written in the transaction of the command itself, so that a key exists if and only
if its effect does: a failed command does not burn its key. The key's row is found by a hash of (scope, operation,
key), where the scope is the caller or member id as submitted, so that a retry that names a member who was merged
meanwhile still finds its answer. Only hashes, ids and figures are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from engage.base import db
from engage.base.errors import IdempotencyConflict, InvalidInput
from engage.base.ids import id_text

KEY_LENGTH_MAX = 128

_FIND_MANY = "SELECT id, input_hash FROM idempotency_answers WHERE id = ANY ($1)"
_SAVE_MANY = """
    INSERT INTO idempotency_answers (id, input_hash, answer, keep_until)
      SELECT v.id, v.input_hash, '{}', $3 FROM unnest($1::uuid[], $2::bytea[]) AS v (id, input_hash)
"""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Where the answer is kept (`id`), and what the input was (`input_hash`)."""

    id: UUID
    input_hash: bytes


def make_key(scope: str, operation: str, key: str, command_input: object) -> IdempotencyKey:
    """The key of one command; `command_input` is anything JSON can hold, with sorted keys.

    Raises InvalidInput for a key that is empty or too long.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise InvalidInput(f"An idempotency key has 1 to {KEY_LENGTH_MAX} characters.", path=["idempotencyKey"])
    name = f"{scope}\0{operation}\0{key}".encode()
    body = orjson.dumps(command_input, default=id_text, option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(id=UUID(bytes=hashlib.sha256(name).digest()[:16]), input_hash=hashlib.sha256(body).digest())


async def find_answer(key: IdempotencyKey) -> dict[str, Any] | None:
    """What a command answered under this key before. Raises IdempotencyConflict where that was for other input."""
    answer = await db.fetch_value("SELECT engage.idempotency_find($1, $2)", key.id, key.input_hash)
    if answer is None:
        return None
    value: dict[str, Any] = orjson.loads(answer)
    if "refusal" in value:
        raise conflict()
    return value


async def save_answer(key: IdempotencyKey, answer: object, until: datetime) -> None:
    """Keep the answer of a command, ids and figures, in the transaction of the command itself."""
    text = orjson.dumps(answer).decode()
    await db.execute("SELECT engage.idempotency_save($1, $2, $3, $4)", key.id, key.input_hash, text, until)


async def is_kept(key: IdempotencyKey) -> bool:
    """Whether there is an answer under this key, for whatever input."""
    found: bool = await db.fetch_value("SELECT engage.idempotency_find($1, $2) IS NOT NULL", key.id, key.input_hash)
    return found


async def find_used(keys: Sequence[IdempotencyKey]) -> dict[UUID, bytes]:
    """Those of many keys that were used, by id, with the hash of their input."""
    return {row["id"]: row["input_hash"] for row in await db.fetch(_FIND_MANY, [key.id for key in keys])}


async def save_used(keys: Sequence[IdempotencyKey], until: datetime) -> None:
    """Keep it that many keys were used, for commands whose rows are answered by their sum."""
    await db.execute(_SAVE_MANY, [key.id for key in keys], [key.input_hash for key in keys], until)


def conflict() -> IdempotencyConflict:
    """The refusal of a key that was used with other input."""
    return IdempotencyConflict(
        "This idempotency key was used before with other input; take a new key for a new command.",
        path=["idempotencyKey"],
    )


def keep_until(now: datetime, days: int) -> datetime:
    """When the answer kept at `now` may be forgotten."""
    return now + timedelta(days=days)
