"""What a worker has in hand: taken from Redis, not yet settled."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from typing import NamedTuple

from headwater.broker import Entry
from headwater.delivery.appetite import size_of
from headwater.delivery.work import Delivery, delivered
from headwater.event import Fields

MOST_WAITING = 10_000
"""When so many wait for another attempt, nothing new is read: it would fail as well."""
BUDGET = 64 * 1_048_576
"""Bytes in hand at most, where nothing else is said."""
_FOR_WAITING = 4
"""Those that wait for another attempt keep their bodies in this part of the budget."""


class Due(NamedTuple):
    """Whose time has come."""

    ready: list[Delivery]
    bare: dict[str, list[str]]
    """Ids by stream whose bodies were let go of: to be read again."""


class Hand:
    """Entries held by one worker, and those of them that wait for another attempt.

    What waits beyond a part of the budget keeps its place and lets go of its body.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.size = 0
        """Bytes in hand."""
        self.failures: dict[tuple[str, str], int] = {}
        """How often an entry in hand failed before."""
        self.eased = asyncio.Event()
        """Set when there is more room than before."""
        self.hurried = asyncio.Event()
        """Set when somebody waits for an earlier time than all others."""
        self._held: dict[str, dict[str, int]] = {}
        self._waiting: list[tuple[float, int, str, str, Fields | None]] = []
        self._waiting_size = 0
        self._turn = 0
        self.orphans: dict[str, set[str]] = {}
        """By stream, what is in hand and pending no more: known to nobody else."""

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    @property
    def room(self) -> int:
        """Bytes that may still be taken."""
        return max(0, self.budget - self.size)

    @property
    def crowded(self) -> bool:
        """Whether too many wait for another attempt."""
        return len(self._waiting) >= MOST_WAITING

    def has(self, stream: str, entry: str) -> bool:
        """Whether an entry is in hand."""
        return entry in self._held.get(stream, ())

    def take(self, entries: Iterable[Entry]) -> list[Delivery]:
        """Take what is not in hand yet, so that an entry read twice runs once."""
        taken = []
        last, held = "", dict[str, int]()
        for stream, identity, fields in entries:
            if stream != last:
                last, held = stream, self._held.setdefault(stream, {})
            if identity not in held and fields is not None:
                held[identity] = size = size_of(fields)
                self.size += size
                taken.append(delivered((stream, identity, fields, 0)))
        return taken

    def drop(self, deliveries: Iterable[Delivery]) -> None:
        """Let go of settled deliveries."""
        for stream, identity, _, _ in deliveries:
            self._forget(stream, identity)
        self.eased.set()

    def forget(self, stream: str, ids: Iterable[str]) -> None:
        """Let go of what is in somebody else's hands now, or gone."""
        for identity in ids:
            self._forget(stream, identity)
        self.eased.set()

    def _forget(self, stream: str, identity: str) -> None:
        held = self._held.get(stream)
        if held:
            self.size -= held.pop(identity, 0)
        if self.failures:
            self.failures.pop((stream, identity), None)
        if stream in self.orphans:
            self.orphans[stream].discard(identity)

    def leave(self, streams: Iterable[str]) -> None:
        """Let go of all of these streams that does not wait for another attempt."""
        waiting = {(stream, identity) for _, _, stream, identity, _ in self._waiting}
        for stream in streams:
            self.forget(stream, [one for one in self._held.get(stream, ()) if (stream, one) not in waiting])

    def held(self) -> dict[str, list[str]]:
        """Ids in hand by stream."""
        return {stream: sorted(ids) for stream, ids in self._held.items() if ids}

    def wait(self, delivery: Delivery, due: float) -> None:
        """Keep a delivery until the monotonic time `due`."""
        size = size_of(delivery.fields)
        keeps = self._waiting_size + size <= self.budget // _FOR_WAITING
        if keeps:
            self._waiting_size += size
        else:
            self._weigh(delivery.stream, delivery.entry, 0)
        self._push(due, delivery.stream, delivery.entry, delivery.fields if keeps else None)

    def wait_bare(self, stream: str, ids: Iterable[str], due: float) -> None:
        """Keep entries until `due` that are in hand without their bodies."""
        for identity in ids:
            self._weigh(stream, identity, 0)
            self._push(due, stream, identity, None)

    def _push(self, due: float, stream: str, identity: str, fields: Fields | None) -> None:
        self._turn += 1
        heapq.heappush(self._waiting, (due, self._turn, stream, identity, fields))
        if self._waiting[0][1] == self._turn:
            self.hurried.set()

    def _weigh(self, stream: str, identity: str, size: int) -> None:
        held = self._held.setdefault(stream, {})
        self.size += size - held.get(identity, 0)
        held[identity] = size
        self.eased.set()

    def due(self, now: float, most: int) -> Due:
        """At most so many whose time has come, in the order of their times, taken off the waiting ones."""
        found = Due([], {})
        while self._waiting and self._waiting[0][0] <= now and most > 0:
            _, _, stream, identity, fields = heapq.heappop(self._waiting)
            most -= 1
            if not self.has(stream, identity):
                self._waiting_size -= size_of(fields) if fields is not None else 0
            elif fields is None:
                found.bare.setdefault(stream, []).append(identity)
            else:
                self._waiting_size -= size_of(fields)
                found.ready.append(Delivery(stream, identity, fields))
        self.eased.set()
        return found

    def embody(self, entries: Iterable[Entry]) -> list[Delivery]:
        """Deliveries of entries that are in hand without a body; of others, nothing."""
        found = []
        for stream, identity, fields in entries:
            if fields is not None and self._held.get(stream, {}).get(identity) == 0:
                self._weigh(stream, identity, size_of(fields))
                found.append(Delivery(stream, identity, fields))
        return found

    @property
    def next_due(self) -> float | None:
        """When the next one is due, in monotonic time; None when nobody waits."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def waiting(self) -> int:
        """How many wait for another attempt."""
        return len(self._waiting)
