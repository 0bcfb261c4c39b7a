"""One batch, from what was read to what was acknowledged; the only caller of acknowledge.

Order: apply and commit, or park, or count the failure; only then acknowledge. A crash anywhere in
between gives the entries out again, and gate, inbox and dead letters make that harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import asyncpg
import msgspec

from headwater import clock, failpoints, telemetry
from headwater.broker import Broker, EntryId
from headwater.database import Database, load
from headwater.delivery import blaming, gaps, letters, order
from headwater.delivery.applier import Applier
from headwater.delivery.consumer import Consumer
from headwater.delivery.gaps import Gap
from headwater.delivery.halving import Fenced, TablesUnfit, Thing
from headwater.delivery.hand import Hand
from headwater.delivery.letters import Parked, Taken
from headwater.delivery.outcome import (
    Ack,
    Fault,
    Hold,
    Outcome,
    Park,
    RetryAfter,
    classify,
    describe,
    quarantine,
)
from headwater.delivery.work import Delivery, Sorted, Work, sort_out
from headwater.errors import BrokerRefused, BrokerUnavailable, DatabaseUnavailable, SessionLost
from headwater.event import Codec
from headwater.telemetry import Metrics

log = telemetry.logger(__name__)


class Counts(msgspec.Struct):
    """What a worker did since it started."""

    read: int = 0
    acknowledged: int = 0
    skipped: int = 0
    parked: int = 0
    retried: int = 0
    lost: int = 0
    held: int = 0


DOUBT = 60.0
"""Seconds within which a worker that found an entry gone has written that down."""
CRASHED = "the worker ended while it had this entry"


class Settler:
    """Settles batches for one application."""

    def __init__(self, database: Database, broker: Broker, codec: Codec, group: str, hand: Hand) -> None:
        self._metrics: Metrics | None = None
        self._database = database
        self._broker = broker
        self.codec = codec
        self._group = group
        self._hand = hand
        self._gaps: list[Gap] = []
        self._writing = asyncio.Lock()
        self._begun: dict[tuple[str, str, str], int] = {}
        self._doubted: list[tuple[float, str, list[str]]] = []
        self.counts = Counts()
        self.refused: dict[str, str] = {}
        """Streams of which Redis takes no acknowledgements, with its words."""
        self.hurried = asyncio.Event()
        """Set when `next_letter` is sooner than it was."""
        self.next_letter = math.inf
        """When a letter that was seen to wait is due, in monotonic time."""

    def measure_with(self, metrics: Metrics) -> None:
        """Feed these from now on."""
        self._metrics = metrics

    async def settle(self, applier: Applier, deliveries: Sequence[Delivery]) -> bool:
        """Settle a batch; False when Redis did not hear of it, and its entries will come again.

        Raises DatabaseUnavailable or TablesUnfit: nothing was decided, settle the batch again. Raises
        Fenced: it is not ours any more.
        """
        began = clock.monotonic()
        found = sort_out(deliveries, applier.consumer, self.codec)
        failpoints.reached("worker.decoded")
        consumer = applier.consumer
        blocked = await self._blocked(consumer, found.work)
        outcomes = await applier.settle(found.work, self._hand.failures, blocked=blocked)
        self._measure(found, outcomes, clock.monotonic() - began)
        return await self.conclude(applier, deliveries, found, outcomes)

    async def conclude(
        self, applier: Applier, deliveries: Sequence[Delivery], found: Sorted, outcomes: Sequence[Outcome]
    ) -> bool:
        """Write down what became of a batch, then acknowledge it. As `settle`."""
        consumer = applier.consumer
        delayed = order.delayed(consumer, found.work, outcomes)
        with own_statements():
            await self._store(applier, order.stored(consumer, found, outcomes))
            await self._delay(consumer.app, delayed)
            await self._forgive(consumer.app, found.work, outcomes)
        self.counts.skipped += len(found.skipped)
        if delayed:
            late = {(delivery.stream, delivery.entry) for delivery, _ in delayed}
            deliveries = [one for one in deliveries if (one.stream, one.entry) not in late]
        return await self._acknowledge(deliveries)

    def _measure(self, found: Sorted, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Feed the metrics, once a batch: a count a stream and outcome, one time for the transaction."""
        if self._metrics is None:
            return
        named = {Ack: "applied", Park: "parked", RetryAfter: "retried", Hold: "held"}
        counts = Counter(
            (one.delivery.stream, one.envelope.event.type, named[type(outcome)])
            for one, outcome in zip(found.work, outcomes, strict=True)
        )
        counts.update((one.stream, "", "skipped") for one in found.skipped)
        counts.update((one.stream, "", "parked") for one, _ in found.unreadable)
        for (stream, kind, outcome), count in counts.items():
            self._metrics.settled(stream, self._group, outcome, count, kind)
        if found.work:
            self._metrics.handled(self._group, seconds)
            oldest = min(EntryId.parse(one.delivery.entry) for one in found.work)
            age = clock.now().timestamp() - oldest.milliseconds / 1000
            self._metrics.end_to_end(self._group, max(0.0, age))

    async def _blocked(self, consumer: Consumer, work: Sequence[Work]) -> list[Thing]:
        things = {consumer.ordered_thing(one.envelope) for one in work} if consumer.ordered else set()
        with own_statements():
            return await letters.blocked(self._database, consumer.app, things - {None})  # type: ignore[arg-type]

    async def _store(self, applier: Applier, parked: Sequence[Parked]) -> None:
        if not parked:
            return
        app = applier.consumer.app
        failpoints.reached("worker.parking")
        async with self._database.transaction() as tx:
            if applier.fence is not None:
                await applier.fence(tx)
            await letters.park(tx, app, parked)
        failpoints.reached("worker.parked")
        for one in parked:
            where = {"app": app, "stream": one.delivery.stream, "entry": one.delivery.entry}
            if isinstance(one.outcome, Park):
                self.counts.parked += 1
                log.warning("delivery.parked", **where, reason=one.outcome.reason)
            elif isinstance(one.outcome, RetryAfter):
                self.counts.retried += 1
                self._expect(one.outcome.seconds)
            else:
                self.counts.held += 1
                log.info("delivery.held", **where)

    async def _delay(self, app: str, late: Sequence[tuple[Delivery, RetryAfter]]) -> None:
        if not late:
            return
        rows = [
            (one.stream, one.entry, letters.mark(one), out.failures, out.seconds, out.error)
            for one, out in late
        ]
        await self._database.execute(load(__file__, "fail"), app, *zip(*rows, strict=True))
        failpoints.reached("worker.failed")
        for delivery, outcome in late:
            self._hand.failures[delivery.stream, delivery.entry] = outcome.failures
            self._hand.wait(delivery, clock.monotonic() + outcome.seconds)
        self.counts.retried += len(late)

    async def _forgive(self, app: str, work: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
        known = self._hand.failures
        if not known:
            return
        done = [
            (one.delivery.stream, one.delivery.entry, letters.mark(one.delivery))
            for one, outcome in zip(work, outcomes, strict=True)
            if not isinstance(outcome, RetryAfter) and (one.delivery.stream, one.delivery.entry) in known
        ]
        if done:
            await self._database.execute(load(__file__, "forgive"), app, *zip(*done, strict=True))

    async def _acknowledge(self, deliveries: Sequence[Delivery]) -> bool:
        ids: dict[str, list[str]] = {}
        for delivery in deliveries:
            ids.setdefault(delivery.stream, []).append(delivery.entry)
        try:
            failpoints.reached("worker.acknowledging")
            for stream in await self._broker.acknowledge(self._group, ids):
                self._doubted.append((clock.monotonic() + DOUBT, stream, ids[stream]))
        except (BrokerUnavailable, BrokerRefused) as error:
            log.warning("delivery.not_acknowledged", entries=len(deliveries), error=str(error))
            if isinstance(error, BrokerRefused):  # by one of them: the lookout asks each
                self.refused.update(dict.fromkeys(ids, str(error)))
            return False
        finally:
            self._hand.drop(deliveries)
        for stream in ids:
            self.refused.pop(stream, None)
        failpoints.reached("worker.acknowledged")
        self.counts.acknowledged += len(deliveries)
        return True

    async def settle_letters(self, applier: Applier, *, hold: float = 60.0) -> int:
        """Take dead letters that are to be delivered now through the same path; how many were.

        `hold`: seconds after which another worker takes them when this one dies.
        """
        with own_statements():
            await self._write_gaps()
            taken = await letters.take(self._database, applier.consumer.app, seconds=hold)
        if not taken:
            return 0
        keeping = asyncio.create_task(self._keep(taken, hold))
        try:
            for one in taken:
                await self._replay(applier, one)
        except (DatabaseUnavailable, TablesUnfit, asyncio.CancelledError):
            await self._let_go(taken)
            raise
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        return len(taken)

    async def _keep(self, taken: Sequence[Taken], hold: float) -> None:
        while True:
            await asyncio.sleep(hold / 3)
            try:
                await letters.keep(self._database, taken, hold)
            except (DatabaseUnavailable, asyncpg.PostgresError) as error:
                log.warning("delivery.letters_not_kept", letters=len(taken), error=str(error))

    async def _let_go(self, taken: Sequence[Taken]) -> None:
        try:
            await letters.let_go(self._database, taken)
        except (DatabaseUnavailable, asyncpg.PostgresError) as error:
            log.debug("delivery.letters_stand", letters=len(taken), error=str(error))

    async def _replay(self, applier: Applier, taken: Taken) -> None:
        try:
            outcome = await self._letter(applier, taken)
        except Fenced as error:
            log.info("delivery.letter_lost", letter=taken.delivery.letter, error=str(error))
            return
        with own_statements():
            await letters.settle(self._database, taken, outcome)
        if taken.ordered and isinstance(outcome, RetryAfter):
            self._expect(outcome.seconds)

    def _expect(self, seconds: float) -> None:
        self.next_letter = min(self.next_letter, clock.monotonic() + seconds)
        self.hurried.set()

    async def _letter(self, applier: Applier, taken: Taken) -> Outcome:
        park = quarantine(taken.crashes, applier.limits)
        if park is not None:
            return park
        found = sort_out([taken.delivery], applier.consumer, self.codec)
        if found.unreadable:
            return order.unreadable(found.unreadable[0][1])
        if not found.work:
            return Ack()
        before = {(taken.delivery.stream, taken.delivery.entry): taken.failures}
        try:
            return (await applier.settle(found.work, before, fence=taken.check))[0]
        except SessionLost:
            if not await blaming.answers(self._database):
                raise
            return blaming.judge(taken.failures, applier.limits)

    async def recall(self, app: str, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Of entries that come again, those that may run now; the others wait for their time."""
        if not deliveries:
            return []
        places = [(one.stream, one.entry, letters.mark(one)) for one in deliveries]
        with own_statements():
            rows = await self._database.fetch(load(__file__, "failures"), app, *zip(*places, strict=True))
        waits = {(row["stream"], row["entry"]): row["wait"] for row in rows}
        self._hand.failures.update({(row["stream"], row["entry"]): row["failures"] for row in rows})
        for one in deliveries:
            if waits.get((one.stream, one.entry), 0.0) > 0:
                self._hand.wait(one, clock.monotonic() + waits[one.stream, one.entry])
        return [one for one in deliveries if waits.get((one.stream, one.entry), 0.0) <= 0]

    def count_lost(self, found: Sequence[Gap]) -> None:
        """Count what was recorded as lost."""
        for gap in found:
            self.counts.lost += gap.entries
            if self._metrics:
                self._metrics.lost(gap.stream, self._group, gap.entries)

    async def record_lost(self, app: str, stream: str, ids: Sequence[str], *, pending: bool = True) -> None:
        """Record that entries are gone, and take them off the pending list where they may stand on it.

        Redis tells of a loss once: what can not be written now is written as soon as it can be.
        """
        found = gaps.deleted(app, stream, ids)
        self._gaps += found
        self.count_lost(found)
        log.error("delivery.lost", app=app, stream=stream, kind="deleted_while_pending", entries=len(ids))
        with own_statements():
            await self._write_gaps()
        if pending:
            await self._broker.acknowledge(self._group, {stream: list(ids)})

    async def _write_gaps(self) -> None:
        async with self._writing:  # else one loop would take off what another has yet to write
            while self._gaps:
                await gaps.record(self._database, self._gaps[0])
                self._gaps.pop(0)

    async def withdraw(self, app: str) -> None:
        """Close gaps of entries that were settled here although others found them gone.

        Looked at for a while: whoever found them gone may write that down later.
        """
        with own_statements():
            for _, stream, entries in self._doubted:
                await gaps.withdraw(self._database, app, stream, entries)
        self._doubted = [one for one in self._doubted if one[0] > clock.monotonic()]

    async def suspect(self, applier: Applier, delivery: Delivery) -> bool:
        """Settle alone an entry that was given out again and again without an outcome.

        Its attempt is written down first: whoever dies of it leaves a count, and the entry is parked
        in the end. False as for `settle`.
        """
        app = applier.consumer.app
        found = sort_out([delivery], applier.consumer, self.codec)
        if not found.work:
            return await self.settle(applier, [delivery])
        self._hand.failures.setdefault((delivery.stream, delivery.entry), 0)
        park = quarantine(await self._attempt(app, delivery), applier.limits)
        if park is not None:
            with own_statements():
                envelope = found.work[0].envelope
                ordered = applier.consumer.ordered_thing(envelope) is not None
                await self._store(applier, [Parked(delivery, park, envelope, ordered)])
            return await self._acknowledge([delivery])
        try:
            heard = await self.settle(applier, [delivery])
        except (DatabaseUnavailable, TablesUnfit, asyncio.CancelledError):
            await self._take_back(app, delivery)
            raise
        self._begun.pop((delivery.stream, delivery.entry, letters.mark(delivery)), None)
        return heard

    async def _attempt(self, app: str, delivery: Delivery) -> int:
        """Write an attempt down before it begins; how many before it ended without an outcome."""
        place = (delivery.stream, delivery.entry, letters.mark(delivery))
        if place not in self._begun:  # else it was, and could not be taken back
            with own_statements():
                crashes = await self._database.fetchval(load(__file__, "attempt"), app, *place, CRASHED)
            self._begun[place] = crashes
        return self._begun[place]

    async def _take_back(self, app: str, delivery: Delivery) -> None:
        place = (delivery.stream, delivery.entry, letters.mark(delivery))
        try:
            await self._database.execute(load(__file__, "take_back"), app, *place)
        except (DatabaseUnavailable, asyncpg.PostgresError) as error:
            log.debug("delivery.attempt_stands", app=app, error=str(error))
        else:
            self._begun.pop(place, None)

    async def crashed(self, app: str, seconds: float) -> dict[str, list[str]]:
        """Entries by stream that were tried alone so long ago, at least, and have no outcome."""
        found: dict[str, list[str]] = {}
        with own_statements():
            for row in await self._database.fetch(load(__file__, "crashed"), app, seconds):
                found.setdefault(row["stream"], []).append(row["entry"])
        return found


@contextlib.contextmanager
def own_statements() -> Iterator[None]:
    """A failure of our own statement says nothing about an entry: it is waited out like an outage."""
    try:
        yield
    except asyncpg.PostgresError as error:
        fault = classify(error)
        if fault is Fault.DEPLOY:
            raise TablesUnfit(describe(error), hint="run: headwater doctor") from error
        if fault is Fault.PERMANENT:
            raise
        raise DatabaseUnavailable(describe(error)) from error
