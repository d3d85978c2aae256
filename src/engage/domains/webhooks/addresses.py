"""Where deliveries may lead: addresses of the Internet, unless the operator allows private ones.

A host's name is looked up anew for each connection, and the connection goes to the very address that was checked, so
that a name which leads elsewhere a moment later reaches nothing.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from engage.base.errors import InvalidInput
from engage.base.settings import Settings
from engage.domains.webhooks import rules

LOOKUP_TIMEOUT_S = 5.0

LOOKUPS_MAX = 32
"""Names that are looked up at once. In threads of their own: a dead name server holds nothing else up."""

ADDRESSES_MAX = 4
"""Addresses of one host that are tried."""


class PrivateAddress(Exception):  # noqa: N818 -- named for the condition
    """A host's name leads into a private network, to this machine, or to no single machine."""


class _State:
    """What the operator allows, and the threads that look names up."""

    private_allowed: bool = False
    lookups: ThreadPoolExecutor | None = None


def use(config: Settings) -> None:
    """Take what these settings allow; a process does so at its start."""
    _State.private_allowed = config.webhook_private_addresses


def private_allowed() -> bool:
    """Whether deliveries may lead to private addresses, and go over plain HTTP."""
    return _State.private_allowed


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host that a delivery may go to, in the order in which to try them.

    Raises PrivateAddress when one of them is not public, OSError for a host that is not known.
    """
    if _State.lookups is None:
        _State.lookups = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="webhook-lookup")
    found = await asyncio.get_running_loop().run_in_executor(
        _State.lookups, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not _State.private_allowed and not all(map(rules.is_public, addresses)):
        raise PrivateAddress("The host's name leads to an address that is not public.")
    return addresses[:ADDRESSES_MAX]


async def check_host(host: str, port: int) -> None:
    """Raise InvalidInput, which names the field, for a host that deliveries may not go to, or that is not known."""
    if _State.private_allowed:
        return
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            await look_up(host, port)
    except PrivateAddress as error:
        raise InvalidInput(
            "This host is in a private network; deliveries go to public addresses alone"
            " unless ENGAGE_WEBHOOK_PRIVATE_ADDRESSES is set.",
            path=["url"],
        ) from error
    except (OSError, UnicodeError) as error:  # a time-out is an OSError
        raise InvalidInput("This host is not known: its name leads to no address.", path=["url"]) from error
