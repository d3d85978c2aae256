"""Documents that come by a hash or an id: automatic persisted queries, and documents that are trusted.

An app may send the SHA-256 of a document instead of the document (the protocol of Apollo's persisted queries, in
`extensions.persistedQuery`). What is not known is answered with PERSISTED_QUERY_NOT_FOUND; the app then sends both,
once. Known ones are kept in this process and in Redis, for all gateways. Trusted documents were registered when an
app was built: they come from a file, and are sent by their id in `documentId` or by their hash. Where nothing else
may run, what is not among them is refused.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engage.base.errors import Refusal
from engage.base.settings import Settings

KEPT_HERE_MAX = 1_000
KEEP_S = 7 * 24 * 3600
"""A document that no app has sent by its hash for so long is sent whole again."""

REDIS_TIMEOUT_S = 0.5

logger = structlog.get_logger(__name__)


class PersistedQueryNotFound(Refusal):
    """The hash is of no document that is known here: send both."""

    code = "PERSISTED_QUERY_NOT_FOUND"


class PersistedQueryMismatch(Refusal):
    """The hash is that of another document."""

    code = "PERSISTED_QUERY_MISMATCH"


class DocumentNotTrusted(Refusal):
    """Only documents that were registered run here."""

    code = "DOCUMENT_NOT_TRUSTED"


def sha256(document: str) -> str:
    """The hash of a document, as apps send it."""
    return hashlib.sha256(document.encode()).hexdigest()


class Documents:
    """What is known by an id or a hash."""

    def __init__(self, config: Settings, trusted: Mapping[str, str]) -> None:
        """`trusted` are documents by their ids."""
        self._trusted = {sha256(text): text for text in trusted.values()} | dict(trusted)
        self._strict = config.trusted_documents_only
        self._prefix = f"{config.redis_prefix}:document:"
        self._redis = Redis.from_url(
            config.redis_url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
        )
        self._known: OrderedDict[str, str] = OrderedDict()

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    async def find(self, query: str | None, document_id: str | None, digest: str | None) -> str:
        """The document that a request means. Of the three at least one is given.

        Raises PersistedQueryNotFound, PersistedQueryMismatch, DocumentNotTrusted.
        """
        if query is not None and digest is not None and sha256(query) != digest:
            raise PersistedQueryMismatch("`sha256Hash` is not the hash of `query`: lowercase hex of its UTF-8 bytes.")
        if query is not None and not self._strict:
            return query
        key = document_id or digest or sha256(query or "")
        if key in self._trusted:
            return self._trusted[key]
        if self._strict:
            raise DocumentNotTrusted("Only documents that were registered with this server run here.")
        found = None if digest is None else await self._persisted(digest)
        if found is None:
            raise PersistedQueryNotFound("PersistedQueryNotFound")  # in these words clients look for it
        return found

    async def keep(self, query: str, digest: str) -> None:
        """Keep a document that was found to be valid, so that its hash is enough from now on."""
        if digest in self._trusted or self._known.get(digest) == query:
            return
        self._remember(digest, query)
        try:
            await self._redis.set(self._prefix + digest, query, ex=KEEP_S)
        except (RedisError, OSError) as error:
            logger.info("documents.redis_away", error=type(error).__name__)  # kept here alone

    async def _persisted(self, digest: str) -> str | None:
        if digest in self._known:
            self._known.move_to_end(digest)
            return self._known[digest]
        try:
            text: bytes | None = await self._redis.getex(self._prefix + digest, ex=KEEP_S)
        except (RedisError, OSError) as error:
            logger.info("documents.redis_away", error=type(error).__name__)
            return None
        if text is None or sha256(text.decode()) != digest:
            return None
        self._remember(digest, text.decode())
        return text.decode()

    def _remember(self, digest: str, query: str) -> None:
        self._known[digest] = query
        if len(self._known) > KEPT_HERE_MAX:
            self._known.popitem(last=False)


def read_manifest(path: Path) -> dict[str, str]:
    """The documents of a file by their ids: Apollo's manifest, or a JSON object of ids and documents as Relay has it.

    Raises ValueError that says what the file should be.
    """
    try:
        found: Any = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}.") from error
    if isinstance(found, dict) and isinstance(found.get("operations"), list):
        found = {one.get("id"): one.get("body") for one in found["operations"] if isinstance(one, dict)}
    if not isinstance(found, dict) or not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise ValueError(f'{path} should hold {{"<id>": "<document>"}}, or the operations of an Apollo manifest.')
    return found
