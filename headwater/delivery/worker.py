"""One process of an application's group.

Loops: *reading* takes new entries when a transaction is free, *aside* those of side streams; *reclaim*
takes over what others left, also when nothing new comes; *heartbeat* keeps what is in hand from being
taken over; *retry* gives entries another attempt when their time has come; *letters* replays dead letters;
*suspects* takes over what its worker died of; *watching* finds losses, *mending* tries streams again that
Redis refused; *frozen* ends sessions of workers that stand still.

Always holds: an entry is acknowledged only after the transaction that applied or parked it.
"""

from __future__ import annotations

import asyncio
from typing import Unpack

import msgspec

from headwater import telemetry
from headwater.broker import Broker
from headwater.database import Database
from headwater.delivery import order, pulse, quarantine, upkeep
from headwater.delivery.applier import Applier
from headwater.delivery.aside import Aside
from headwater.delivery.consumer import Consumer
from headwater.delivery.draining import LAST, drain, within
from headwater.delivery.frozen import end_frozen
from headwater.delivery.hand import Hand
from headwater.delivery.in_order import InOrder, in_order
from headwater.delivery.inheriting import Inheritance
from headwater.delivery.lookout import Lookout
from headwater.delivery.names import NameHeld
from headwater.delivery.outcome import Limits
from headwater.delivery.pace import Manner, Pace
from headwater.delivery.reading import Reading
from headwater.delivery.reaping import Place, sweep
from headwater.delivery.recovering import Recovery
from headwater.delivery.settler import Settler
from headwater.delivery.shift import TROUBLES, Post, Shift
from headwater.delivery.turn import Turn
from headwater.delivery.watch import Watch
from headwater.event import Codec
from headwater.patience import until_it_works
from headwater.telemetry import Metrics
from headwater.topology import Catalogue

