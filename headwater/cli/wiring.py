"""Everything of one process, put together by hand; closed in the opposite order."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import socket
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import Any

from headwater import failpoints
from headwater.broker import Broker
from headwater.cli.project import Project
from headwater.config import Settings
from headwater.database import Database
from headwater.delivery import Limits, Pace, Worker
from headwater.delivery.names import Lease
from headwater.delivery.outcome import handler_limit
from headwater.errors import SettingsError
from headwater.publish import DirectProducer, Enablement, Outgoing, Producer, Relay, Repairer, Republisher
from headwater.replay import History, Hours, Runner, Ways, Window, scopes
from headwater.replay.reconcile import Reconciler
from headwater.replay.rounds import Plan, Rounds
from headwater.retention import Ground, Keeper, Leases
from headwater.telemetry import Metrics


class Wiring:
    """One process's connections, and the parts that are made from them."""

    def __init__(self, project: Project, settings: Settings) -> None:
        self.project = project
        self.settings = settings
        held = scopes(project.backfills)
        self.outgoing = Outgoing(project.codec, project.catalogue, project.respell, scopes=held)
        self._open = contextlib.AsyncExitStack()
        self._broker: Broker | None = None
        self._source: Database | None = None
        self.sinks: dict[str, Database] = {}

    @property
    def name(self) -> str:
        """This process, as others see it in the leases of jobs."""
        return self.settings.delivery.consumer_name or f"{socket.gethostname()}-{os.getpid()}"

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics of this process, fed by everything made here."""
        return Metrics(importlib.metadata.version("headwater"))

    @property
    def broker(self) -> Broker:
        """The connection to Redis; made when first asked for."""
        if self._broker is None:
            self._broker = self._connect("headwater")
        return self._broker

    def _connect(self, name: str) -> Broker:
        url = self.settings.redis_url
        if url is None:
            raise SettingsError("no Redis is named", hint="set HEADWATER_REDIS_URL, or use headwater dev")
        broker = Broker(url.reveal(), timeout=self.settings.broker.socket_timeout, name=name)
        self._open.push_async_callback(broker.close)
        return broker

    @property
    def source_url(self) -> str:
        """The source database. Raises SettingsError when none is named."""
        if self.settings.source_url is None:
            raise SettingsError("no source database is named", hint="set HEADWATER_SOURCE_URL")
        return self.settings.source_url.reveal()

    def app_url(self, app: str) -> str:
        """An application's database. Raises SettingsError when none is named."""
        if app not in self.settings.apps:
            raise SettingsError(
                f"no database is named for {app!r}", hint=f"set HEADWATER_APP_{app.upper()}_URL"
            )
        return self.settings.apps[app].reveal()

    async def open_source(self) -> Database:
        """A pool on the source database. Raises DatabaseUnavailable."""
        if self._source is None:
            self._source = await self._database(self.source_url)
        return self._source

    async def open_sinks(self, apps: Iterable[str]) -> dict[str, Database]:
        """Pools on applications' databases; those without a setting are left out."""
        for app in apps:
            if app in self.settings.apps and app not in self.sinks:
                self.sinks[app] = await self._database(self.app_url(app))
        return self.sinks

    async def _database(self, url: str) -> Database:
        database = await Database.open(url, limits=self.settings.database)
        self._open.push_async_callback(database.close)
        return database

    def producer(self, source: str = "wrapper") -> Producer:
        """A producer through the outbox."""
        return Producer(self.project.codec, source=source, realm=self.settings.realm)

    async def direct(self, source: str = "wrapper") -> DirectProducer:
        """A producer without a database of its own."""
        enabled = Enablement(await self.open_source(), self.project.enablement)
        return DirectProducer(
            self.outgoing, self.broker, enabled=enabled, source=source, realm=self.settings.realm
        )

    def relay(self) -> Relay:
        """The relay of the source database."""
        batch = self.settings.relay.batch
        relay = Relay(self.source_url, self.broker, self.outgoing, self.project.enablement, batch)
        relay.measure_with(self.metrics)
        if most := self.settings.relay.repair_rows:
            relay.repair_with(Repairer(self.republisher(), self.broker, self.project.catalogue, most))
        return relay

    def republisher(self) -> Republisher:
        """Whoever says rows of the outbox again, as fast as the streams' groups take them."""
        enablement = self.project.enablement
        republisher = Republisher(self.source_url, self.broker, self.outgoing, enablement)
        republisher.pace_with(Window(self.broker, self.settings.backfill.window).wait_for)
        return republisher

    async def worker(self, app: str) -> Worker:
        """A worker of an application. Raises SettingsError, DeclarationError, DatabaseUnavailable."""
        consumer = self.project.application(app)
        self.app_url(consumer.app)
        await self.open_sinks([consumer.app])
        paced, kept = self.settings.broker, self.settings.delivery
        pace = Pace(
            block=paced.block,
            count=paced.count,
            transactions=kept.transactions,
            hand=kept.bytes_in_hand,
            min_idle=paced.min_idle,
            heartbeat=paced.heartbeat,
            drain=kept.drain_timeout,
        )
        longest = handler_limit(self.settings.database.idle_in_transaction)
        limits = Limits(kept.max_attempts, kept.backoff_initial, kept.backoff_max, longest)
        worker = Worker(
            consumer,
            self._connect("headwater-worker"),  # its own: a blocking read holds one for as long as it blocks
            self.sinks[consumer.app],
            self.project.codec,
            self.project.catalogue,
            name=kept.consumer_name,
            lease=Lease(self.sinks[consumer.app], consumer.app, wanted=kept.consumer_name),
            pace=pace,
            limits=limits,
        )
        worker.measure_with(self.metrics)
        return worker

    async def ways(self) -> Ways:
        """What backfills work with."""
        return Ways(
            source=await self.open_source(),
            broker=self.broker,
            outgoing=self.outgoing,
            backfills=self.project.backfills,
            mirrored=self.project.mirrored,
            sinks=await self.open_sinks(self.project.applications),
            chunk=self.settings.backfill.chunk,
            window=self.settings.backfill.window,
            settle=self.settings.backfill.settle_after_toggle,
            patience=self.settings.backfill.open_transactions,
            realm=self.settings.realm,
            rate=self.settings.backfill.rows_per_second or None,
            quiet=_quiet(self.settings.backfill.quiet_hours),
            jobs_at_once=self.settings.backfill.jobs_at_once or max(1, self.settings.database.pool_max // 3),
        )

    async def runner(self) -> Runner:
        """A runner of backfill jobs."""
        return Runner(await self.ways(), holder=self.name, at_once=self.settings.backfill.runners)

    async def history(self) -> History:
        """Historical sync as people ask for it."""
        return History(await self.ways(), self.project.enablement)

    async def ground(self) -> Ground:
        """What retention works with: of the applications' databases those that the settings name."""
        return Ground(
            broker=self.broker,
            catalogue=self.project.catalogue,
            source=await self.open_source(),
            sinks=dict(await self.open_sinks(self.project.applications)),
            metrics=self.metrics,
        )

    def keeper(self) -> Keeper:
        """What removes old things by itself."""
        return Keeper(self.source_url, self.ground, self.settings.retention)

    @property
    def leases(self) -> Leases:
        """How long a silent group holds its streams."""
        kept = self.settings.retention
        return Leases(kept.group_lease, kept.undeclared_lease)

    async def reconciler(self) -> Reconciler:
        """What compares and mends."""
        return Reconciler(await self.history())

    async def rounds(self) -> Rounds:
        """What compares by itself."""
        kept = self.settings.reconcile
        plan = Plan(every=kept.every, look=kept.look, losses=kept.losses, most=kept.most)
        return Rounds(await self.reconciler(), plan)

    async def http(self) -> dict[str, Any]:
        """The endpoints by the prefixes they are mounted at: freshness, and the project's own."""
        from headwater.admin import agreement  # noqa: PLC0415 (aiohttp: only where it serves)
        from headwater.admin.freshness import PREFIX, Freshness  # noqa: PLC0415 (the same)

        history, producer = await self.history(), self.producer()
        sinks = await self.open_sinks(self.project.applications)
        fresh = Freshness(self.broker, self.project.catalogue, sinks)
        beside = await self.project.mounts(self) if self.project.mounts is not None else {}
        mounted = {prefix: self.project.http(history, producer) for prefix in ("/admin", "/api/suite/admin")}
        agree = agreement.Agreement(Reconciler(history))
        # The longer prefixes first: they would never be asked.
        return {PREFIX: fresh.application(), agreement.PREFIX: agree.application(), **beside, **mounted}

    async def close(self) -> None:
        """Close everything, last opened first. Idempotent."""
        await self._open.aclose()


def _quiet(text: str) -> Hours | None:
    try:
        return Hours.parse(text)
    except ValueError as error:
        raise SettingsError(f"HEADWATER_BACKFILL_QUIET_HOURS: {error}") from None


@contextlib.asynccontextmanager
async def wired(project: Project, settings: Settings) -> AsyncIterator[Wiring]:
    """A wiring that is closed at the end."""
    failpoints.arm(settings.failpoints)
    wiring = Wiring(project, settings)
    try:
        yield wiring
    finally:
        await wiring.close()
