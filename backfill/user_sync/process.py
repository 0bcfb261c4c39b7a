"""The user sync in one process: bell, sweeps, the relay of that database, the chat's worker, the status.

The order in which it stops is its promise: nothing new is heard or swept, the pass in hand ends, the relay
moves what it found, the worker finishes what it has in hand, then connections close and the figures of the
run are told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backfill.user_sync.bulk import queued
from backfill.user_sync.figures import Figures
from backfill.user_sync.memory import resident
from backfill.user_sync.serving import application, serving
from backfill.user_sync.standing import Standing, as_seed
from backfill.user_sync.system import CHAT, UserSync
from backfill.user_sync.turns import Turns
from consumers import chat
from headwater import clock, telemetry
from headwater.cli.loops import Loops
from headwater.database import Database, load
from headwater.delivery import Worker
from headwater.errors import ServerUnavailable
from producers import accounts
from producers.accounts.bell import Bell
from producers.accounts.pace import Waits
from producers.accounts.sweep import Sweeper

log = telemetry.logger(__name__)
_HEARING, _RELAY, _WORKER = range(3)
SOURCE = "users"
"""Who speaks, as it stands in the envelopes."""


class Process:
    """Everything of one run."""

    def __init__(self, wiring: UserSync) -> None:
        self.wiring = wiring
        sync = wiring.settings.user_sync
        self._sync = sync
        rung = asyncio.Event()
        self.bell = Bell(wiring.source_url, rung)
        self.bell.tell_losses(self._lost)
        producer = wiring.producer(SOURCE)
        self._sweeper = Sweeper(wiring.source_url, producer, realm=wiring.realm, most=sync.sweep_batch)
        waits = Waits(
            retries=sync.max_retries,
            first=sync.retry_initial_delay,
            longest=sync.retry_max_delay,
            factor=sync.retry_backoff_multiplier,
        )
        self.turns = Turns(self._sweeper, rung, interval=sync.interval, waits=waits, tell=self._tell)
        self._begun = clock.monotonic()
        self._source: Database | None = None
        self._worker: Worker | None = None
        self._lost_connections = 0
        self.url = ""
        """Of the status, once it is served."""

    async def run(self, stop: asyncio.Event) -> dict[str, Any]:
        """Run until `stop` is set; the figures of the run. Raises what ended a loop."""
        self._source = await self.wiring.open_source()
        await self.wiring.open_sinks([CHAT])
        self._worker = await self.wiring.worker(CHAT)
        relay, runner = self.wiring.relay(), await self.wiring.runner()
        figures = Figures(self.wiring.metrics.registry)
        app = application(self.wiring.settings, self.wiring.metrics, figures, self.look)
        poll = self.wiring.settings.relay.poll
        async with serving(app, self.wiring.settings) as self.url, contextlib.AsyncExitStack() as ending:
            ending.push_async_callback(self._sweeper.close)
            loops = await ending.enter_async_context(Loops())
            loops.start("worker", self._worker.run(), self._worker.stop, stage=_WORKER)
            loops.start("relay", relay.run(poll=poll), relay.stop, stage=_RELAY)
            loops.start("runner", runner.run(), runner.stop, stage=_HEARING)
            loops.start("bell", self.bell.run(), self.bell.stop, stage=_HEARING)
            await self._begin()
            loops.start("sweeps", self.turns.run(), self.turns.stop, stage=_HEARING)
            log.info("user_sync.started", status=self.url)
            await loops.until(stop)
        return as_seed(await self.look())

    async def _begin(self) -> None:
        """Queue the first bulk sync, if there never was one: sweeps say only what changes from now on."""
        source = await self.wiring.open_source()
        row = await source.fetchrow(load(accounts.__file__, "standing"))
        if row is not None and row["bulk_at"] is None:
            await queued(self.wiring, by="user sync", reason="first start")

    async def look(self) -> Standing:
        """The figures of this moment; what the source would tell is left out while it is away."""
        worker, turns = self._worker, self.turns
        done = worker.statistics() if worker else {}
        since = None if turns.last_at is None else clock.monotonic() - turns.last_at
        return Standing(
            synced=done.get("applied", 0),
            errors=turns.errors + done.get("parked", 0) + self._lost_connections,
            failures=turns.breaker.failures,
            last_error=turns.last_error,
            last_at=None if since is None else clock.now() - timedelta(seconds=since),
            last_seconds=turns.last_seconds,
            since_last=clock.monotonic() - self._begun if since is None else since,
            interval=self._sync.interval,
            horizon_age=await self._horizon(),
            listening=self.bell.listening,
            attempts=self.bell.attempts,
            most_attempts=self._sync.max_reconnect_attempts,
            scheduled=turns.active,
            sweeping=turns.sweeping,
            breaker=turns.breaker.state,
            slow=turns.slow,
            pool=max((one.usage for one in self._databases()), default=0.0),
            memory=resident(),
        )

    def _databases(self) -> list[Database]:
        return [*self.wiring.sinks.values(), *([self._source] if self._source else [])]

    async def _horizon(self) -> float:
        if self._source is None:
            return 0.0
        try:
            async with asyncio.timeout(1.0):
                row = await self._source.fetchrow(load(accounts.__file__, "standing"))
        except (ServerUnavailable, TimeoutError) as error:
            log.debug("user_sync.source_away", error=str(error))
            return 0.0
        return float(row["horizon_age"]) if row else 0.0

    async def _lost(self, why: str) -> None:
        self._lost_connections += 1
        await self._tell("REALTIME_SYNC_CONNECTION_ERROR", None, why, {"attempt": self.bell.attempts})

    async def _tell(self, kind: str, user: str | None, what: str, more: Mapping[str, Any]) -> None:
        log.warning("user_sync.error", kind=kind, user=user, error=what, **more)
        try:
            sinks = await self.wiring.open_sinks([CHAT])
            await chat.record(sinks[CHAT], kind, user, what, more=more)
        except ServerUnavailable as error:
            log.warning("user_sync.error_not_kept", kind=kind, error=str(error))
