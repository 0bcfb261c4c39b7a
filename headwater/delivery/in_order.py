"""Read an application's ordered streams: by one worker at a time, one batch at a time.

A worker whose turn it is first takes over everything that is pending there, in order, whoever held
it; then it reads on. The others stand by. The turn lasts half of `min_idle`, and is renewed thrice
in that time: a worker that dies is followed after that, one that is only slow changes nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import random
from collections.abc import AsyncIterator, Sequence

import asyncpg

from headwater import failpoints, telemetry
from headwater.broker import Entry
from headwater.delivery.appetite import learn, portion
from headwater.delivery.applier import Applier
from headwater.delivery.halving import Fenced, TablesUnfit
from headwater.delivery.lookout import Lookout
from headwater.delivery.recovering import Recovery
from headwater.delivery.shift import TROUBLES, Shift
from headwater.delivery.turn import Turn
from headwater.delivery.watch import Watch
from headwater.delivery.work import Delivery
from headwater.errors import DatabaseUnavailable, GroupMissing
from headwater.patience import pause

log = telemetry.logger(__name__)


def in_order(worker: Shift, streams: list[str], applier: Applier, turn: Turn, watch: Watch) -> InOrder:
    """A loop beside those of a worker: what is in hand and the stop are theirs, the connection its own."""
    shift = Shift(
        dataclasses.replace(worker.post, streams=streams),
        worker.broker.beside(f"{worker.post.app}-ordered"),
        *(worker.settler, worker.hand, applier),
    )
    shift.stopping = worker.stopping
    shift.broker_ok = shift.database_ok = True
    return InOrder(Recovery(shift), Lookout(shift, watch), turn)


class InOrder:
    """The loop, for the streams of its shift. `shift.side` must carry the turn's fence."""

    def __init__(self, recovery: Recovery, lookout: Lookout, turn: Turn) -> None:
        self._shift = recovery.shift
        self.post = self._shift.post
        self._recovery = recovery
        self._lookout = lookout
        self._turn = turn

    @property
    def ok(self) -> bool:
        """Whether both servers answered at the last try; also of one that stands by."""
        return self._shift.broker_ok and self._shift.database_ok

    async def close(self) -> None:
        """Close the connection of its own. Idempotent."""
        await self._shift.broker.close()

    async def run(self) -> None:
        """Until a stop."""
        shift, tries = self._shift, 0
        wait = shift.post.pace.min_idle / 10
        while not shift.stopping.is_set():
            try:
                if await self._turn.take():
                    shift.look_back = True
                    await self._serve()
                shift.database_ok, tries = True, 0
            except asyncpg.LockNotAvailableError:
                log.info("worker.turn_awaited", app=shift.post.app)  # its last transaction is still open
            except Fenced as error:
                log.warning("worker.turn_lost", app=shift.post.app, error=str(error))
            except (DatabaseUnavailable, TablesUnfit, asyncpg.PostgresError) as error:
                shift.database_ok = False
                tries += 1
                await shift.back_off(error, tries)
            await pause(shift.stopping, wait * random.uniform(0.5, 1.0))  # noqa: S311

    async def _serve(self) -> None:
        log.info("worker.turn_taken", app=self._shift.post.app, consumer=self._shift.post.name)
        try:
            async with self._renewed() as renewing:
                while not self._shift.stopping.is_set() and not renewing.done():
                    await self._next()
                if renewing.done():
                    await renewing
        finally:
            if not self._shift.stopping.is_set():  # else what is left is given away with the rest
                self._shift.hand.leave(self._shift.post.streams)
        await self._turn.give_up()

    async def _next(self) -> None:
        shift, post = self._shift, self._shift.post
        try:
            if shift.look_back:
                await self._take_over()
            wanted = portion(
                most=post.pace.count, room=shift.hand.room, size=shift.entry_size, busy=len(post.streams)
            )
            entries = await shift.broker.read(
                post.group, post.name, post.streams, count=wanted, block=post.pace.block
            )
            failpoints.reached("worker.read")
            shift.broker_ok = shift.database_ok = True
            shift.settler.counts.read += len(entries)
            for start in range(0, len(entries), post.pace.count):
                await self._settle(self._take(entries[start : start + post.pace.count]), set())
        except TROUBLES as error:
            shift.look_back = True
            if isinstance(error, GroupMissing) and await self._mended(error):
                return
            shift.database_ok = not isinstance(error, DatabaseUnavailable | TablesUnfit)
            shift.broker_ok = not shift.database_ok
            await shift.back_off(error, 1)

    async def _mended(self, error: GroupMissing) -> bool:
        try:
            return await self._lookout.refused(error, 1)
        except TROUBLES as failure:
            self._shift.last_error = str(failure)
            return False

    async def _take_over(self) -> None:
        """Settle all that is pending, in order: whoever held it has no turn any more."""
        shift, post = self._shift, self._shift.post
        shift.hand.leave(post.streams)
        await self._lookout.look()  # before a read lets the group jump over what is missing
        shift.look_back = False
        for stream in post.streams:
            cursor = "0-0"
            while not shift.stopping.is_set():
                page = await shift.broker.claim_idle(
                    *(stream, post.group, post.name), min_idle=0.0, cursor=cursor, count=shift.page(100)
                )
                cursor = page.cursor
                if page.lost:
                    await shift.settler.record_lost(post.app, stream, page.lost)
                await self._again(stream, page.entries)
                if cursor == "0-0":
                    break

    async def _again(self, stream: str, entries: Sequence[Entry]) -> None:
        taken = self._take(entries)
        ready = await self._shift.settler.recall(self._shift.post.app, taken)
        await self._settle(ready, await self._recovery.suspects(stream, ready))

    def _take(self, entries: Sequence[Entry]) -> list[Delivery]:
        hand = self._shift.hand
        before, taken = hand.size, hand.take(entries)
        self._shift.entry_size = learn(self._shift.entry_size, hand.size - before, len(taken))
        return taken

    async def _settle(self, deliveries: Sequence[Delivery], suspects: set[str]) -> None:
        """In the order given: what may have ended workers by itself, the rest between it together."""
        shift = self._shift
        for alone, group in itertools.groupby(deliveries, lambda one: one.entry in suspects):
            batch = list(group)
            for part in ([one] for one in batch) if alone else [batch]:
                if not shift.stopping.is_set():
                    await shift.settle(shift.side, part, alone=alone)

    @contextlib.asynccontextmanager
    async def _renewed(self) -> AsyncIterator[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._unblock())]
        try:
            yield tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> None:
        pace = self._shift.post.pace
        while True:
            await asyncio.sleep(pace.min_idle / 6)
            try:
                await self._turn.renew()
            except (DatabaseUnavailable, asyncpg.PostgresError) as error:
                log.warning("worker.turn_not_renewed", app=self._shift.post.app, error=str(error))

    async def _unblock(self) -> None:
        """At a stop a blocked read returns; asked again, because it may not have been blocked yet."""
        await self._shift.stopping.wait()
        while True:
            try:
                await self._shift.broker.unblock()
            except TROUBLES as error:
                log.debug("worker.unblock_failed", error=str(error))
            await asyncio.sleep(0.05)
