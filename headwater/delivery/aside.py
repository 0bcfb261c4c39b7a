"""Side streams: what backfills say to this application alone, read beside everything else.

One loop on a connection of its own. It reads while little history waits for a transaction, into half of the
room in hand, so that a live entry waits for history nowhere but in the database itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from headwater import clock, failpoints
from headwater.broker import Entry
from headwater.delivery.appetite import brought_by, grown, learn, portion, turns
from headwater.delivery.draining import unblock
from headwater.delivery.reading import HISTORICAL, Reading
from headwater.delivery.recovering import Recovery
from headwater.delivery.shift import TROUBLES
from headwater.patience import either, pause

MOST = 2 * HISTORICAL
"""Entries of one read, and of history that may wait when the next begins."""
DOUBT = 0.05
"""Seconds between two looks whether the reader of live entries has found out what was lost."""


class Aside:
    """The loop, for the side streams of a worker's post."""

    def __init__(self, recovery: Recovery, reading: Reading) -> None:
        """`reading`: of the other streams; it looks for losses before either of them reads on."""
        self._shift = shift = recovery.shift
        self._recovery = recovery
        self._reading = reading
        self._broker = shift.broker.beside(f"{shift.post.app}-aside")
        self._brought: Mapping[str, int] = dict.fromkeys(shift.post.aside, 1)

    async def close(self) -> None:
        """Close the connection of its own. Idempotent."""
        await self._broker.close()

    async def run(self) -> None:
        """Until a stop."""
        reading = asyncio.create_task(self._read(), name="aside-read")
        stopping = asyncio.create_task(self._shift.stopping.wait(), name="aside-stop")
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await unblock(self._broker, reading)
            await reading
        finally:
            for task in (reading, stopping):
                task.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)

    async def _read(self) -> None:
        shift, tries = self._shift, 0
        while await self._room():
            try:
                if shift.look_aside:
                    await self._recovery.own_aside()
                shift.vitals.leave("aside", shift.post.pace.block + shift.post.pace.wedged)
                self._take(await self._next_entries())
                shift.vitals.back("aside")
                tries = 0
            except TROUBLES as error:
                shift.vitals.back("aside")
                tries += 1
                await self._reading.wait_out(error, tries)

    async def _room(self) -> bool:
        """Wait until history could be applied soon, and nothing is in doubt; False at a stop."""
        shift, hand = self._shift, self._shift.hand
        while not shift.stopping.is_set():
            hand.eased.clear()
            if shift.look_back:
                await pause(shift.stopping, DOUBT)
            elif self._reading.past.waiting < MOST and self._room_in_hand and not hand.crowded:
                return True
            else:
                await either(hand.eased, shift.stopping)
        return False

    @property
    def _room_in_hand(self) -> int:
        return max(0, self._shift.hand.budget // 2 - self._shift.hand.size)

    async def _next_entries(self) -> list[Entry]:
        shift, post, streams = self._shift, self._shift.post, self._shift.aside
        if not streams:
            await pause(shift.stopping, post.pace.block)
            return []
        wanted = portion(
            most=grown(MOST, sum(self._brought.values())),
            room=self._room_in_hand,
            size=shift.entry_size,
            busy=len(self._brought) or len(streams),
        )
        entries = await self._broker.read(
            *(post.group, post.name, turns(streams, self._brought)), count=wanted, block=post.pace.block
        )
        failpoints.reached("worker.read")
        self._brought = brought_by(entry.stream for entry in entries)
        return entries

    def _take(self, entries: list[Entry]) -> None:
        shift = self._shift
        if entries:
            shift.history_at = clock.monotonic()
        shift.settler.counts.read += len(entries)
        before, taken = shift.hand.size, shift.hand.take(entries)
        shift.entry_size = learn(shift.entry_size, shift.hand.size - before, len(taken))
        self._reading.past.put(taken)
