"""Who is let in: bearers of tokens and of API keys, unless what they come with was revoked.

Each gateway has one. It looks for new revocations every second, so that what was revoked by way of any gateway, or by
the command line, is refused by all of them within a second or two; and it ends what is open, as sockets are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from engage.base import clock, crypto, db
from engage.base.bearers import Bearers
from engage.base.errors import Unauthenticated, Unavailable
from engage.base.grants import Grant, Mark
from engage.base.settings import Settings
from engage.domains.access import queries, rules, service

LOOK_S = 1.0
OVERLAP = timedelta(seconds=60)
"""A revocation is seen although it committed so much later than it says, or by a clock that is behind."""

WHOLE_S = 3600.0
"""After so long everything is looked at anew, and what need not be remembered is forgotten."""

NOTE_USED_S = 60.0
KEYS_KEPT = 4096
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

REVOKED = "This was revoked; get a new token or API key."
KEY_EXPIRED = "The API key has expired; get a new one."
NO_KEY = "The API key is not valid here."

logger = structlog.get_logger(__name__)


class Gate:
    """Lets bearers in, for one process."""

    def __init__(self, config: Settings) -> None:
        """Raises ValueError with what to do when no token could be read, or not safely."""
        self._bearers = Bearers(config)
        self._config = config
        self._revoked: dict[tuple[Mark, str], datetime] = {}
        self._looked: datetime | None = None
        self._whole_at = self._noted_at = float("-inf")
        self._changed = asyncio.Event()
        self._keys: OrderedDict[bytes, tuple[UUID, Grant]] = OrderedDict()
        self._used: dict[UUID, datetime] = {}
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn what was revoked, and go on doing so."""
        await self._try_to_look()
        self._watching = asyncio.create_task(self._watch(), name="revocations")

    async def close(self) -> None:
        """End, having written down which keys were used."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        with contextlib.suppress(asyncpg.PostgresError, *db.OUTAGES, OSError, Unavailable):
            await self._note_used()
        await self._bearers.close()

    async def admit(self, bearer: str) -> Grant:
        """What a token or an API key grants.

        Raises Unauthenticated that says whether it is expired, revoked or not acceptable; Unavailable where that
        cannot be told at present.
        """
        is_key = bearer.startswith(rules.PREFIX)
        grant = await (self._of_key(bearer) if is_key else self._bearers.read(bearer))
        if self._looked is None:
            raise Unavailable("What was revoked is not known yet.")
        if self._is_revoked(grant):
            raise Unauthenticated(REVOKED)
        return grant

    async def over(self, grant: Grant) -> str:
        """Wait until a grant holds no longer; answers why, in a sentence."""
        left = max(0.0, (grant.holds_until - clock.now()).total_seconds()) + self._config.jwt_leeway_s
        try:
            async with asyncio.timeout(left):
                while not self._is_revoked(grant):
                    await self._changed.wait()
        except TimeoutError:
            return crypto.EXPIRED
        return REVOKED

    def _is_revoked(self, grant: Grant) -> bool:
        if not self._revoked:
            return False
        for mark in grant.marks:
            moment = self._revoked.get(mark)
            if moment is not None and (mark[0] in (Mark.TOKEN, Mark.KEY) or grant.issued_at <= moment):
                return True
        return False

    async def _of_key(self, bearer: str) -> Grant:
        """What an API key grants; it is looked up once, since it never changes but by being revoked."""
        digest = rules.hashed(bearer)
        known = self._keys.get(digest)
        if known is None:
            known = self._keys[digest] = await _looked_up(bearer)
            if len(self._keys) > KEYS_KEPT:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(digest)
        key_id, grant = known
        if clock.now() >= grant.holds_until:
            raise Unauthenticated(KEY_EXPIRED)
        self._used[key_id] = clock.now()
        return grant

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._try_to_look()

    async def _try_to_look(self) -> None:
        try:
            await self._look()
            if asyncio.get_running_loop().time() > self._noted_at + NOTE_USED_S:
                await self._note_used()
        except (asyncpg.PostgresError, *db.OUTAGES, OSError, Unavailable) as error:
            logger.warning("access.revocations_not_seen", error=type(error).__name__)
        except Exception:  # whatever it was: nobody else looks, so this goes on
            logger.exception("access.revocations_not_seen")

    async def _look(self) -> None:
        now, moment = asyncio.get_running_loop().time(), clock.now()
        whole = self._looked is None or now > self._whole_at + WHOLE_S
        found = dict(await queries.load_revoked(LONG_AGO if whole else (self._looked or LONG_AGO) - OVERLAP))
        new = found.items() - self._revoked.items()
        self._revoked = found if whole else self._revoked | found
        self._looked = moment
        if whole:
            self._whole_at = now
        if new:
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def _note_used(self) -> None:
        self._noted_at = asyncio.get_running_loop().time()
        used, self._used = self._used, {}
        if used:
            await service.note_used(used)


async def _looked_up(bearer: str) -> tuple[UUID, Grant]:
    """The id of an API key and what it grants, where its secret is right and it was not revoked."""
    parts = rules.taken_apart(bearer)
    if parts is None:
        raise Unauthenticated(NO_KEY)
    key_id, secret = parts
    try:
        lock = await queries.find_lock(key_id)
    except (asyncpg.PostgresError, *db.OUTAGES, OSError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    if lock is None or not rules.is_secret(secret, lock.secret_hash):
        raise Unauthenticated(NO_KEY)
    if lock.revoked:
        raise Unauthenticated(REVOKED)
    return key_id, lock.grant
