"""Garbage collection of the databases: what goes before when, and what holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from headwater import clock, telemetry
from headwater.config import RetentionSettings
from headwater.retention import evidence
from headwater.retention.ground import Ground
from headwater.retention.horizon import Horizon, cutoff
from headwater.retention.sweeping import FOUND, Sweeper, Swept

log = telemetry.logger(__name__)


class Collector:
    """Collects what nobody can need any more, from the source and from applications' databases."""

    def __init__(
        self,
        ground: Ground,
        keep: RetentionSettings,
        *,
        dry: bool = False,
        stopping: asyncio.Event | None = None,
    ) -> None:
        self._ground = ground
        self._keep = keep
        self._dry = dry
        self._stopping = stopping or asyncio.Event()
        self._horizons: Mapping[str, Horizon] | None = None

    async def horizons(self) -> Mapping[str, Horizon]:
        """Before when no older copy can arrive, by application; looked up once.

        Raises BrokerUnavailable, DatabaseUnavailable.
        """
        if self._horizons is None:
            ground = self._ground
            if not self._dry and (age := await evidence.look(ground.source)) is not None:
                await evidence.remember(ground.source, age)
            about = (ground.broker, ground.catalogue, ground.source, ground.sinks)
            self._horizons = await evidence.horizons(*about)
        return self._horizons

    async def application(self, app: str) -> list[Swept]:
        """Collect in one application's database."""
        floor = (await self.horizons())[app]
        keeps = {
            "ledger": self._keep.tombstones,
            "inbox": self._keep.inbox,
            "dead_letter": self._keep.records,
            "gap": self._keep.records,
            "failure": self._keep.records,
        }
        sweeper = Sweeper(self._ground.sinks[app], dry=self._dry, stopping=self._stopping)
        found = []
        for table, seconds in keeps.items():
            # Closed gaps bring nothing back: their age alone counts.
            bound = Horizon(clock.now(), "") if table == "gap" else floor
            before, why = self._before(seconds, bound)
            removed = 0 if before is None else await sweeper.walk(table, app, before)
            found.append(self._told(app, table, removed, (before, why)))
        return found

    async def source(self) -> list[Swept]:
        """Collect in the source, where every application can be asked what it still needs."""
        if not self._ground.whole:
            missing = ", ".join(sorted(set(self._ground.catalogue.groups) - set(self._ground.sinks)))
            why = f"no database is named here for {missing}"
            return [self._told("source", table, 0, (None, why)) for table in FOUND]
        floor = lowest((await self.horizons()).values())
        recorded = self._before(self._keep.jobs, floor)
        bounds = dict.fromkeys(FOUND, recorded) | {
            "outbox": await self._outbox(),
            "tombstone": self._before(self._keep.tombstones, floor),
        }
        sweeper = Sweeper(self._ground.source, dry=self._dry, stopping=self._stopping)
        found = []
        for table, (before, why) in bounds.items():
            removed = 0 if before is None else await sweeper.find(table, before)
            found.append(self._told("source", table, removed, (before, why)))
        return found

    async def _outbox(self) -> tuple[datetime | None, str]:
        wanted = clock.now() - timedelta(seconds=self._keep.outbox)
        held = await evidence.outbox_holds(self._ground.source, self._ground.sinks, self._keep.streams)
        if held is None or held >= wanted:
            return wanted, ""
        return held, "an open gap, or a run that says rows again"

    def _before(self, seconds: float, floor: Horizon) -> tuple[datetime | None, str]:
        before = cutoff(clock.now(), seconds, floor)
        wanted = clock.now() - timedelta(seconds=seconds)
        held = floor.before is None or floor.before < wanted
        return before, floor.why if held else ""

    def _told(self, database: str, table: str, removed: int, bound: tuple[datetime | None, str]) -> Swept:
        before, why = bound
        if removed and not self._dry:
            log.info("retention.removed", database=database, table=table, rows=removed)
            if self._ground.metrics:
                self._ground.metrics.removed(database, table, removed)
        return Swept(database=database, table=table, removed=removed, before=before, held_by=why)


def lowest(floors: Iterable[Horizon]) -> Horizon:
    """The one before all others; one that is not known before any that is. Pure."""
    found = list(floors)
    unknown = next((one for one in found if one.before is None), None)
    return unknown or min(found, default=Horizon(clock.now(), ""), key=lambda one: one.before or clock.now())
