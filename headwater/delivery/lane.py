"""Transactions of one kind: so many at once, and in order what waits for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Container, Iterable

from headwater.delivery.applier import Applier
from headwater.delivery.shift import Shift
from headwater.delivery.work import Delivery


class Lane:
    """Live and historical deliveries have one each, so that live ones never wait behind history."""

    def __init__(self, shift: Shift, appliers: Iterable[Applier], size: int) -> None:
        """`size`: deliveries of one transaction at most."""
        self._shift = shift
        self._free = list(appliers)
        self._size = size
        self._waiting: deque[list[Delivery]] = deque()
        self.batches: set[asyncio.Task[None]] = set()
        """Transactions in flight."""
        self.defect: BaseException | None = None

    @property
    def free(self) -> bool:
        """Whether a transaction could begin at once."""
        return bool(self._free)

    @property
    def waiting(self) -> int:
        """Deliveries that no transaction has begun with."""
        return sum(map(len, self._waiting))

    def waiting_beside(self, streams: Container[str]) -> int:
        """The same without those that were put here from these streams."""
        return sum(len(some) for some in self._waiting if some[0].stream not in streams)

    def put(self, deliveries: list[Delivery]) -> None:
        """Settle these, behind those that wait."""
        for start in range(0, len(deliveries), self._size):
            self._waiting.append(deliveries[start : start + self._size])
        for _ in range(min(len(self._free), len(self._waiting))):
            task = asyncio.create_task(self._work(self._free.pop()), name="batch")
            self.batches.add(task)
            task.add_done_callback(self._finished)

    async def _work(self, applier: Applier) -> None:
        try:
            while self._waiting:
                await self._shift.settle(applier, self._waiting.popleft())
        finally:
            self._free.append(applier)
            self._shift.hand.eased.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.batches.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A defect, not a failure of a server or an entry: stop loudly, so that nothing is held for ever.
            self.defect = task.exception()
            self._shift.stopping.set()
