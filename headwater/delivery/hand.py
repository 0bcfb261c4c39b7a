"""What a worker has in hand: taken from Redis, not yet settled."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from headwater.broker import Entry
from headwater.delivery.work import Delivery


class Hand:
    """Entries held by one worker, and those of them that wait for another attempt."""

    def __init__(self) -> None:
        self._held: dict[str, set[str]] = {}
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._turn = 0
        self.failures: dict[tuple[str, str], int] = {}
        """How often an entry in hand failed before."""

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def take(self, entries: Iterable[Entry]) -> list[Delivery]:
        """Take what is not in hand yet, so that an entry read twice runs once."""
        taken = []
        for stream, identity, fields in entries:
            held = self._held.setdefault(stream, set())
            if identity not in held and fields is not None:
                held.add(identity)
                taken.append(Delivery(stream, identity, fields))
        return taken

    def drop(self, deliveries: Iterable[Delivery]) -> None:
        """Let go of settled deliveries."""
        for delivery in deliveries:
            self._held.get(delivery.stream, set()).discard(delivery.entry)
            self.failures.pop((delivery.stream, delivery.entry), None)

    def held(self) -> dict[str, list[str]]:
        """Ids in hand by stream."""
        return {stream: sorted(ids) for stream, ids in self._held.items() if ids}

    def wait(self, delivery: Delivery, due: float) -> None:
        """Keep a delivery until the monotonic time `due`."""
        self._turn += 1
        heapq.heappush(self._waiting, (due, self._turn, delivery))

    def due(self, now: float) -> list[Delivery]:
        """Deliveries whose time has come, taken off the waiting ones."""
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    @property
    def waiting(self) -> int:
        """How many wait for another attempt."""
        return len(self._waiting)
