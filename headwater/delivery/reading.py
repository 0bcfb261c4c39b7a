"""New entries: read when a transaction is free, live ones applied before historical ones.

After any failed read the worker looks through its own pending list first: the lost answer may have
carried entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from headwater import failpoints, telemetry
from headwater.broker import Entry
from headwater.delivery.appetite import brought_by, grown, learn, portion, turns
from headwater.delivery.applier import Applier
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.lane import Lane
from headwater.delivery.lookout import Lookout
from headwater.delivery.pulse import REDIS
from headwater.delivery.recovering import Recovery
from headwater.delivery.shift import TROUBLES
from headwater.errors import BrokerRefused, DatabaseUnavailable, GroupMissing
from headwater.patience import either, pause

log = telemetry.logger(__name__)
HISTORICAL = 250
"""Historical deliveries of one transaction: what a live one for the same row may have to wait for."""
LOOK_FIRST = 1.0
"""Seconds a look for losses may take before a read."""


class Reading:
    """The loop that reads, and the transactions it keeps busy."""

    def __init__(
        self, recovery: Recovery, lookout: Lookout, live: Iterable[Applier], past: Iterable[Applier]
    ) -> None:
        self._shift = shift = recovery.shift
        self._lookout = lookout
        self._looking: asyncio.Task[None] | None = None
        self._recovery = recovery
        count = shift.post.pace.count
        self._live = Lane(shift, live, count)
        self._past = Lane(shift, past, min(count, HISTORICAL))
        self._brought: Mapping[str, int] = dict.fromkeys(shift.fresh, 1)

    @property
    def batches(self) -> set[asyncio.Task[None]]:
        """Transactions in flight."""
        return self._live.batches | self._past.batches

    @property
    def past(self) -> Lane:
        """Where historical deliveries wait for a transaction."""
        return self._past

    @property
    def defect(self) -> BaseException | None:
        """What ended the worker, when it was no server and no entry."""
        return self._live.defect or self._past.defect

    async def run(self) -> None:
        """Until a stop."""
        if not self._shift.post.streams:
            await self._shift.stopping.wait()
        try:
            await self._read()
        finally:
            if self._looking is not None:
                self._looking.cancel()

    async def _read(self) -> None:
        shift, tries = self._shift, 0
        while await self._room():
            try:
                if shift.look_back:
                    await self._look_first()
                    await self._recovery.own_pending()
                shift.vitals.leave("reading", shift.post.pace.block + shift.post.pace.wedged)
                self._start(await self._next_entries())
                shift.vitals.back("reading")
                shift.vitals.hear(REDIS)
                shift.broker_ok, tries = True, 0
            except TROUBLES as error:
                tries += 1
                await self.wait_out(error, tries)

    async def _room(self) -> bool:
        """Wait until entries could be applied at once, and kept; False at a stop."""
        hand, stopping, most = self._shift.hand, self._shift.stopping, self._shift.post.pace.count
        self._shift.vitals.back("reading")
        while not stopping.is_set():
            hand.eased.clear()
            behind = self._past.waiting_beside(self._shift.post.aside)
            if self._live.free and behind < most and hand.room and not hand.crowded:
                return True
            await either(hand.eased, stopping)
        return False

    async def _look_first(self) -> None:
        # Before a read lets the group jump over what is missing; but a silent database must not stop reading.
        if self._looking is None:
            self._looking = asyncio.create_task(self._lookout.look(), name="look-first")
        done, _ = await asyncio.wait({self._looking}, timeout=LOOK_FIRST)
        if not done:
            log.warning("worker.look_late", app=self._shift.post.app)
            return
        looked, self._looking = self._looking, None
        try:
            looked.result()
        except DatabaseUnavailable as error:
            log.warning("worker.look_failed", app=self._shift.post.app, error=str(error))

    async def wait_out(self, error: Exception, tries: int) -> None:
        """After a read that failed, for the `tries`th time in a row: mend what can be mended, or wait."""
        shift = self._shift
        if isinstance(error, BrokerRefused):
            try:
                if await self._lookout.refused(error, tries) or isinstance(error, GroupMissing):
                    return
            except TROUBLES as failure:
                error = failure
        shift.doubt()
        shift.broker_ok = isinstance(error, DatabaseUnavailable | TablesUnfit)
        shift.database_ok = shift.database_ok and not shift.broker_ok
        await shift.back_off(error, tries)

    async def _next_entries(self) -> list[Entry]:
        shift, post, streams = self._shift, self._shift.post, self._shift.fresh
        if not streams:
            await pause(shift.stopping, post.pace.block)
            return []
        wanted = portion(
            most=grown(post.pace.count, sum(self._brought.values())),
            room=shift.hand.room,
            size=shift.entry_size,
            busy=len(self._brought) or len(streams),  # who was quiet may all come at once
        )
        entries = await shift.broker.read(
            *(post.group, post.name, turns(streams, self._brought)), count=wanted, block=post.pace.block
        )
        failpoints.reached("worker.read")
        self._brought = brought_by(entry.stream for entry in entries)
        self._shift.settler.counts.read += len(entries)
        return entries

    def _start(self, entries: list[Entry]) -> None:
        shift = self._shift
        before, taken = shift.hand.size, shift.hand.take(entries)
        shift.entry_size = learn(shift.entry_size, shift.hand.size - before, len(taken))
        past = [one for one in taken if one.fields.get(b"hist") == b"1"]
        self._live.put([one for one in taken if one.fields.get(b"hist") != b"1"] if past else taken)
        self._past.put(past)
