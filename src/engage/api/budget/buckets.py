"""Token buckets: a caller may take what is in one, and it fills again at a steady rate up to its size.

A bucket is kept as one number, the moment at which it will be full: so it needs no timer, and one that is full need
not be kept at all. The same rule stands in shares.lua, for the buckets that gateways have in common.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

SKEW_MAX_S = 5.0
"""A bucket that is emptier than empty was told of by a clock that is wrong; it counts as empty."""
EARLY_S = 0.001
"""What comes back so soon counts as there: moments are kept to a microsecond, and their rounding is no refusal."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much a bucket holds, and how much comes back in a second."""

    size: float
    restore: float

    def level(self, full_at: float, now: float) -> float:
        """What is in a bucket that will be full at `full_at`; below 0 for one that was spoiled by a wrong clock."""
        return self.size - max(full_at - now, 0.0) * self.restore

    def has(self, need: float, level: float) -> bool:
        """Whether so much can be taken at this level."""
        return level + EARLY_S * self.restore >= need

    def full_at(self, level: float, now: float) -> float:
        """When a bucket is full that has so much in it."""
        return now + (self.size - level) / self.restore


def take(
    rate: Rate, full_at: float, now: float, *, need: float, more: float = 0.0, back: float = 0.0
) -> tuple[float, float]:
    """Put `back` into a bucket, then take `need` out of it; answers what was taken, and when it will be full.

    Where there is enough, up to `more` is taken beyond, but no more than a quarter of what is left: others find
    something, too. Where there is not, nothing is taken.
    """
    level = rate.level(full_at, now)
    if level < -SKEW_MAX_S * rate.restore:
        level = 0.0
    level = min(level + back, rate.size)
    taken = need + max(0.0, min(more, (level - need) / 4)) if rate.has(need, level) else 0.0
    return taken, rate.full_at(level - taken, now)


class Buckets:
    """The buckets of one kind in this process, by what they belong to; those used last are kept."""

    def __init__(self, rate: Rate, *, most: int) -> None:
        """`most` are kept: of one that is forgotten a full one is made."""
        self._rate = rate
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, key: str, now: float) -> float:
        """In how many seconds there is one in the bucket; 0 where there is."""
        if key not in self._full_at:
            return 0.0
        level = self._rate.level(self._mended(key, now), now)
        return 0.0 if self._rate.has(1.0, level) else (1.0 - level) / self._rate.restore

    def take(self, key: str, now: float) -> float:
        """Take one out of the bucket: answers 0; or, where there is none, in how many seconds there will be."""
        taken, full_at = take(self._rate, self._mended(key, now), now, need=1.0)
        if not taken:
            return self.wait(key, now)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0

    def _mended(self, key: str, now: float) -> float:
        """When a bucket is full. One that a clock spoiled, which was set back since, is empty from now on."""
        full_at, empty = self._full_at.get(key, 0.0), now + self._rate.size / self._rate.restore
        if full_at > empty + SKEW_MAX_S:
            full_at = self._full_at[key] = empty
        return full_at
