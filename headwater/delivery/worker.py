"""One process of an application's group.

Loops: *read* takes new entries when a transaction is free; *reclaim* takes over what others left,
also when nothing new comes; *heartbeat* keeps what is in hand from being taken over; *retry* gives
entries another attempt when their time has come; *letters* replays dead letters. After any failed
read the worker looks through its own pending list first: the lost answer may have carried entries.

Always holds: an entry is acknowledged only after the transaction that applied or parked it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Required, TypedDict, Unpack

import msgspec

from headwater import clock, failpoints, telemetry
from headwater.broker import Broker, Entry, provision
from headwater.database import Database
from headwater.delivery.applier import Applier, TablesUnfit
from headwater.delivery.consumer import Consumer
from headwater.delivery.hand import Hand
from headwater.delivery.outcome import Limits
from headwater.delivery.settler import Settler
from headwater.delivery.work import Delivery
from headwater.errors import BrokerRefused, BrokerUnavailable, DatabaseUnavailable, GroupMissing
from headwater.event import Codec
from headwater.patience import backoff, pause, until_it_works
from headwater.telemetry import Metrics
from headwater.topology import Catalogue

log = telemetry.logger(__name__)
_TROUBLES = (BrokerUnavailable, BrokerRefused, DatabaseUnavailable, TablesUnfit)
SUSPECT = 3
"""From this delivery on an entry runs alone: it may be what ended the workers before."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker takes entries. Seconds."""

    block: float = 2.0
    """Longest wait of one read; also the slowest reaction to a server that went away."""
    count: int = 1000
    """Entries of one transaction at most."""
    transactions: int = 2
    """Transactions in flight."""
    min_idle: float = 10.0
    """A delivery untouched for this long is taken from its consumer."""
    heartbeat: float = 3.0
    drain: float = 25.0
    """Longest time to finish what is in hand after a stop."""


class Manner(TypedDict, total=False):
    """How one worker goes about it."""

    name: Required[str]
    """Its consumer name in Redis: one for each process, kept over restarts."""
    pace: Pace
    limits: Limits


