"""The hub: fans out the changes of streams to the subscribers of one process.

However many subscribe, there is one Redis connection, one ring parsed once, and one statement for all streams every
few seconds that finds what rings did not tell.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from engage.base.settings import Settings
from engage.realtime.broker import Broker
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Lag, S
from engage.realtime.errors import GoingAway, TooManySubscribers
from engage.realtime.log import OUTAGES
from engage.realtime.reader import Reader, Snapshotter
from engage.realtime.rings import channel_of
from engage.realtime.stream import Counters, Listener, Stream
from engage.realtime.subscription import Subscription, Topic, one_topic

logger = structlog.get_logger(__name__)


class Hub:
    """Subscriptions of one process, over a broker of its own that whoever made it starts and stops.

    `subscribers` is how many there are now; `counters` tell what was done.
    """

    def __init__(
        self, broker: Broker, *, heal_interval_s: float = 5.0, subscribers_max: int = 20_000, queue_max: int = 64
    ) -> None:
        self.counters = Counters()
        self.reader = Reader(self._new_epoch)
        self.queue_max = queue_max
        self.subscribers = 0
        self._broker = broker
        self._heal_interval_s = heal_interval_s
        self._subscribers_max = subscribers_max
        self._streams: dict[str, Stream] = {}
        self._heal_now = asyncio.Event()
        self._healing: asyncio.Task[None] | None = None
        self._filling: set[asyncio.Task[None]] = set()
        self._away = False
        self._closing: GoingAway | None = None
        broker.on_connect(self._heal_now.set)

    @classmethod
    def of(cls, broker: Broker, config: Settings) -> Hub:
        """A hub as the settings say."""
        return cls(
            broker,
            heal_interval_s=config.heal_interval_s,
            subscribers_max=config.subscribers_max,
            queue_max=config.subscriber_queue_max,
        )

    def start(self) -> None:
        """Begin to heal."""
        self._healing = asyncio.create_task(self._heal_for_ever(), name="hub-healing")

    async def close(self, reason: str) -> None:
        """End all subscriptions with GoingAway(reason), after what they have queued; new ones are refused."""
        self._closing = GoingAway(reason)
        for stream in self._streams.values():
            for listener in list(stream.listeners):
                listener.end(GoingAway(reason))
        tasks = list(self._filling)
        if self._healing is not None:
            tasks.append(self._healing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def subscribe(
        self,
        stream: str,
        *,
        snapshot: Snapshotter[S],
        after: Cursor | None = None,
        lag: Lag = "coalesce",
        topic: Topic = one_topic,
    ) -> Subscription[S]:
        """A subscription, to be entered by `async with` and iterated by `async for`.

        Without `after` the first delivery is a Snapshot, then come Changes above it. With it, first what was missed:
        one by one, or as a Snapshot when `lag` is `coalesce` and it is more than MISSED_MAX. A cursor that means
        nothing here (other stream, other epoch, above the head, below what is kept) gets a Snapshot with reset.

        `snapshot` runs one statement; see `engage.realtime.log.read_state`. `topic` tells which events matter, and
        which of them may replace each other.

        Entering raises TooManySubscribers, or GoingAway when the hub is closed.
        """
        return Subscription(self, stream, snapshot, after, lag, topic)

    async def heal(self) -> None:
        """Find by one statement which streams have gone further than was told, and read what they miss.

        Raises one of OUTAGES when the database is away.
        """
        known = {stream: stream.position for stream in self._streams.values() if stream.position is not None}
        if not known:
            return
        turns = {stream: stream.turn for stream in known}
        heads = await self.reader.heads([stream.name for stream in known])
        for stream, position in known.items():
            head, _ = heads[stream.name]
            if stream.turn != turns[stream]:
                continue
            if head < position:
                stream.reset()
            elif stream.position is not None and head > stream.position:
                self.counters.healed += 1
                stream.reach(head)

    async def admit(self, stream: str, listener: Listener) -> Stream:
        """Register a listener of a stream and wait until its rings arrive; for `Subscription` alone."""
        if self._closing is not None:
            raise self._closing
        if self.subscribers >= self._subscribers_max:
            raise TooManySubscribers("This server has as many subscribers as it may; try again in a moment.")
        entered = self._streams.get(stream)
        if entered is None:
            entered = self._streams[stream] = Stream(stream, self.counters, self._fill)
            self._broker.listen(channel_of(stream), entered.hear)
        entered.enter(listener)
        self.subscribers += 1
        try:
            await self._broker.confirmed(channel_of(stream))
        except asyncio.CancelledError:
            self.dismiss(entered, listener, joined=False)
            raise
        return entered

    def dismiss(self, stream: Stream, listener: Listener, *, joined: bool) -> None:
        """Let a listener go; for `Subscription` alone."""
        stream.leave(listener, joined=joined)
        self.subscribers -= 1
        if not stream.listeners:
            del self._streams[stream.name]
            self._broker.leave(channel_of(stream.name))

    def _new_epoch(self) -> None:
        logger.warning("hub.new_epoch", streams=len(self._streams), subscribers=self.subscribers)
        for stream in list(self._streams.values()):
            stream.reset()

    def _fill(self, stream: Stream) -> None:
        task = asyncio.create_task(self._read_missing(stream))
        self._filling.add(task)
        task.add_done_callback(self._filling.discard)

    async def _read_missing(self, stream: Stream) -> None:
        """Read from the log what a stream misses up to its target."""
        try:
            while stream.listeners and stream.position is not None and stream.position < stream.target:
                turn, above, target = stream.turn, stream.position, stream.target
                missed = await self.reader.missed(stream.name, above)
                if stream.turn != turn:
                    continue
                if not missed.follows(above):
                    stream.reset()
                    return
                stream.take(missed.rings)
                if missed.complete and stream.target == target:
                    stream.target = stream.position  # whoever told of more was wrong
        except OUTAGES as error:
            logger.info("hub.fill_failed", stream=stream.name, reason=type(error).__name__)  # healing comes again
        except Exception:
            logger.exception("hub.fill_failed", stream=stream.name)
        finally:
            stream.filling = False

    async def _heal_for_ever(self) -> None:
        pause = self._heal_interval_s * random.random()  # noqa: S311 -- spreads the processes
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._heal_now.wait()
            except TimeoutError:
                pass
            self._heal_now.clear()
            pause = self._heal_interval_s
            await self._try_to_heal()

    async def _try_to_heal(self) -> None:
        """Heal if the database answers; whatever happens, the next time is tried again."""
        try:
            await self.heal()
        except Exception as error:
            if not self._away:
                expected = isinstance(error, OUTAGES)
                logger.warning("hub.healing_failed", reason=f"{type(error).__name__}: {error}", exc_info=not expected)
            self._away = True
        else:
            if self._away:
                logger.info("hub.healing_again")
            self._away = False
