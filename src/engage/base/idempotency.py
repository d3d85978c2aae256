"""Idempotency: a command repeated with its key finds its first answer, and moves nothing twice.

One table for all commands, written in the transaction of the command itself, so that a key exists if and only
if its effect does: a failed command does not burn its key. The key's row is found by a hash of (scope, operation,
key), where the scope is the caller or member id as submitted, so that a retry that names a member who was merged
meanwhile still finds its answer. Only hashes, ids and figures are kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from engage.base.errors import IdempotencyConflict, InvalidInput

KEY_LENGTH_MAX = 128


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
    body = orjson.dumps(command_input, option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(id=UUID(bytes=hashlib.sha256(name).digest()[:16]), input_hash=hashlib.sha256(body).digest())


def conflict() -> IdempotencyConflict:
    """The refusal of a key that was used with other input."""
    return IdempotencyConflict(
        "This idempotency key was used before with other input; take a new key for a new command.",
        path=["idempotencyKey"],
    )


def keep_until(now: datetime, days: int) -> datetime:
    """When the answer kept at `now` may be forgotten."""
    return now + timedelta(days=days)