class Worker:
    """Runs one application's consumer."""

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        database: Database,
        codec: Codec,
        catalogue: Catalogue,
        **manner: Unpack[Manner],
    ) -> None:
        """`manner`: the worker's `name`, and its `pace` and `limits` where the defaults do not do."""
        self.consumer = consumer
        self.group = catalogue.group(consumer.app).name
        self.streams = catalogue.keys_of(consumer.app)
        self.name = manner["name"]
        self.pace = manner.get("pace") or Pace()
        self._broker = broker
        self._database = database
        self._hand = Hand()
        self._settler = Settler(database, broker, codec, self.group, self._hand)
        limits = manner.get("limits") or Limits()
        self._appliers = [
            Applier(database, consumer, name=f"{self.name}/{slot}", limits=limits)
            for slot in range(self.pace.transactions)
        ]
        self._side = Applier(database, consumer, name=f"{self.name}/side", limits=limits)
        self._free: asyncio.Queue[Applier] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._defect: BaseException | None = None
        self._metrics: Metrics | None = None
        self._look_back = True
        self._busy = len(self.streams)
        self.broker_ok = False
        self.database_ok = False
        self.last_error = ""

    @property
    def ready(self) -> bool:
        """Whether entries are being taken: both servers answered at the last try."""
        return self.broker_ok and self.database_ok and not self._stopping.is_set()

    def measure_with(self, metrics: Metrics) -> None:
        """Feed these from now on."""
        self._metrics = metrics
        self._settler.measure_with(metrics)

    def statistics(self) -> dict[str, int]:
        """Counts since start."""
        applied = {
            "applied": sum(a.applied for a in self._appliers),
            "stale": sum(a.stale for a in self._appliers),
        }
        now = {"in_hand": len(self._hand), "waiting": self._hand.waiting}
        return {**msgspec.structs.asdict(self._settler.counts), **applied, **now}

    def stop(self) -> None:
        """Take nothing new; `run` finishes what is in hand and returns. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until `stop()` or a cancel. Raises DeclarationError for tables that do not fit."""
        await until_it_works(self._open, self._stopping, failures=_TROUBLES, report=self._report)
        for applier in self._appliers:
            self._free.put_nowait(applier)
        log.info("worker.started", app=self.consumer.app, consumer=self.name, streams=len(self.streams))
        loops = (self._read, self._reclaim, self._heartbeat, self._retry, self._letters)
        running = [asyncio.create_task(loop(), name=loop.__name__.strip("_")) for loop in loops]
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            await self._drain(running)
            stopping.cancel()
        for task in running:
            if task.done() and not task.cancelled():
                task.result()
        if self._defect is not None:
            raise self._defect

    async def _open(self) -> None:
        await provision.ensure(self._broker, self.streams, self.group)
        self.broker_ok = True
        for applier in (*self._appliers, self._side):
            await applier.open()
        self.database_ok = True

    def _report(self, error: BaseException, seconds: float) -> None:
        self.last_error = str(error)
        log.warning("worker.waiting", app=self.consumer.app, error=str(error), seconds=round(seconds, 2))

    async def _back_off(self, error: Exception, tries: int) -> None:
        seconds = backoff(tries)
        self._report(error, seconds)
        await pause(self._stopping, seconds)

    async def _read(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            applier = await self._free.get()
            entries: Sequence[Entry] = ()
            try:
                if self._look_back:
                    await self._own_pending()
                entries = await self._next_entries()
                self.broker_ok, tries = True, 0
            except GroupMissing as error:
                await self._recreate(error)
            except _TROUBLES as error:
                self._look_back = True
                self.broker_ok = isinstance(error, DatabaseUnavailable | TablesUnfit)
                self.database_ok = self.database_ok and not self.broker_ok
                tries += 1
                await self._back_off(error, tries)
            finally:
                if not entries:
                    self._free.put_nowait(applier)
            if entries:
                self._start(applier, self._hand.take(entries))

    async def _next_entries(self) -> list[Entry]:
        # COUNT is per stream: divided by the streams that had something last time, a read fits a transaction.
        count = max(1, self.pace.count // max(1, self._busy))
        entries = await self._broker.read(
            self.group, self.name, self.streams, count=count, block=self.pace.block
        )
        failpoints.reached("worker.read")
        self._busy = len({entry.stream for entry in entries})
        self._settler.counts.read += len(entries)
        return entries

    async def _own_pending(self) -> None:
        """Deliver what stands under our name and is not in hand: a lost answer, or a crash before."""
        for stream in self.streams:
            after = "0"
            while entries := await self._broker.pending_of(self.group, self.name, stream, after=after):
                after = entries[-1].id
                await self._again(stream, entries)
        self._look_back = False

    async def _again(self, stream: str, entries: Sequence[Entry]) -> None:
        gone = [entry.id for entry in entries if entry.fields is None]
        if gone:
            await self._settler.record_lost(self.consumer.app, stream, "deleted_while_pending", gone)
        taken = self._hand.take(entries)
        try:
            ready = await self._settler.recall(self.consumer.app, taken)
            suspects = await self._suspects(stream, ready)
        except _TROUBLES:
            self._hand.drop(taken)  # else they would count as being worked on, for ever
            raise
        # Outside the free list: what comes again must not wait behind what is new.
        calm = [one for one in ready if one.entry not in suspects]
        if calm:
            await self._settle(self._side, calm)
        for one in ready:
            if one.entry in suspects:
                await self._settle(self._side, [one], alone=True)

    async def _suspects(self, stream: str, again: Sequence[Delivery]) -> set[str]:
        """Entries given out so often without an outcome that they may have ended workers."""
        if not again:
            return set()
        first, last = again[0].entry, again[-1].entry
        counts = await self._broker.deliveries(self.group, self.name, stream, first=first, last=last)
        return {entry for entry, count in counts.items() if count >= SUSPECT}

    async def _recreate(self, error: GroupMissing) -> None:
        """Make stream and group again at the earliest entry, and record that entries may be lost."""
        self._look_back = True
        try:
            for stream in await provision.ensure(self._broker, self.streams, self.group):
                await self._settler.record_lost(self.consumer.app, stream, "group_missing", [], 1)
        except _TROUBLES as failure:
            self.last_error = str(failure)
        log.error("worker.group_missing", app=self.consumer.app, error=str(error))
        await pause(self._stopping, 0.25)

    def _start(self, applier: Applier, deliveries: list[Delivery]) -> None:
        task = asyncio.create_task(self._batch(applier, deliveries), name="batch")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A defect, not a failure of a server or an entry: stop loudly, so that nothing is held for ever.
            self._defect = task.exception()
            self._stopping.set()

    async def _batch(self, applier: Applier, deliveries: list[Delivery]) -> None:
        try:
            for start in range(0, len(deliveries), self.pace.count):
                await self._settle(applier, deliveries[start : start + self.pace.count])
        finally:
            self._free.put_nowait(applier)

    async def _settle(self, applier: Applier, deliveries: list[Delivery], *, alone: bool = False) -> None:
        tries = 0
        while True:
            try:
                if alone:
                    heard = await self._settler.suspect(applier, deliveries[0])
                else:
                    heard = await self._settler.settle(applier, deliveries)
                if not heard:
                    self._look_back = True
                self.database_ok = True
            except (DatabaseUnavailable, TablesUnfit) as error:
                self.database_ok = False
                tries += 1
                await self._back_off(error, tries)
                if self._stopping.is_set():
                    return
            else:
                return

    async def _reclaim(self) -> None:
        """Take over what others left. The timer is jittered, so that workers do not sweep together."""
        while not await pause(self._stopping, self.pace.min_idle * random.uniform(0.4, 0.6)):  # noqa: S311
            try:
                for stream in self.streams:
                    await self._reclaim_stream(stream)
            except _TROUBLES as error:
                self.last_error = str(error)
                log.warning("worker.reclaim_failed", app=self.consumer.app, error=str(error))

    async def _reclaim_stream(self, stream: str) -> None:
        cursor = "0-0"
        while not self._stopping.is_set():
            page = await self._broker.claim_idle(
                stream, self.group, self.name, min_idle=self.pace.min_idle, cursor=cursor
            )
            if page.entries:
                failpoints.reached("worker.reclaimed")
            if page.lost:
                await self._settler.record_lost(self.consumer.app, stream, "deleted_while_pending", page.lost)
            if page.entries:
                log.info("worker.reclaimed", app=self.consumer.app, stream=stream, entries=len(page.entries))
                if self._metrics:
                    self._metrics.claimed(self.group, len(page.entries))
                await self._again(stream, page.entries)
            cursor = page.cursor
            if cursor == "0-0":
                return

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self.pace.heartbeat)
            try:
                await self._broker.heartbeat(self.group, self.name, self._hand.held())
                failpoints.reached("worker.heartbeat")
            except (BrokerUnavailable, BrokerRefused) as error:
                log.warning("worker.heartbeat_failed", app=self.consumer.app, error=str(error))

    async def _retry(self) -> None:
        while not await pause(self._stopping, 0.05):
            due = self._hand.due(clock.monotonic())
            if due:
                await self._settle(self._side, due)

    async def _letters(self) -> None:
        while not await pause(self._stopping, 0.5):
            try:
                await self._settler.settle_letters(self._side)
                self.database_ok = True
            except (DatabaseUnavailable, TablesUnfit) as error:
                self.database_ok = False
                self.last_error = str(error)

    async def _drain(self, loops: list[asyncio.Task[None]]) -> None:
        """The order is the promise: take nothing new, finish what is in hand, give the rest away."""
        failpoints.reached("worker.stopping")
        reading, *others = loops
        unblocking = asyncio.create_task(self._unblock(reading), name="unblock")
        heartbeat = next(task for task in others if task.get_name() == "heartbeat")
        finishing = {reading, *(task for task in others if task is not heartbeat)}
        await asyncio.wait({*finishing, *self._tasks}, timeout=self.pace.drain)
        unblocking.cancel()
        if self._tasks:
            # Started by the last read while we waited: they get what is left of a second.
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in (*loops, *self._tasks):
            task.cancel()
        await asyncio.gather(*loops, *self._tasks, return_exceptions=True)
        failpoints.reached("worker.finished")
        await self._release()
        failpoints.reached("worker.released")
        log.info("worker.stopped", app=self.consumer.app, consumer=self.name, **self.statistics())

    async def _unblock(self, reading: asyncio.Task[None]) -> None:
        """Let a blocked read return; asked again until it did, because it may not have been blocked yet."""
        try:
            while not reading.done():
                await self._broker.unblock()
                await asyncio.wait({reading}, timeout=0.05)
        except (BrokerUnavailable, BrokerRefused) as error:
            log.debug("worker.unblock_failed", error=str(error))

    async def _release(self) -> None:
        try:
            for stream, ids in self._hand.held().items():
                await self._broker.release(self.group, stream, ids, idle=self.pace.min_idle)
        except (BrokerUnavailable, BrokerRefused) as error:
            log.warning("worker.release_failed", app=self.consumer.app, error=str(error))
