"""New entries: read when a transaction is free, applied in it.

After any failed read the worker looks through its own pending list first: the lost answer may have
carried entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from headwater import failpoints
from headwater.broker import Entry
from headwater.delivery.applier import Applier
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.recovering import Recovery
from headwater.delivery.shift import TROUBLES, Shift
from headwater.delivery.work import Delivery
from headwater.errors import DatabaseUnavailable, GroupMissing


class Reading:
    """The loop that reads, and the transactions it keeps busy."""

    def __init__(self, shift: Shift, recovery: Recovery, appliers: Sequence[Applier]) -> None:
        self._shift = shift
        self._recovery = recovery
        self._free: asyncio.Queue[Applier] = asyncio.Queue()
        for applier in appliers:
            self._free.put_nowait(applier)
        self._busy = len(shift.post.streams)
        self.batches: set[asyncio.Task[None]] = set()
        """Transactions in flight."""
        self.defect: BaseException | None = None

    async def run(self) -> None:
        """Until a stop."""
        shift, tries = self._shift, 0
        while not shift.stopping.is_set():
            applier = await self._free.get()
            entries: Sequence[Entry] = ()
            try:
                if shift.look_back:
                    await self._recovery.own_pending()
                entries = await self._next_entries()
                shift.broker_ok, tries = True, 0
            except GroupMissing as error:
                await self._recovery.recreate(error)
            except TROUBLES as error:
                shift.look_back = True
                shift.broker_ok = isinstance(error, DatabaseUnavailable | TablesUnfit)
                shift.database_ok = shift.database_ok and not shift.broker_ok
                tries += 1
                await shift.back_off(error, tries)
            finally:
                if not entries:
                    self._free.put_nowait(applier)
            if entries:
                self._start(applier, shift.hand.take(entries))

    async def _next_entries(self) -> list[Entry]:
        # COUNT is per stream: divided by the streams that had something last time, a read fits a transaction.
        post = self._shift.post
        count = max(1, post.pace.count // max(1, self._busy))
        entries = await self._shift.broker.read(
            post.group, post.name, post.streams, count=count, block=post.pace.block
        )
        failpoints.reached("worker.read")
        self._busy = len({entry.stream for entry in entries})
        self._shift.settler.counts.read += len(entries)
        return entries

    def _start(self, applier: Applier, deliveries: list[Delivery]) -> None:
        task = asyncio.create_task(self._batch(applier, deliveries), name="batch")
        self.batches.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.batches.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A defect, not a failure of a server or an entry: stop loudly, so that nothing is held for ever.
            self.defect = task.exception()
            self._shift.stopping.set()

    async def _batch(self, applier: Applier, deliveries: list[Delivery]) -> None:
        size = self._shift.post.pace.count
        try:
            for start in range(0, len(deliveries), size):
                await self._shift.settle(applier, deliveries[start : start + size])
        finally:
            self._free.put_nowait(applier)
