"""What was given out before and has no outcome: by a lost answer, a crash, or a worker that is gone.

Always holds: what is in hand is never taken a second time, so nothing that is merely slow runs twice at once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from headwater import failpoints, telemetry
from headwater.broker import Entry, EntryId
from headwater.delivery.appetite import learn
from headwater.delivery.shift import TROUBLES, Shift
from headwater.delivery.work import Delivery
from headwater.patience import pause

log = telemetry.logger(__name__)
SUSPECT = 3
"""From this delivery on an entry runs alone: it may be what ended the workers before."""


class Recovery:
    """Takes up again what is pending."""

    def __init__(self, shift: Shift) -> None:
        self.shift = shift
        self._post = shift.post
        self._broker = shift.broker
        self._settler = shift.settler

    async def own_pending(self) -> None:
        """Deliver what stands under our name and is not in hand: a lost answer, or a crash before.

        Not of side streams: their reader looks itself, so that nothing that is on its way to it is taken.
        """
        await self._own_pending(self.shift.fresh)
        self.shift.look_back = False

    async def own_aside(self) -> None:
        """The same of side streams."""
        await self._own_pending(self.shift.aside)
        self.shift.look_aside = False

    async def _own_pending(self, streams: Sequence[str]) -> None:
        post = self._post
        for stream in streams:
            after = "0"
            while entries := await self._broker.pending_of(
                post.group, post.name, stream, after=after, count=self.shift.page(500)
            ):
                after = entries[-1].id
                await self.again(stream, entries)

    async def again(self, stream: str, entries: Sequence[Entry]) -> None:
        """Settle entries that were given out before: what may have ended workers, by itself."""
        hand = self.shift.hand
        # What is in hand has its fields there, whatever became of the entry.
        gone = [entry.id for entry in entries if entry.fields is None and not hand.has(stream, entry.id)]
        if gone:
            await self._settler.record_lost(self._post.app, stream, gone)
        before, taken = hand.size, hand.take(entries)
        self.shift.entry_size = learn(self.shift.entry_size, hand.size - before, len(taken))
        try:
            ready = await self._settler.recall(self._post.app, taken)
            suspects = await self.suspects(stream, ready)
        except TROUBLES:
            hand.drop(taken)  # else they would count as being worked on, for ever
            raise
        calm = [one for one in ready if one.entry not in suspects]
        if calm:
            await self.shift.settle(self.shift.side, calm)
        for one in ready:
            if one.entry in suspects:
                await self.shift.settle(self.shift.side, [one], alone=True)

    async def suspects(self, stream: str, again: Sequence[Delivery]) -> set[str]:
        """Entries given out so often without an outcome that they may have ended workers."""
        if not again:
            return set()
        post, entries = self._post, sorted((one.entry for one in again), key=EntryId.parse)
        counts = await self._broker.deliveries(
            post.group, post.name, stream, first=entries[0], last=entries[-1]
        )
        return {entry for entry, count in counts.items() if count >= SUSPECT}

    async def reclaim(self) -> None:
        """Take over what others left. The timer is jittered, so that workers do not sweep together.

        While nothing is read, half as often: a command for each stream is what an idle worker costs most.
        """
        shift, post, read, turn = self.shift, self._post, -1, 0
        while True:
            share = 1.0 if shift.settler.counts.read == read else 0.5
            read = shift.settler.counts.read
            if await pause(shift.stopping, post.pace.min_idle * share * random.uniform(0.8, 1.2)):  # noqa: S311
                return
            try:
                for stream in shift.swept(turn):
                    await self._sweep(stream)
                turn += 1
            except TROUBLES as error:
                shift.last_error = str(error)
                log.warning("worker.reclaim_failed", app=post.app, error=str(error))

    async def _sweep(self, stream: str) -> None:
        post, cursor = self._post, "0-0"
        while not self.shift.stopping.is_set():
            page = await self._broker.claim_idle(
                *(stream, post.group, post.name),
                min_idle=post.pace.min_idle,
                cursor=cursor,
                count=self.shift.page(100),
            )
            if page.entries:
                failpoints.reached("worker.reclaimed")
            lost = [entry for entry in page.lost if not self.shift.hand.has(stream, entry)]
            if lost:
                await self._settler.record_lost(post.app, stream, lost)
            if page.entries:
                log.info("worker.reclaimed", app=post.app, stream=stream, entries=len(page.entries))
                if self.shift.metrics:
                    self.shift.metrics.claimed(post.group, len(page.entries))
                await self.again(stream, page.entries)
            cursor = page.cursor
            if cursor == "0-0":
                return
