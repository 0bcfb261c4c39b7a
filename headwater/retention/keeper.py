"""Retention by itself: streams, the source, each application, every so often, one process at a time.

Any number of processes may run one. Each takes up what is due and can be reached from it, and writes down in
the source when it was done; a lock there lets one of them work at a time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from headwater import telemetry
from headwater.config import RetentionSettings
from headwater.database import load
from headwater.errors import HeadwaterError
from headwater.patience import pause
from headwater.retention.collecting import Collector
from headwater.retention.ground import Ground, kept, trim
from headwater.retention.readers import Leases
from headwater.retention.turn import Busy, alone

log = telemetry.logger(__name__)
LOOK = 300.0
"""Longest time in seconds between two looks whether something is due."""
TROUBLES = (HeadwaterError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
STREAMS, SOURCE = "streams", "source"


class Keeper:
    """Does what is due, until it is stopped."""

    def __init__(
        self, source_url: str, reach: Callable[[], Awaitable[Ground]], settings: RetentionSettings
    ) -> None:
        """`reach`: the servers, connected when they are needed. Raises ServerUnavailable."""
        self._url = source_url
        self._reach = reach
        self._settings = settings
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after the transaction in hand. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Look now and then what is due; waits out every outage. Does nothing where `every` is 0."""
        look = min(LOOK, self._settings.every)
        if look <= 0:
            await self._stopping.wait()
        while not await pause(self._stopping, look * random.uniform(0.5, 1.5)):  # noqa: S311  # jitter
            try:
                await self.turn()
            except Busy:
                log.debug("retention.busy")
            except TROUBLES as error:
                log.warning("retention.waiting", error=str(error))

    async def turn(self) -> list[str]:
        """Do what is due now; what was done. Raises Busy, BrokerUnavailable, DatabaseUnavailable."""
        done: list[str] = []
        async with alone(self._url):
            ground = await self._reach()
            collector = Collector(ground, self._settings, stopping=self._stopping)
            for what in await self._due(ground):
                if self._stopping.is_set():
                    break
                try:
                    removed, detail = await self._do(what, ground, collector)
                except TROUBLES as error:  # one database that is away keeps no other waiting
                    log.warning("retention.failed", what=what, error=str(error))
                    continue
                await ground.source.execute(load(__file__, "keep_upkeep"), what, removed, detail)
                done.append(what)
        return done

    async def _due(self, ground: Ground) -> Sequence[str]:
        whats = [STREAMS, *([SOURCE] if ground.whole else []), *sorted(ground.sinks)]
        rows = await ground.source.fetch(load(__file__, "due"), whats, self._settings.every)
        return [row["what"] for row in rows]

    async def _do(self, what: str, ground: Ground, collector: Collector) -> tuple[int, str]:
        if what == STREAMS:
            leases = Leases(self._settings.group_lease, self._settings.undeclared_lease)
            trims = await trim(ground, kept(ground.catalogue, self._settings), leases)
            lost = sum(count for one in trims.streams for count in one.lost.values())
            return sum(one.removed for one in trims.streams), f"lost {lost}" if lost else ""
        swept = await (collector.source() if what == SOURCE else collector.application(what))
        held = "; ".join(f"{one.table}: {one.held_by}" for one in swept if one.held_by)
        return sum(one.removed for one in swept), held


def late(found: Sequence[tuple[str, float | None]], every: float) -> list[str]:
    """Of (what, seconds since it was done) those that nobody does. Pure."""
    return [what for what, silent in found if silent is not None and every and silent > 3 * every + LOOK]
