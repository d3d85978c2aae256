"""From where a command comes: set by each transport for each operation, and read where commands are recorded."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

ADDRESSES_KEPT = 4096


class Via(StrEnum):
    """By which way an operation reached engage."""

    HTTP = "HTTP"
    WEBSOCKET = "WEBSOCKET"
    SSE = "SSE"
    CLI = "CLI"
    JOB = "JOB"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operation comes from.

    `request_id` is that of the request, the socket, or the job. `address` is the client's, as the proxies that are
    trusted say. `credential` is what the caller came with: the id of a token or a key, None where that is not known.
    """

    via: Via
    request_id: str | None = None
    address: str | None = None
    credential: str | None = None


INTERNAL = Origin(Via.INTERNAL)

_present: ContextVar[Origin] = ContextVar("engage_origin", default=INTERNAL)


def origin() -> Origin:
    """Where the present operation comes from; INTERNAL where nothing has said."""
    return _present.get()


@contextmanager
def coming(by: Origin) -> Iterator[None]:
    """What is called inside comes from there."""
    mark = _present.set(by)
    try:
        yield
    finally:
        _present.reset(mark)


@lru_cache(maxsize=ADDRESSES_KEPT)
def address_of(host: str | None) -> str | None:
    """A client's address in its one short form; None for what is none, since a header may say anything."""
    try:
        return None if host is None else str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return None
