"""How many sockets are open at this gateway, in all and of each network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from engage.api.budget.refusals import REFUSED
from engage.base.settings import Settings


class OpenSockets:
    """Counts them, and says where there is no room for one more."""

    def __init__(self, config: Settings) -> None:
        self._most = config.sockets_max
        self._most_of_network = config.address_sockets_max
        self._of_network: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def room(self, network: str) -> Iterator[bool]:
        """Whether there is room for one socket of a network; it is taken as long as the block runs."""
        if self._count >= self._most or self._of_network.get(network, 0) >= self._most_of_network:
            REFUSED.labels("sockets").inc()
            yield False
            return
        self._count += 1
        self._of_network[network] += 1
        try:
            yield True
        finally:
            self._count -= 1
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]
