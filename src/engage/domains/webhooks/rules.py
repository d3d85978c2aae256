"""Decisions about webhooks, on plain values."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from engage.base.errors import InvalidInput
from engage.domains.webhooks.errors import UnknownEvent
from engage.domains.webhooks.types import EVERY_EVENT

URL_LENGTH_MAX = 500
DESCRIPTION_LENGTH_MAX = 200
EVENTS_MAX = 50
STREAM_LENGTH_MAX = 80
OVERLAP_HOURS_MAX = 168
PORTS = {"https": 443, "http": 80}

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any event."""

_URL = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+", re.IGNORECASE)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def check_url(url: str, *, plain: bool) -> SplitResult:
    """The parts of an endpoint's address: https, or also http where `plain` allows it.

    Raises InvalidInput for what is no such address, is too long, or holds credentials.
    """
    if not 1 <= len(url) <= URL_LENGTH_MAX:
        raise _bad_url(f"An endpoint's address has 1 to {URL_LENGTH_MAX} characters.")
    parts = _split(url)
    if parts.scheme != "https" and not plain:
        raise _bad_url("An endpoint's address begins with https://, so that nobody in between reads what is told.")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("An endpoint's address holds no user and no password: deliveries are signed instead.")
    return parts


def _split(url: str) -> SplitResult:
    if _URL.fullmatch(url):
        try:
            parts = urlsplit(url)
            if parts.hostname and parts.port != 0:
                return parts
        except ValueError:
            pass
    raise _bad_url(
        "This is no address of an endpoint; right would be https://hooks.example.com/engage,"
        " in ASCII, without spaces and without a part after #."
    )


def _bad_url(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, path=["url"])


def port_of(parts: SplitResult) -> int:
    """The port that an address leads to."""
    return parts.port or PORTS[parts.scheme]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the Internet: not to this machine, this network, a group, or nobody.

    One that holds an IPv4 address (mapped, 6to4, NAT64) is as public as that.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = _inside(found)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def check_events(events: Sequence[str], known: Collection[str]) -> list[str]:
    """What an endpoint subscribes to, each once: wire names that exist, or `*` alone stands for all of them.

    Raises InvalidInput, UnknownEvent.
    """
    if not 1 <= len(events) <= EVENTS_MAX:
        raise InvalidInput(f"An endpoint subscribes to 1 to {EVENTS_MAX} events, or to *.", path=["events"])
    wanted = list(dict.fromkeys(events))
    if EVERY_EVENT in wanted:
        return [EVERY_EVENT]
    for name in wanted:
        if name not in known:
            raise UnknownEvent(f"There is no event {name!r}.", path=["events"], known=sorted(known))
    return wanted


def check_description(description: str) -> str:
    """What people call an endpoint; may be empty. Raises InvalidInput when too long."""
    text = description.strip()
    if len(text) > DESCRIPTION_LENGTH_MAX:
        raise InvalidInput(
            f"An endpoint's description has at most {DESCRIPTION_LENGTH_MAX} characters.", path=["description"]
        )
    return text


def check_overlap(hours: int) -> timedelta:
    """How long a former secret signs too. Raises InvalidInput."""
    if not 0 <= hours <= OVERLAP_HOURS_MAX:
        raise InvalidInput(
            f"The former secret may hold for 0 to {OVERLAP_HOURS_MAX} hours more.", path=["overlapHours"]
        )
    return timedelta(hours=hours)


def check_since(since: datetime, now: datetime) -> datetime:
    """A moment from which events are told again. Raises InvalidInput for one to come, or without a zone."""
    if since.tzinfo is None:
        raise InvalidInput("A moment needs its zone, such as 2026-01-31T12:00:00Z.", path=["since"])
    if since > now:
        raise InvalidInput("This moment is yet to come: name one in the past.", path=["since"])
    return LONG_AGO if since < LONG_AGO else since.astimezone(UTC)


def check_place(stream: str, after_position: int) -> None:
    """A place in a stream after which events are told again. Raises InvalidInput."""
    if not 1 <= len(stream) <= STREAM_LENGTH_MAX:
        raise InvalidInput(f"A stream's name has 1 to {STREAM_LENGTH_MAX} characters.", path=["stream"])
    if after_position < 0:
        raise InvalidInput("Positions count from 1; 0 is before the first.", path=["afterPosition"])
