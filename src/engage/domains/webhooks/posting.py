"""Posting to receivers that may be slow, broken or hostile: everything about it has a limit.

No redirects, no proxies, no settings from the environment. Load this module where something is posted: httpx takes a
tenth of a second.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from engage import __version__
from engage.domains.webhooks import addresses

CONNECT_TIMEOUT_S = 5.0
"""For looking the name up and connecting, whatever the number of addresses."""

ANSWER_TIMEOUT_S = 15.0
"""From the beginning until the answer's status is there."""

DRAIN_TIMEOUT_S = 1.0
"""What follows the status is read for so long, so that the connection can be used again; nobody looks at it."""

DRAIN_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 64
KEEP_ALIVE_MAX = 32
KEEP_ALIVE_S = 4.0
"""Shorter than what servers keep an idle connection for, so that they seldom close one just as it is used."""

HEADERS = {"user-agent": f"engage/{__version__}", "content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said. `retry_after` is the header as it stands."""

    status: int
    retry_after: str | None


class NoAnswer(Exception):  # noqa: N818 -- named for the condition
    """There was no answer in time, or none that is HTTP. Its words hold no address."""


class _Guard(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no others. Names and certificates stay those of the host."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The first of the host's addresses that takes the connection; each has a share of the time that is left."""
        clock = asyncio.get_running_loop().time
        end = clock() + (timeout or CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout_at(end):
                found = await addresses.look_up(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError from error
        failed: Exception = httpcore.ConnectError()
        for nth, address in enumerate(found):
            share = max(end - clock(), 0) / (len(found) - nth)
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, with the guard. Connections are kept by host name, so no certificate stands in for another's."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)
        self._pool = httpcore.AsyncConnectionPool(  # httpx has no public way to be given a network backend
            ssl_context=context,
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=KEEP_ALIVE_MAX,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=_Guard(),
        )


def new_client(context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client that follows nothing; certificates are checked by the usual authorities, or by `context`."""
    return httpx.AsyncClient(
        transport=_Transport(context or httpx.create_ssl_context(trust_env=False)),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        headers=HEADERS,
    )


class _State:
    """The client of this process, made when it is first needed."""

    client: httpx.AsyncClient | None = None


def _client() -> httpx.AsyncClient:
    if _State.client is None:
        for chatty in ("httpx", "httpcore"):  # they log addresses, which may hold somebody's secret
            logging.getLogger(chatty).setLevel(logging.WARNING)
        _State.client = new_client()
    return _State.client


async def post(url: str, headers: Mapping[str, str], body: bytes, through: httpx.AsyncClient | None = None) -> Answer:
    """Post and answer what the receiver said, whatever that is.

    Raises NoAnswer, and addresses.PrivateAddress where the host's name leads to an address that is not allowed.
    """
    client = through or _client()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            request = client.build_request("POST", url, headers=headers, content=body)
            response = await client.send(request, stream=True)
    except TimeoutError as error:
        raise NoAnswer(f"There was no answer within {ANSWER_TIMEOUT_S:.0f} s.") from error
    except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
        raise NoAnswer(f"There was no answer ({_kind(error)}).") from error
    try:
        await _drain(response)
    finally:
        await response.aclose()
    return Answer(response.status_code, response.headers.get("retry-after"))


async def _drain(response: httpx.Response) -> None:
    """Read the rest of an answer if it is short and comes at once; else it is left, and the connection hung up."""
    read = 0
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            async for part in response.aiter_raw():
                read += len(part)
                if read > DRAIN_BYTES_MAX:
                    return


def _kind(error: Exception) -> str:
    """The name of what went wrong, such as ConnectTimeout or SSLCertVerificationError."""
    below: BaseException = error
    while not isinstance(error, httpx.TimeoutException) and (cause := below.__cause__ or below.__context__):
        below = cause
    return type(below).__name__
