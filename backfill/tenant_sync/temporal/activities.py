"""The activities: thin, each under the lease of its run, each safe to do again.

An attempt that Temporal gave up on may still run: the lease's token grew meanwhile, and it writes nothing.
Cancels and lost leases reach an activity with its heartbeats, every second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import msgspec
from temporalio import activity

from backfill.tenant_sync.call import unfinished
from backfill.tenant_sync.errors import Superseded
from backfill.tenant_sync.leases import Lease, State, Wish
from backfill.tenant_sync.retrying import Patience
from backfill.tenant_sync.run import Run, Ways
from backfill.tenant_sync.source import BACKGROUND, COLLECTIONS
from backfill.tenant_sync.states import next_step
from backfill.tenant_sync.temporal import shapes
from backfill.tenant_sync.temporal.errors import carried, error_of
from backfill.tenant_sync.temporal.shapes import Asked, Begun, Failure, Part
from headwater import telemetry
from headwater.errors import HeadwaterError

log = telemetry.logger(__name__)
BEAT = 1.0
"""Seconds between two heartbeats."""
LOOK = 0.1
"""Seconds between looks at another process's run."""
METHOD = "temporal"


class Activities:
    """What a worker offers."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        # Temporal tries the essential data again: between two attempts nothing of it is held.
        self._once = msgspec.structs.replace(ways, patience=Patience(attempts=1))

    @activity.defn(name=shapes.ESSENTIAL)
    async def essential(self, asked: Asked) -> Begun:
        """The essential data is in, by this run or by one that was there before it."""
        with self._carrying():
            joined = False
            while True:
                state = await self._ways.leases.state(asked.tenant)
                own = state is not None and _is_own(state, asked)
                step = next_step(state.standing if state else None, force=asked.force and not joined)
                if state and step == "ready" and not own:
                    return Begun(correlation=state.row["correlation_id"])
                whole = step != "finish" and not (own and state is not None and state.standing.essential)
                wish = Wish(method=METHOD, requested=METHOD, triggered_by=asked.triggered_by, whole=whole)
                lease = await self._ways.leases.take(asked.tenant, asked.correlation, wish)
                if lease is not None:
                    return await self._begun(lease, wish, state)
                joined = True
                activity.heartbeat()
                await asyncio.sleep(LOOK)

    @activity.defn(name=shapes.BACKGROUND)
    async def background(self, part: Part) -> None:
        """One collection, tried as often as is worth it; what still fails is told in its row."""
        with self._carrying():
            run = Run(self._ways, Lease(part.tenant, part.token, part.correlation))
            async with self._holding(run.lease):
                await run.background([one for one in COLLECTIONS if one.name == part.collection])

    @activity.defn(name=shapes.FINISH)
    async def finish(self, part: Part) -> None:
        """Say that the run has ended, and let go."""
        with self._carrying():
            await self._ways.leases.finish(Lease(part.tenant, part.token, part.correlation))

    @activity.defn(name=shapes.ABANDON)
    async def abandon(self, failure: Failure) -> None:
        """Say why it has failed, unless another run went on meanwhile."""
        with self._carrying():
            state = await self._ways.leases.state(failure.tenant)
            if state is None or not _is_own(state, Asked(failure.tenant, failure.correlation)):
                return
            lease = Lease(failure.tenant, state.row["token"], failure.correlation)
            error = error_of(failure.type, failure.message)
            error.of(failure.tenant, failure.correlation, "essential", state.row["seconds"])
            with contextlib.suppress(Superseded):  # another run has begun: that one's row it is now
                await self._ways.leases.finish(lease, error)

    @contextlib.contextmanager
    def _carrying(self) -> Iterator[None]:
        """Every error leaves as Temporal carries it: histories keep its class and its text, and no more."""
        attempt = activity.info().attempt

        def wait(asked: float) -> float:
            return self._ways.patience.wait(attempt, asked)

        try:
            yield
        except ExceptionGroup as group:
            raise carried(_first(group), wait) from None
        except Exception as error:
            raise carried(error, wait) from None

    async def _begun(self, lease: Lease, wish: Wish, before: State | None) -> Begun:
        run = Run(self._once, lease)
        log.info("tenant_sync.started", tenant=lease.tenant, correlation=lease.correlation, method=METHOD)
        if wish.whole:
            async with self._holding(lease):
                await run.essential()
        left = BACKGROUND if wish.whole else unfinished(before)
        return Begun(lease.token, [one.name for one in left], lease.correlation)

    @contextlib.asynccontextmanager
    async def _holding(self, lease: Lease) -> AsyncIterator[None]:
        """Heartbeats, and the lease renewed; Superseded where another run took it."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep(lease))
            try:
                yield
            finally:
                keeping.cancel()

    async def _keep(self, lease: Lease) -> None:
        beats = max(1, int(self._ways.leases.seconds / 3 / BEAT))
        while True:
            for _ in range(beats):
                activity.heartbeat()
                await asyncio.sleep(BEAT)
            try:
                await self._ways.leases.renew(lease)
            except Superseded:
                raise
            except HeadwaterError as error:
                log.info("tenant_sync.lease_not_renewed", tenant=lease.tenant, error=str(error))


def _first(group: ExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found


def _is_own(state: State, asked: Asked) -> bool:
    """Whether the run is that of an earlier attempt at the same."""
    return bool(state.row["correlation_id"] == asked.correlation and state.row["sync_method"] == METHOD)
