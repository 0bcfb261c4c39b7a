"""Move events from the outbox to their streams, in order, one relay at a time.

The loop: take the oldest rows that are on no stream, ask which applications their tenants have
enabled *now*, append, mark. A crash between append and mark says events twice under one id, which
every consumer drops. Any number of relays may run: one holds the lock and the epoch, the others stand by.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from headwater import clock, failpoints, telemetry
from headwater.broker import Broker, provision
from headwater.database import Connection, connect, is_unavailable, load
from headwater.errors import BrokerRefused, ServerUnavailable
from headwater.patience import backoff, pause
from headwater.publish.doorbell import Doorbell
from headwater.publish.moving import Batch, Moved, Mover
from headwater.publish.outgoing import Outgoing
from headwater.publish.repairing import Repairer, running
from headwater.telemetry import Metrics

log = telemetry.logger(__name__)
_LEADER = 0x72656C6179  # "relay": the advisory lock that says who moves events
COMMAND_TIMEOUT = 30.0
"""Seconds without an answer after which the source database counts as gone."""
LEASE = 15.0
"""Seconds without a statement of the leader after which the source ends its session: another leads."""
BYTES = 1 << 25
"""About as many bytes of events are in hand at once: large events make smaller passes."""


class Relay:
    """One process's relay."""

    def __init__(
        self, source_url: str, broker: Broker, outgoing: Outgoing, enablement: str, batch: int = 1000
    ) -> None:
        """`enablement`: `$1 text[] tenants -> rows (tenant, app)`; `batch`: rows of one pass."""
        self._url = source_url
        self._broker = broker
        self._outgoing = outgoing
        self._enablement = enablement
        self._batch = batch
        self._doorbell: Doorbell | None = None
        self._stopping = asyncio.Event()
        self._metrics: Metrics | None = None
        self._repairer: Repairer | None = None
        self._failures = 0
        self._lease = LEASE
        self._mover: Mover | None = None
        self.leading = False
        self.moved = 0
        self.last_error = ""

    def measure_with(self, metrics: Metrics) -> None:
        """Feed these from now on."""
        self._metrics = metrics

    def repair_with(self, repairer: Repairer) -> None:
        """While it leads, this says again by itself what Redis lost."""
        self._repairer = repairer

    def stop(self) -> None:
        """Finish the pass in hand, then leave `run`. Idempotent."""
        self._stopping.set()
        if self._doorbell is not None:
            self._doorbell.ring()

    async def run(self, *, poll: float = 1.0, lease: float = LEASE) -> None:
        """Move events until stopped; waits out every outage of Redis and Postgres.

        `poll`: seconds between looks when no doorbell rings, and between tries to become the leader.
        `lease`: after so long a leader that does nothing is none any more: its machine stands still.
        """
        self._lease = max(lease, 3 * poll)
        while not self._stopping.is_set():
            try:
                await self._session(poll)
            except (ServerUnavailable, BrokerRefused) as error:
                self._failures += 1
                if self._metrics:
                    self._metrics.relay_failed()
                self.last_error = str(error)
                seconds = backoff(self._failures)
                log.warning("relay.waiting", error=str(error), seconds=round(seconds, 2))
                # Never for the doorbell: it may still be set from before the outage.
                await pause(self._stopping, seconds)

    async def _session(self, poll: float) -> None:
        try:
            async with _connection(self._url) as lock:
                if await self._lead(lock, poll):
                    await self._as_leader(lock, poll)
        except Exception as error:
            if is_unavailable(error):
                raise ServerUnavailable(f"the source database went away ({error})") from error
            if _passes(error):
                raise ServerUnavailable(f"the source database ended a statement ({error})") from error
            raise
        finally:
            self._lead_on(False)

    async def _as_leader(self, lock: Connection, poll: float) -> None:
        self._mover = await self._new_mover(lock)
        bell = self._doorbell = Doorbell(lock, self._mover.epoch)
        self._lead_on(True)
        await self._provision()
        await lock.add_listener("headwater_outbox", bell.ring)
        failpoints.reached("relay.leading")
        log.info("relay.leading")
        # Rows are read on one connection while the other marks.
        async with _connection(self._url) as marks, running(self._repairer):
            await self._move_all(self._mover, bell, lock, marks, poll)

    async def _new_mover(self, connection: Connection) -> Mover:
        epoch = await connection.fetchval(load(__file__, "lead"))
        return Mover(self._broker, self._outgoing, self._enablement, epoch)

    async def _provision(self) -> None:
        try:
            await provision.apply(self._broker, self._outgoing.catalogue)
        except BrokerRefused as error:  # one foreign key must not keep events from all other streams
            log.error("relay.not_provisioned", error=str(error))

    async def _lead(self, connection: Connection, poll: float) -> bool:
        while not self._stopping.is_set():
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER):
                await connection.execute(f"SET idle_session_timeout = {round(self._lease * 1000)}")
                return True
            await pause(self._stopping, poll)
        return False

    async def _move_all(
        self, mover: Mover, bell: Doorbell, lock: Connection, marks: Connection, poll: float
    ) -> None:
        before: tuple[Batch, asyncio.Task[Moved]] | None = None
        try:
            while not self._stopping.is_set():
                bell.clear()
                await mover.try_refusing(lock)
                # While the pass before is appended and marked, the next one is read and encoded.
                most = self._most(before[0] if before else None)
                batch = await mover.take(lock, most, before[0].ids if before else ())
                if before is not None:
                    self._note(mover, await before[1])
                before = batch, asyncio.create_task(mover.finish(marks, batch), name="relay-pass")
                found_all = len(batch.rows) < most
                if mover.refusals or (found_all and not bell.looking):
                    self._note(mover, await before[1])
                    before = None
                if found_all:
                    trial = mover.refusals.next_trial(clock.monotonic())
                    await bell.wait(len(batch.rows), poll if trial is None else min(poll, trial))
            if before is not None:
                self._note(mover, await before[1])
        except BaseException:
            if before is not None:  # it is finished all the same, and what is wrong is known already
                await asyncio.gather(before[1], return_exceptions=True)
            raise

    def _most(self, before: Batch | None) -> int:
        if before is None or not before.rows:
            return self._batch
        average = sum(len(row["data"]) for row in before.rows) // len(before.rows) + 1
        return max(1, min(self._batch, BYTES // average))

    def _note(self, mover: Mover, moved: Moved) -> None:
        self.moved += moved.entries
        self._measure(moved)
        self._failures = 0  # in a row: an outage of last week does not lengthen the waits of this one
        self.last_error = mover.refusals.error

    def _lead_on(self, leading: bool) -> None:
        self.leading = leading
        if self._metrics:
            self._metrics.relay_leading(leading)

    def _measure(self, moved: Moved) -> None:
        if self._metrics and moved.rows:
            self._metrics.relayed(moved.rows - moved.quarantined)
            self._metrics.quarantined(moved.quarantined)
            for (stream, kind), count in moved.taken.items():
                self._metrics.published(stream, kind, count)

    async def move(self, connection: Connection) -> Moved:
        """One pass, as the leader. Raises BrokerUnavailable: its rows stay waiting and are said again."""
        if self._mover is None:
            self._mover = await self._new_mover(connection)
        await self._mover.try_refusing(connection)
        return await self._mover.finish(connection, await self._mover.take(connection, self._batch))


def _passes(error: Exception) -> bool:
    """Whether Postgres may do it at another time: all but what somebody has to mend."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] not in {"22", "23", "42"}


@contextlib.asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url, command_timeout=COMMAND_TIMEOUT)
    try:
        yield connection
    finally:
        await _close(connection)


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=2.0)
    except (OSError, TimeoutError) as error:
        log.debug("relay.closing", error=str(error))
        connection.terminate()
