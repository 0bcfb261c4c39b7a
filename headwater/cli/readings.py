"""How streams, groups, outbox, dead letters and backfills are doing: read for people, probes and metrics."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from headwater import publish, replay
from headwater.broker import Broker, lag
from headwater.cli.wiring import Wiring
from headwater.database import Database, load
from headwater.delivery.freshness import Ages
from headwater.errors import BrokerUnavailable
from headwater.replay import Jobs
from headwater.telemetry import Metrics
from headwater.topology import Catalogue


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One group on one stream; None is unknown: stream or group is missing."""

    stream: str
    group: str
    application: str
    length: int | None = None
    lag_seconds: float | None = None
    """Age of the first entry not yet given to the group; 0 when there is none."""
    lag_entries: int | None = None
    exact: bool = True
    """False: at least so many."""
    pending: int | None = None
    oldest_pending: float | None = None
    """Age in seconds of the oldest pending entry."""
    oldest: float | None = None
    """Age in seconds of the oldest entry that is not applied; 0 when all are."""
    consumers: int | None = None
    """Workers that asked within the last 15 seconds."""
    oldest_entry: float | None = None
    """Age in seconds of the first entry the stream still has."""


async def readings(broker: Broker, catalogue: Catalogue) -> list[Reading]:
    """Every declared group on every stream it reads. Raises BrokerUnavailable."""
    found = []
    where = [(key, group) for key, (_, groups) in catalogue.all_keys().items() for group in groups]
    behind = await lag.lags(broker, [(key, group.name) for key, group in where])
    for (stream, group), one in zip(where, behind, strict=True):
        known = Reading(stream=stream, group=group.name, application=group.app)
        if one is not None:
            known = msgspec.structs.replace(
                known,
                length=one.length,
                lag_seconds=one.seconds,
                lag_entries=one.entries,
                exact=one.exact,
                pending=one.pending,
                oldest_pending=one.oldest_pending,
                oldest=one.oldest,
                consumers=one.living,
                oldest_entry=one.oldest_entry,
            )
        found.append(known)
    return found


class Sampler:
    """Brings the gauges up to date; called before `/metrics` answers."""

    def __init__(self, wiring: Wiring, metrics: Metrics) -> None:
        self._wiring = wiring
        self._metrics = metrics
        self._seen: set[tuple[str, str]] = set()
        self._ages = Ages()
        self._gaps: set[tuple[str, str, str]] = set()

    async def streams(self) -> None:
        """Streams and groups. Raises BrokerUnavailable; what was known of ages grows on meanwhile."""
        try:
            found = await readings(self._wiring.broker, self._wiring.project.catalogue)
        except BrokerUnavailable:
            for stream, group in self._ages.known:
                self._metrics.group_oldest(stream, group, self._ages.at(stream, group, None))
            raise
        for one in found:
            self._metrics.stream_length(one.stream, one.length)
            self._metrics.group(
                one.stream,
                one.group,
                lag=one.lag_entries,
                lag_seconds=one.lag_seconds,
                pending=one.pending,
                oldest_pending=one.oldest_pending,
                consumers=one.consumers,
            )
            oldest = self._ages.at(one.stream, one.group, one.oldest)
            self._metrics.group_oldest(one.stream, one.group, oldest)

    async def letters(self) -> None:
        """Dead letters of every application whose database is open here."""
        for app, database in self._wiring.sinks.items():
            group = self._wiring.project.catalogue.group(app).name
            self._metrics.dead_letters(group, await parked(database, app))

    async def gaps(self) -> None:
        """What was lost and nobody repairs, of every application whose database is open here."""
        found = {
            (app, row["stream"], row["kind"]): row["gaps"]
            for app, database in self._wiring.sinks.items()
            for row in await database.fetch(load(__file__, "count_gaps"), app)
        }
        for where in self._gaps - set(found):
            self._metrics.gaps_open(*where, 0)
        for where, count in found.items():
            self._metrics.gaps_open(*where, count)
        self._gaps = set(found)

    async def source(self) -> None:
        """The outbox, and the backfills that run."""
        database = await self._wiring.open_source()
        outbox = await backlog(database)
        self._metrics.outbox(backlog=outbox.waiting, oldest=outbox.oldest, horizon=outbox.horizon)
        await self._backfills(database)
        await self._agreements(database)

    async def _agreements(self, database: Database) -> None:
        rows = await database.fetch(load(replay.__file__, "agreement_counts"))
        found = {(row["app"], row["state"]): row["count"] for row in rows}
        for app in {app for app, _ in found}:
            for state in ("agreed", "differing", "unknown"):
                self._metrics.agreement(app, state, found.get((app, state), 0))

    async def _backfills(self, database: Database) -> None:
        said: defaultdict[tuple[str, str], int] = defaultdict(int)
        scope: defaultdict[tuple[str, str], int] = defaultdict(int)
        for job in await Jobs(database).listed(limit=100):
            for part in () if job.finished else job.parts:
                said[part.subject, job.app] += part.published
                scope[part.subject, job.app] += part.expected or 0
        for subject, app in self._seen - set(said):
            self._metrics.backfill(subject, app, ratio=None)
        for (subject, app), rows in said.items():
            expected = scope[subject, app]
            self._metrics.backfill(
                subject, app, ratio=min(1.0, rows / expected) if expected else 0.0, rows=rows
            )
        self._seen = set(said)

    async def everything(self) -> None:
        """All of the above: what the admin interface serves."""
        await self.streams()
        await self.letters()
        await self.gaps()
        await self.source()


class Backlog(msgspec.Struct, frozen=True):
    """The outbox."""

    waiting: int
    """Counted up to 100,000."""
    oldest: float
    """Age in seconds of the oldest waiting row; 0 when none waits."""
    horizon: float
    """Age in seconds of the oldest open transaction that has said something: its events may still come."""
    quarantined: int


async def backlog(source: Database) -> Backlog:
    """What the outbox holds back."""
    row = await source.fetchrow(load(publish.__file__, "backlog"))
    return Backlog(**dict(row)) if row else Backlog(0, 0.0, 0.0, 0)


async def parked(database: Database, app: str) -> int:
    """How many dead letters of an application wait for a person."""
    count: int = await database.fetchval(load(__file__, "count_letters"), app)
    return count
