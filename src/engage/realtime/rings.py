"""A ring: what is told of an event once it has committed, and how it looks on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Ring:
    """One event of a stream. `data` holds ids, figures and codes alone, since it passes through Redis."""

    stream: str
    position: int
    name: str
    data: dict[str, Any]


def rings_of(answer: Iterable[Mapping[str, Any]]) -> list[Ring]:
    """The rings in an answer of the SQL kernel: [{"stream", "position", "name", "data"}, …]."""
    return [Ring(ring["stream"], ring["position"], ring["name"], ring["data"]) for ring in answer]


def channel_of(stream: str) -> str:
    """Where a stream's rings are published, without the installation's prefix."""
    return f"stream:{stream}"


def encode_ring(ring: Ring) -> bytes:
    """The message on the stream's channel: [position, name, data]."""
    return orjson.dumps((ring.position, ring.name, ring.data))


def decode_ring(stream: str, message: bytes) -> Ring:
    """The ring in a message of this stream's channel. Raises ValueError for anything `encode_ring` did not make."""
    parts = orjson.loads(message)
    if not isinstance(parts, list) or [type(part) for part in parts] != [int, str, dict]:
        raise ValueError("not [position, name, data]")
    position, name, data = parts
    if position < 1:
        raise ValueError("a position below 1")
    return Ring(stream, position, name, data)