log = telemetry.logger(__name__)


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
        """`manner`: `name`, or a lease for one; `pace` and `limits` where the defaults do not do."""
        self.consumer = consumer
        self.group = catalogue.group(consumer.app).name
        self.streams = catalogue.keys_of(consumer.app)
        self._lease = manner.get("lease")
        self.pace = manner.get("pace") or Pace()
        limits = manner.get("limits") or Limits()

        def applier(slot: int | str) -> Applier:
            return Applier(database, consumer, name=f"{manner['name']}/{slot}", limits=limits)

        slots = range(self.pace.transactions)
        self._live = [applier(slot) for slot in slots]
        self._past = [applier(f"past-{slot}") for slot in slots[1:] or slots]
        hand = Hand(self.pace.hand)
        self._settler = Settler(database, broker, codec, self.group, hand)
        ordered = order.streams(consumer, catalogue)
        free = [stream for stream in self.streams if stream not in ordered]
        aside = frozenset(catalogue.side_keys(consumer.app)) - set(ordered)
        post = Post(consumer.app, self.group, manner["name"], free, self.pace, aside)
        self._place = Place(broker, database, consumer.app, self.group, tuple(self.streams))
        self._shift = Shift(post, broker, self._settler, hand, applier("side"))
        self._recovery = Recovery(self._shift)
        self._inheritance = Inheritance(self._shift, self._recovery)
        watch = Watch(broker, database, catalogue, consumer.app)
        self._lookout = Lookout(self._shift, watch, ordered)
        self._reading = Reading(self._recovery, self._lookout, self._live, self._past)
        self._aside = Aside(self._recovery, self._reading) if aside else None
        self._in_order: InOrder | None = None
        if ordered:
            turn = Turn(database, consumer.app, self.name, self.pace.min_idle / 2)
            self._live.append(applier("ordered"))
            self._live[-1].fence = turn.check
            self._in_order = in_order(self._shift, ordered, self._live[-1], turn, watch)

    @property
    def _all(self) -> list[Applier]:
        return [*self._live, *self._past, self._shift.side]

    @property
    def name(self) -> str:
        """Its consumer name in Redis; with a lease, once that was taken."""
        return self._shift.post.name

    @property
    def ready(self) -> bool:
        """Whether entries are being taken: both servers answered at the last try."""
        return self._shift.ready and (self._in_order is None or self._in_order.ok)

    @property
    def broker_ok(self) -> bool:
        """Whether Redis answered at the last try."""
        return self._shift.broker_ok

    @property
    def database_ok(self) -> bool:
        """Whether the application's database answered at the last try, with tables that fit."""
        return self._shift.database_ok

    @property
    def trouble(self) -> str:
        """Why it is not ready, in words; empty when it is."""
        if self.ready:
            return ""
        streams = {**self._settler.refused, **self._shift.unfit}
        refused = "; ".join(f"{stream}: {why}" for stream, why in streams.items())
        return self._shift.vitals.trouble or refused or self.last_error or "starting, or draining"

    @property
    def wedged(self) -> str:
        """Loops that got stuck and will not come back by themselves; empty while it lives."""
        return self._shift.vitals.wedged

    @property
    def unfit(self) -> dict[str, str]:
        """Streams that Redis refuses to read, with its words; the others are read."""
        return dict(self._shift.unfit)

    @property
    def last_error(self) -> str:
        """What was last waited for; empty when nothing ever was."""
        return self._shift.last_error

    def measure_with(self, metrics: Metrics) -> None:
        """Feed these from now on."""
        self._shift.metrics = metrics
        self._settler.measure_with(metrics)

    def statistics(self) -> dict[str, int]:
        """Counts since start."""
        applied = {
            "applied": sum(a.applied for a in self._all),
            "stale": sum(a.stale for a in self._all),
        }
        hand = self._shift.hand
        moved = {"given_back": self._shift.given_back, "taken_over": self._shift.taken_over}
        now = {"in_hand": len(hand), "bytes_in_hand": hand.size, "waiting": hand.waiting, **moved}
        return {**msgspec.structs.asdict(self._settler.counts), **applied, **now}

    def stop(self) -> None:
        """Take nothing new; `run` finishes what is in hand and returns. Idempotent."""
        self._shift.stopping.set()

    async def run(self) -> None:
        """Consume until `stop()` or a cancel.

        Raises DeclarationError for tables that do not fit, NameTaken when another process has its name.
        """
        shift = self._shift
        await until_it_works(self._open, shift.stopping, failures=(*TROUBLES, NameHeld), report=shift.report)
        log.info("worker.started", app=self.consumer.app, consumer=self.name, streams=len(self.streams))
        reading = asyncio.create_task(self._reading.run(), name="reading")
        others = self._beside()
        stopping = asyncio.create_task(shift.stopping.wait(), name="stopping")
        try:
            await asyncio.wait({reading, *others, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            shift.stopping.set()
            await drain(shift, reading, others, lambda: self._reading.batches)
            stopping.cancel()
            for beside in (self._in_order, self._aside):
                if beside is not None:
                    await beside.close()
            if self._lease is not None:  # what it held was given away: whoever is next finds nothing
                await within(LAST, self._lease.free())
            log.info("worker.stopped", app=self.consumer.app, consumer=self.name, **self.statistics())
        for task in (reading, *others):
            if task.done() and not task.cancelled():
                task.result()
        if self._reading.defect is not None:
            raise self._reading.defect

    def _beside(self) -> list[asyncio.Task[None]]:
        shift, database = self._shift, self._shift.side.database
        loops = {
            "reclaim": self._recovery.reclaim(),
            "inherit": self._inheritance.run(),
            "heartbeat": upkeep.heartbeat(self._shift),
            "retry": upkeep.retry(self._shift),
            "suspects": quarantine.suspects(self._shift, self._recovery),
            "redis": pulse.ask(shift, pulse.REDIS, lambda: shift.broker.execute("PING")),
            "postgres": pulse.ask(shift, pulse.POSTGRES, lambda: database.fetchval("SELECT 1")),
            "letters": upkeep.letters(self._shift),
            "frozen": end_frozen(shift, database),
            "watching": self._lookout.watching(),
            "mending": self._lookout.mending(),
        }
        if self._lease is not None:
            loops["name"] = self._lease.keep(self._shift.stopping, drain=self.pace.drain)
            loops["sweep"] = sweep(self._shift, self._place)
        if self._in_order is not None:
            loops["ordered"] = self._in_order.run()
        if self._aside is not None:
            loops["aside"] = self._aside.run()
        return [asyncio.create_task(loop, name=name) for name, loop in loops.items()]

    async def _open(self) -> None:
        shift = self._shift
        await shift.broker.execute("PING")
        shift.broker_ok = True
        shift.vitals.hear(pulse.REDIS)
        for applier in self._all:
            await applier.open()
        if self._lease is not None:
            self._call_itself(await self._lease.take())
        await self._lookout.open()
        shift.database_ok = True
        shift.vitals.hear(pulse.POSTGRES)

    def _call_itself(self, name: str) -> None:
        self._shift.post.name = name
        for applier in self._all:
            applier.name = f"{name}/{applier.name.rpartition('/')[2]}"
        if self._in_order is not None:
            self._in_order.post.name = name
