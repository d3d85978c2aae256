"""The public keys of an identity provider: a JSON Web Key Set (RFC 7517) at an address, kept and renewed.

A key that is not known yet is looked for at once, so that a provider may change keys at any time; at most once in a
while, so that made-up names of keys cost the provider nothing. While it does not answer, the keys that are known go
on serving.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

import httpx
import jwt
import orjson
import structlog
from jwt.api_jwk import PyJWK

from engage.base.errors import Unavailable

ALGORITHMS = ("RS256", "ES256")
KEEP_S = 600.0
"""Keys are looked at again after so long: one that was withdrawn serves no longer than that."""

STALE_S = 24 * 3600.0
"""Keys that could not be looked at for so long serve no more."""

RETRY_S = 10.0
TIMEOUT_S = 5.0
BYTES_MAX = 256 * 1024
KEYS_MAX = 50
RSA_BITS_MIN = 2048  # RFC 7518, 3.3

logger = structlog.get_logger(__name__)


class KeySet:
    """The keys at one address. One task at a time asks for them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, PyJWK] = {}
        self._asked_at = self._known_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def find(self, name: str | None, algorithm: str) -> PyJWK | None:
        """The key of this name for this algorithm; None where the provider has none.

        Raises Unavailable where the keys are not known and cannot be had.
        """
        now = asyncio.get_running_loop().time()
        if now > self._known_at + STALE_S:
            self._keys = {}
        found = self._named(name, algorithm)
        if found is None and (self._is_asking() or now > self._asked_at + RETRY_S):
            await asyncio.shield(self._start())
            found = self._named(name, algorithm)
        elif found is not None and now > max(self._known_at + KEEP_S, self._asked_at + RETRY_S):
            self._start()  # the one that is known serves meanwhile
        if found is None and not self._keys:
            raise Unavailable("The keys at ENGAGE_JWKS_URL cannot be had.")
        return found

    async def close(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _named(self, name: str | None, algorithm: str) -> PyJWK | None:
        if name is None:  # RFC 7515, 4.1.4 leaves it out where there is one key alone
            fitting = [key for key in self._keys.values() if key.algorithm_name == algorithm]
            return fitting[0] if len(fitting) == 1 else None
        key = self._keys.get(name)
        return key if key is not None and key.algorithm_name == algorithm else None

    def _is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    def _start(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asked_at = asyncio.get_running_loop().time()
            self._asking = asyncio.create_task(self._renew(), name="keys")
        return self._asking

    async def _renew(self) -> None:
        try:
            self._keys = _read(await _fetch(self._url))
        except (httpx.HTTPError, ValueError) as error:
            logger.warning("keys.not_renewed", error=f"{type(error).__name__}: {error}"[:200])
            return
        self._known_at = asyncio.get_running_loop().time()


async def _fetch(url: str) -> bytes:
    """The document at an address. Raises httpx.HTTPError, and ValueError for one that is too large."""
    body = bytearray()
    async with (
        httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
    ):
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > BYTES_MAX:
                raise ValueError(f"The key set has more than {BYTES_MAX:,} bytes.")
    return bytes(body)


def _read(document: bytes) -> dict[str | None, PyJWK]:
    """The keys that can be used, by their names. Raises ValueError where it is no key set or there are none."""
    found = orjson.loads(document)
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError('A key set is {"keys": […]}.')  # noqa: TRY004 -- what came is wrong, not what was called
    made = {
        one.get("kid"): _usable(orjson.dumps(one, option=orjson.OPT_SORT_KEYS))
        for one in listed[:KEYS_MAX]
        if isinstance(one, dict) and isinstance(one.get("kid"), str | None)
    }
    usable = {name: key for name, key in made.items() if key is not None}
    if not usable:
        raise ValueError(f"The key set has no key for {' or '.join(ALGORITHMS)}.")
    return usable


@lru_cache(maxsize=2 * KEYS_MAX)
def _usable(text: bytes) -> PyJWK | None:
    """The key, where it is one for signatures, of a kind that is taken, and strong enough.

    The same object for the same text: by it tokens that were verified are remembered.
    """
    key: dict[str, Any] = orjson.loads(text)
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(key.get("kty")))
    if algorithm is None or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "RS256" and len(str(key.get("n"))) * 6 < RSA_BITS_MIN:  # in base64, six bits a character
        return None
    if algorithm == "ES256" and key.get("crv") != "P-256":
        return None
    try:
        return PyJWK(key, algorithm)
    except (jwt.PyJWTError, KeyError, ValueError, TypeError):
        return None
