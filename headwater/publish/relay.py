"""Move events from the outbox to their streams, in order, one relay at a time.

The loop: take the oldest rows that are on no stream, ask which applications their tenants have
enabled *now*, append, mark. A crash between append and mark says events twice under one id, which
every consumer drops. Any number of relays may run: one holds the lock, the others stand by.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import msgspec

from headwater import failpoints, telemetry
from headwater.broker import Broker, provision
from headwater.database import Connection, Row, connect, is_unavailable, load
from headwater.errors import BrokerRefused, BrokerUnavailable, EventError, HeadwaterError, ServerUnavailable
from headwater.event import Envelope, Fields
from headwater.event.codec import explained
from headwater.patience import backoff, pause
from headwater.publish.outgoing import Outgoing, gather
from headwater.telemetry import Metrics

log = telemetry.logger(__name__)
_LEADER = 0x72656C6179  # "relay": the advisory lock that says who moves events
COMMAND_TIMEOUT = 30.0
"""Seconds without an answer after which the source database counts as gone."""


class Moved(NamedTuple):
    """What one pass did."""

    rows: int
    entries: int
    quarantined: int


class Relay:
    """One process's relay."""

    def __init__(
        self, source_url: str, broker: Broker, outgoing: Outgoing, enablement: str, batch: int = 500
    ) -> None:
        """`enablement`: `$1 text[] tenants -> rows (tenant, app)`; `batch`: rows of one pass."""
        self._url = source_url
        self._broker = broker
        self._outgoing = outgoing
        self._enablement = enablement
        self._batch = batch
        self._doorbell = asyncio.Event()
        self._stopping = asyncio.Event()
        self._metrics: Metrics | None = None
        self._after = 0
        self._failures = 0
        self.leading = False
        self.moved = 0
        self.last_error = ""

    def measure_with(self, metrics: Metrics) -> None:
        """Feed these from now on."""
        self._metrics = metrics

    def stop(self) -> None:
        """Finish the pass in hand, then leave `run`. Idempotent."""
        self._stopping.set()
        self._doorbell.set()

    async def run(self, *, poll: float = 1.0) -> None:
        """Move events until stopped; waits out every outage of Redis and Postgres.

        `poll`: seconds between looks when no doorbell rings, and between tries to become the leader.
        """
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
        connection = await connect(self._url, command_timeout=COMMAND_TIMEOUT)
        try:
            if not await self._lead(connection, poll):
                return
            self._lead_on(True)
            await self._provision()
            await connection.add_listener("headwater_outbox", self._ring)
            failpoints.reached("relay.leading")
            log.info("relay.leading")
            await self._move_all(connection, poll)
        except Exception as error:
            if is_unavailable(error):
                raise ServerUnavailable(f"the source database went away ({error})") from error
            raise
        finally:
            self._lead_on(False)
            await _close(connection)

    async def _provision(self) -> None:
        try:
            await provision.apply(self._broker, self._outgoing.catalogue)
        except BrokerRefused as error:  # one foreign key must not keep events from all other streams
            log.error("relay.not_provisioned", error=str(error))

    async def _lead(self, connection: Connection, poll: float) -> bool:
        while not self._stopping.is_set():
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER):
                return True
            await pause(self._stopping, poll)
        return False

    async def _move_all(self, connection: Connection, poll: float) -> None:
        while not self._stopping.is_set():
            self._doorbell.clear()
            moved = await self.move(connection)
            self.moved += moved.entries
            self._measure(moved)
            self._failures = 0  # in a row: an outage of last week does not lengthen the waits of this one
            self.last_error = ""
            if moved.rows < self._batch:
                await self._wait(poll)

    def _lead_on(self, leading: bool) -> None:
        self.leading = leading
        if self._metrics:
            self._metrics.relay_leading(leading)

    def _measure(self, moved: Moved) -> None:
        if self._metrics and moved.rows:
            self._metrics.relayed(moved.rows - moved.quarantined)
            self._metrics.quarantined(moved.quarantined)

    def _ring(self, *_: Any) -> None:
        self._doorbell.set()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._doorbell.wait()
        except TimeoutError:
            return

    async def move(self, connection: Connection) -> Moved:
        """One pass. Raises BrokerUnavailable: its rows stay waiting and are said again."""
        rows = await connection.fetch(load(__file__, "waiting"), self._batch, self._after)
        if len(rows) < self._batch:
            self._after = 0  # from the beginning next time, with what was refused
        if not rows:
            return Moved(0, 0, 0)
        failpoints.reached("relay.fetched")
        # Asked after the rows were seen: who is not enabled yet will read them as history.
        enabled = await self._enabled(connection, {row["tenant"] for row in rows})
        appends: list[list[tuple[str, Fields]]] = []
        errors: dict[int, str] = {}
        for row in rows:
            try:
                appends.append(self._outgoing.entries(self._envelope(row), enabled.get(row["tenant"], ())))
            except (HeadwaterError, msgspec.MsgspecError, ValueError, RecursionError) as error:
                known = error if isinstance(error, EventError) else explained(error, row["data"].encode())
                errors[row["id"]] = f"{known.reason}: {known}"[:500]
                appends.append([])
        await self._quarantine(connection, errors)
        return await self._append(connection, rows, appends, errors)

    async def _enabled(self, connection: Connection, tenants: set[str]) -> dict[str, set[str]]:
        try:
            return gather(await connection.fetch(self._enablement, list(tenants)))
        except asyncpg.DataError:
            if len(tenants) == 1:  # the project's query can not take this tenant: it has nothing enabled
                log.warning("relay.tenant_unfit")
                return {}
        # One tenant that the query can not take must not keep the others waiting: ask for each alone.
        found: dict[str, set[str]] = {}
        for tenant in tenants:
            found |= await self._enabled(connection, {tenant})
        return found

    async def _append(
        self,
        connection: Connection,
        rows: Sequence[Row],
        appends: list[list[tuple[str, Fields]]],
        errors: dict[int, str],
    ) -> Moved:
        replies = await self._broker.append([one for some in appends for one in some])
        failpoints.reached("relay.appended")
        answers = iter(replies)
        of_rows = [[(key, next(answers)) for key, _ in some] for some in appends]
        done = [
            (row["id"], " ".join(f"{key}@{reply}" for key, reply in some))
            for row, some in zip(rows, of_rows, strict=True)
            if row["id"] not in errors and all(isinstance(reply, str) for _, reply in some)
        ]
        if done:
            await connection.execute(load(__file__, "mark_published"), *zip(*done, strict=True))
        failpoints.reached("relay.marked")
        self._count(rows, of_rows)
        # After the mark: what was taken must not be said again at every try of what was refused.
        for reply in replies:
            if isinstance(reply, HeadwaterError):
                if isinstance(reply, BrokerRefused) and len(rows) == self._batch:
                    # A stream that refuses a whole pass must not keep events from all other streams.
                    self._after = rows[-1]["id"]
                raise BrokerUnavailable(f"Redis refused an entry ({reply})")
        return Moved(len(rows), len(replies), len(errors))

    def _count(self, rows: Sequence[Row], of_rows: list[list[tuple[str, str | HeadwaterError]]]) -> None:
        if self._metrics is None:
            return
        pairs = zip(rows, of_rows, strict=True)
        taken = Counter(
            (key, row["type"]) for row, some in pairs for key, reply in some if isinstance(reply, str)
        )
        for (key, kind), count in taken.items():
            self._metrics.published(key, kind, count)

    def _envelope(self, row: Row) -> Envelope:
        event = self._outgoing.codec.registry.read(row["type"], row["schema_version"], row["data"])
        if event.key != row["key"]:
            raise EventError("malformed", f"the row's key is not its event's ({row['key']!r}, {event.key!r})")
        return Envelope(
            id=row["event_id"],
            event=event,
            tenant=row["tenant"],
            time=row["said_at"],
            source=row["source"],
            version=row["version"],
            op=row["op"],
            target=row["target"] if row["target"] != "*" else event.target,
            correlation=row["correlation"],
            metadata=msgspec.json.decode(row["metadata"], type=dict[str, Any]),
        )

    @staticmethod
    async def _quarantine(connection: Connection, errors: dict[int, str]) -> None:
        if errors:
            await connection.execute(load(__file__, "quarantine"), list(errors), list(errors.values()))
            log.error("relay.quarantined", rows=list(errors), errors=list(errors.values())[:3])


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=2.0)
    except (OSError, TimeoutError) as error:
        log.debug("relay.closing", error=str(error))
        connection.terminate()
