"""What the loops of one worker share: its servers, what it has in hand, and how it is doing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from headwater import clock, telemetry
from headwater.broker import Broker
from headwater.delivery.appetite import FIRST_SIZE, portion
from headwater.delivery.applier import Applier
from headwater.delivery.blaming import answers, blame, patience
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.hand import Hand
from headwater.delivery.pace import Pace
from headwater.delivery.pulse import POSTGRES, Vitals
from headwater.delivery.settler import Settler
from headwater.delivery.work import Delivery
from headwater.errors import BrokerRefused, BrokerUnavailable, DatabaseUnavailable, SessionLost
from headwater.patience import backoff, pause
from headwater.telemetry import Metrics

log = telemetry.logger(__name__)
QUIET = 60.0
"""Seconds after the last entry of a side stream for which they are looked after as all streams are."""
SELDOM = 6
"""Else at every so many sweeps: mostly nothing is on them, and a sweep costs a command for each stream."""
TROUBLES = (BrokerUnavailable, BrokerRefused, DatabaseUnavailable, TablesUnfit)
"""What is waited out."""


def sides_too(quiet: float, turn: int) -> bool:
    """Whether to look after side streams at this turn, `quiet` seconds after their last entry. Pure."""
    return quiet < QUIET or turn % SELDOM == 0


@dataclass
class Post:
    """Who works where."""

    app: str
    group: str
    name: str
    """The consumer name; decided before the first entry is read."""
    streams: list[str]
    pace: Pace
    aside: frozenset[str] = frozenset()
    """Those of the streams that are side streams: read beside the others, by a loop of their own."""


class Shift:
    """Made once a worker. Whoever finds something out about a server says so here."""

    def __init__(self, post: Post, broker: Broker, settler: Settler, hand: Hand, side: Applier) -> None:
        self.post = post
        self.broker = broker
        self.settler = settler
        self.hand = hand
        self.side = side
        """Settles what comes again: outside the free list, so that it never waits behind what is new."""
        self.stopping = asyncio.Event()
        self.look_back = True
        """Whether something may stand under our name that is not in hand."""
        self.look_aside = True
        """The same of side streams."""
        self.history_at = clock.monotonic()
        """When something was last read of a side stream."""
        self.unfit: dict[str, str] = {}
        """Streams that Redis refuses to read, with its words."""
        self.broker_ok = False
        self.database_ok = False
        self.last_error = ""
        self.given_back = 0
        """Entries given to others at the end."""
        self.taken_over = 0
        """Entries that others took while this process stood still."""
        self.vitals = Vitals()
        self.entry_size = FIRST_SIZE
        """Bytes of an entry to reckon with."""
        self.metrics: Metrics | None = None

    @property
    def ready(self) -> bool:
        """Whether entries of every stream are being taken: both servers answered at the last try."""
        there = self.broker_ok and self.database_ok and not self.unfit and not self.vitals.trouble
        return there and not self.settler.refused and not self.stopping.is_set()

    @property
    def fit(self) -> list[str]:
        """The streams that can be read, in their order."""
        return [stream for stream in self.post.streams if stream not in self.unfit]

    @property
    def fresh(self) -> list[str]:
        """Those of them that are no side streams."""
        return [stream for stream in self.fit if stream not in self.post.aside]

    @property
    def aside(self) -> list[str]:
        """Those of them that are."""
        return [stream for stream in self.fit if stream in self.post.aside]

    def swept(self, turn: int) -> list[str]:
        """The streams to look after at this turn."""
        quiet = clock.monotonic() - self.history_at
        return self.fit if sides_too(quiet, turn) else self.fresh

    def doubt(self) -> None:
        """Something may stand under our name that is not in hand: look before the next read."""
        self.look_back = self.look_aside = True

    def page(self, most: int) -> int:
        """How many entries that come again to take at once: they are in hand beside what is new."""
        return portion(most=most, room=self.hand.budget // 8, size=self.entry_size, busy=1).each

    def report(self, error: BaseException, seconds: float) -> None:
        """Say what is waited for."""
        self.last_error = str(error)
        log.warning("worker.waiting", app=self.post.app, error=str(error), seconds=round(seconds, 2))

    async def back_off(self, error: Exception, tries: int) -> None:
        """Wait, the longer the more `tries` failed, but not beyond a stop."""
        seconds = backoff(tries)
        self.report(error, seconds)
        await pause(self.stopping, seconds)

    async def settle(
        self, applier: Applier, deliveries: list[Delivery], *, alone: bool = False, doubted: bool = False
    ) -> None:
        """Settle a batch, through any outage; a stop ends the waiting, and leaves it in hand.

        `doubted`: one of them may be what ends its session each time.
        """
        tries = lost = 0
        while True:
            try:
                if alone:
                    heard = await self.settler.suspect(applier, deliveries[0])
                else:
                    heard = await self.settler.settle(applier, deliveries)
                if not heard:
                    self.doubt()
                self.database_ok = True
                self.vitals.hear(POSTGRES)
                self.vitals.held_up.pop(applier, None)
            except (DatabaseUnavailable, TablesUnfit) as error:
                self.database_ok = False
                if isinstance(error, TablesUnfit):
                    self.vitals.held_up[applier] = str(error)  # until this very batch gets through
                tries += 1
                await self.back_off(error, tries)
                if self.stopping.is_set():
                    return
                there = isinstance(error, SessionLost) and await answers(applier.database)
                lost = lost + 1 if there else 0
                if lost >= patience(self._failures(deliveries), doubted=doubted):
                    await self._find_out(applier, deliveries)
                    return
            else:
                return

    async def _find_out(self, applier: Applier, deliveries: list[Delivery]) -> None:
        """Which of them ends its session: in halves; what does it alone has failed."""
        if len(deliveries) == 1:
            log.warning("worker.session_ended", app=self.post.app, entry=deliveries[0].entry)
            await self._blame(applier, deliveries[0])
            return
        middle = len(deliveries) // 2
        await self.settle(applier, deliveries[:middle], doubted=True)
        await self.settle(applier, deliveries[middle:], doubted=True)

    async def _blame(self, applier: Applier, delivery: Delivery) -> None:
        (failures,) = self._failures([delivery])
        try:
            if not await blame(self.settler, applier, delivery, failures):
                self.doubt()
            self.database_ok = True
        except (DatabaseUnavailable, TablesUnfit) as error:  # not written down: tried once more
            await self.back_off(error, 1)
            await self.settle(applier, [delivery], doubted=True)

    def _failures(self, deliveries: list[Delivery]) -> list[int]:
        return [self.hand.failures.get((one.stream, one.entry), 0) for one in deliveries]
