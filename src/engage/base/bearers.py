"""Who bears a token: signed with our own secret, or with a key of an identity provider.

The key is chosen by the algorithm in the token's header, and each algorithm has keys of its own kind alone: so a
public key is never taken for a secret.
"""

from __future__ import annotations

from functools import lru_cache

import jwt

from engage.base import crypto
from engage.base.errors import Unauthenticated
from engage.base.grants import Grant
from engage.base.keys import ALGORITHMS, KeySet
from engage.base.settings import Settings


class Bearers:
    """Reads tokens for one process."""

    def __init__(self, config: Settings) -> None:
        """Raises ValueError with what to do when there is neither a secret nor an address of keys that will do."""
        crypto.check_keys(config)
        self._config = config
        self._keys = KeySet(config.jwks_url) if config.jwks_url else None

    async def close(self) -> None:
        """End what is under way."""
        if self._keys is not None:
            await self._keys.close()

    async def read(self, token: str) -> Grant:
        """What this token grants.

        Raises Unauthenticated that says whether it is expired or not acceptable; Unavailable where it needs a key
        that cannot be had at present.
        """
        algorithm, name = _header(token)
        if algorithm == crypto.OUR_ALGORITHM:
            return crypto.read_token(self._config, token)
        if self._keys is None or algorithm not in ALGORITHMS:
            raise Unauthenticated(crypto.NOT_VALID)
        key = await self._keys.find(name, algorithm)
        if key is None:
            raise Unauthenticated(crypto.NOT_VALID)
        return crypto.read_signed(self._config, token, key, algorithm)


@lru_cache(maxsize=crypto.TOKENS_KEPT)
def _header(token: str) -> tuple[str, str | None]:
    """Algorithm and name of the key, as the token itself says. Raises Unauthenticated where it is none."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError) as error:
        raise Unauthenticated(crypto.NOT_VALID) from error
    name = header.get("kid")
    if not isinstance(name, str | None):
        raise Unauthenticated(crypto.NOT_VALID)
    return str(header.get("alg")), name
