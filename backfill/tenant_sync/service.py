"""`ensure_tenant_sync`: what a login calls, and what costs it nothing once the tenant is there.

    syncs = TenantSyncs(ways)
    result = await syncs.ensure_tenant_sync(tenant)     # essential data is in, or says why not

Always holds: one run a tenant, over all processes. Whoever comes while one runs waits for it and gets its
answer; the background goes on when the caller has its answer, and is taken up by the next caller when the
process that did it is gone.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any

from backfill.tenant_sync.call import Call, brought, ended, is_left, step_of, stuck, unfinished
from backfill.tenant_sync.correlation import correlation_id
from backfill.tenant_sync.errors import InvalidError, Superseded, SyncError, TooLong, classified
from backfill.tenant_sync.leases import Lease, Wish
from backfill.tenant_sync.result import SyncResult, answer, failure
from backfill.tenant_sync.routing import Method, Route, Routing, Size, allowed, route
from backfill.tenant_sync.run import Run, Ways
from backfill.tenant_sync.source import BACKGROUND, ORGANIZATION, USER, Collection
from backfill.tenant_sync.temporal.shapes import Asked
from headwater import telemetry
from headwater.config.seeds import TenantSyncSettings
from headwater.errors import ServerUnavailable

log = telemetry.logger(__name__)
LOOK = 0.1
"""Seconds between looks at another process's run."""
COURTESY = 10.0
"""Seconds that a tenant's background waits at most while logins wait for essential data."""


class TenantSyncs:
    """The syncs of one process."""

    def __init__(
        self, ways: Ways, *, timeout: float = 60.0, at_once: int = 4, routing: Routing | None = None
    ) -> None:
        """`timeout`: seconds that a caller waits at most for essential data on the direct way.

        `at_once`: tenants whose essential data is read at the same time, each through one connection to the
        source. Of the background it is one tenant's at a time, through three. `routing`: which syncs
        Temporal makes, asked when one begins; without it none.
        """
        self._ways = ways
        self._timeout = timeout
        self._routing = routing
        self._room, self._room_behind = asyncio.Semaphore(at_once), asyncio.Semaphore(1)
        self._going: dict[tuple[str, bool, bool], asyncio.Task[SyncResult]] = {}
        self._later: dict[str, asyncio.Task[None]] = {}
        self._closing = False
        self._waiting = 0

    async def ensure_tenant_sync(
        self,
        tenant: str,
        *,
        force: bool = False,
        triggered_by: str = "login",
        method: Method = "auto",
        background: bool = True,
    ) -> SyncResult:
        """The essential data of a tenant is there; what is not goes on in the background.

        Raises nothing but a cancel: what went wrong is in the result. `force` syncs again what is there;
        `method` is what a sync takes that has to be made, `auto` what the settings say. Without `background`
        a direct sync ends behind the essential data; the next caller that does not say so makes the rest.
        """
        try:
            tenant = str(uuid.UUID(tenant))
        except ValueError:
            error = InvalidError(f"no tenant id ({tenant[:50]!r})")
            return failure(error.of(tenant, correlation_id(tenant[:50], _now()), "essential", 0.0))
        place = (tenant, force, background)
        task = self._going.get(place)
        if task is None:
            correlation = correlation_id(tenant, _now())
            call = Call(
                tenant=tenant,
                correlation=correlation,
                triggered_by=triggered_by,
                method=method,
                force=force,
                background=background,
            )
            task = asyncio.create_task(self._ensure(call), name=f"sync {tenant}")
            self._going[place] = task
            task.add_done_callback(lambda _: self._going.pop(place, None))
        return await asyncio.shield(task)

    async def settled(self, tenant: str) -> SyncResult | None:
        """The answer once its background has ended, too; None for a tenant nobody synced."""
        task = self._later.get(tenant)
        if task is not None:
            await asyncio.wait({task})
        state = await self._ways.leases.state(tenant)
        while state is not None and state.row["busy"] and state.row["sync_method"] == "temporal":
            await asyncio.sleep(LOOK)
            state = await self._ways.leases.state(tenant)
        return None if state is None else answer(state)

    async def close(self) -> None:
        """Stop what is going on: leases are let go, so that others go on at once. Idempotent."""
        self._closing = True
        tasks = [*self._going.values(), *self._later.values()]
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()  # again and again: before Python 3.12 a wait that just ended drops a cancel
            await asyncio.wait(tasks, timeout=0.5)
        if self._routing is not None:
            await self._routing.way.close()

    async def _ensure(self, call: Call) -> SyncResult:
        began = time.monotonic()
        try:
            limit = self._timeout + await self._routed(call)
            async with asyncio.timeout(limit):
                return await self._reached(call)
        except Exception as error:  # the edge of a login: it is told what went wrong
            found = classified(error)
            if not found.correlation:
                found.of(call.tenant, call.correlation, "essential", time.monotonic() - began)
            log.warning("tenant_sync.failed", **_told(found))
            return failure(found, temporal=call.temporal, instead=call.instead)

    async def _routed(self, call: Call) -> float:
        """Decide which way the call takes; how many seconds Temporal has. Raises a SyncError."""
        if self._routing is None:
            found, flags = Route(temporal=False, why="no Temporal"), None
        else:
            flags = self._routing.flags()
            found = route(call.tenant, call.method, flags, await self._size(call, flags))
        if call.method == "temporal" and not found.temporal:
            raise InvalidError(f"this sync can not go through Temporal: {found.why}")
        call.temporal = found.temporal
        return flags.temporal_timeout if flags is not None and found.temporal else 0.0

    async def _size(self, call: Call, flags: TenantSyncSettings) -> Size:
        """How large a tenant is, asked only where it decides something."""
        if call.method != "auto" or not flags.temporal_by_size or not allowed(call.tenant, flags):
            return Size()
        async with self._ways.source.reading(call.tenant, call.correlation) as reading:
            users, organizations = await reading.count(USER), await reading.count(ORGANIZATION)
        seconds = await self._ways.leases.last_seconds(call.tenant)
        return Size(users=users, organizations=organizations, seconds=seconds)

    async def _reached(self, call: Call) -> SyncResult:
        while True:
            state = await self._ways.leases.state(call.tenant)
            if state and call.joined and ended(state, call.joined) and not is_left(call, state):
                return call.told(answer(state), joined=True)
            step = step_of(state, call)
            if state and (step == "ready" or brought(call, state)):
                mine = state.row["correlation_id"] == call.correlation
                waited = bool(call.joined) or (call.run_id is not None and not mine)
                about = {"already_synced": not (waited or mine), "joined": waited}
                return call.told(answer(state), **about, background_sync_started=mine)
            if step == "join" and state and not stuck(call, state):
                call.joined, call.force = state.row["correlation_id"], False
                await asyncio.sleep(LOOK)
            elif call.temporal and call.trouble is None:
                await self._through_temporal(call)
            else:
                made = await self._in_turn(call)
                if made is not None:
                    return await self._answer(call, already=not made.whole)

    async def _through_temporal(self, call: Call) -> None:
        """Let Temporal do it; what it can not do is done directly after. Raises a SyncError."""
        if self._routing is None:
            raise InvalidError("there is no Temporal")
        asked = Asked(call.tenant, call.correlation, call.triggered_by, call.force, self._timeout)
        now = time.monotonic()
        call.until = call.until or now + self._routing.flags().temporal_timeout
        try:
            call.run_id = await self._routing.way.essential(asked, timeout=max(0.0, call.until - now))
        except SyncError as error:
            if not error.retryable:
                raise
            call.trouble = error
            about = {"tenant": call.tenant, "correlation": call.correlation, "type": error.type}
            log.warning("tenant_sync.without_temporal", **about, error=str(error))
            return
        if call.run_id is None:
            await asyncio.sleep(LOOK)
        else:
            call.force = False

    async def _in_turn(self, call: Call) -> Wish | None:
        """Make a run as soon as there is room, where it is still to be made; None: look again."""
        self._waiting += 1
        try:
            return await self._with_room(call)
        finally:
            self._waiting -= 1

    async def _with_room(self, call: Call) -> Wish | None:
        async with self._room:
            state = await self._ways.leases.state(call.tenant)
            step, steal = step_of(state, call), state is not None and stuck(call, state)
            if step not in {"run", "finish"} and not steal:
                return None
            wish = Wish(
                requested="temporal" if call.temporal else "direct",
                fallback=call.trouble is not None,
                triggered_by=call.triggered_by,
                whole=step != "finish",
                steal=steal,
            )
            lease = await self._ways.leases.take(call.tenant, call.correlation, wish)
            left = unfinished(state) if not wish.whole else BACKGROUND if call.background else ()
            return wish if lease is not None and await self._run(lease, wish, left) else None

    async def _answer(self, call: Call, *, already: bool) -> SyncResult:
        state = await self._ways.leases.state(call.tenant)
        if state is None:
            raise InvalidError("the row of the sync was removed")
        return call.told(answer(state), already_synced=already, background_sync_started=call.background)

    async def _run(self, lease: Lease, wish: Wish, left: Sequence[Collection]) -> bool:
        """Whether the essential data is in; False: another run took over. Raises a SyncError."""
        run, keeping = Run(self._ways, lease), asyncio.create_task(self._keep(lease), name="lease")
        log.info("tenant_sync.started", tenant=lease.tenant, correlation=lease.correlation)
        try:
            if wish.whole:
                await run.essential()
        except Superseded as error:
            keeping.cancel()
            log.warning("tenant_sync.superseded", tenant=lease.tenant, correlation=lease.correlation)
            log.debug("tenant_sync.superseded_by", error=str(error))
            return False
        except BaseException as error:
            keeping.cancel()
            await asyncio.shield(self._give_up(run, error))
            raise
        task = asyncio.create_task(self._afterwards(run, left, keeping), name=f"background {lease.tenant}")
        self._later[lease.tenant] = task
        task.add_done_callback(lambda _: self._later.pop(lease.tenant, None))
        return True

    async def _afterwards(self, run: Run, left: Sequence[Collection], keeping: asyncio.Task[None]) -> None:
        try:
            async with self._room_behind:
                await self._calm()
                await run.background(left)
            await self._ways.leases.finish(run.lease)
            about = {"tenant": run.lease.tenant, "correlation": run.lease.correlation}
            log.info("tenant_sync.completed", **about, seconds=round(run.seconds, 3))
        except Superseded:
            log.warning("tenant_sync.superseded", tenant=run.lease.tenant, correlation=run.lease.correlation)
        except BaseException as error:
            await asyncio.shield(self._give_up(run, error))
            if not isinstance(error, Exception):
                raise
        finally:
            keeping.cancel()

    async def _calm(self) -> None:
        """While somebody waits for essential data the background does, but not for ever."""
        until = time.monotonic() + COURTESY
        while self._waiting and time.monotonic() < until:
            await asyncio.sleep(LOOK)

    async def _give_up(self, run: Run, error: BaseException) -> None:
        """Tell the row why a run ended, as far as the database can be reached; else its lease runs out."""
        lease, leases = run.lease, self._ways.leases
        try:
            if isinstance(error, asyncio.CancelledError):
                if self._closing:
                    await leases.let_go(lease)
                    return
                error = TooLong(f"the essential data was not in after {self._timeout:g}s")
            found = classified(error).of(lease.tenant, lease.correlation, "essential", run.seconds)
            await leases.finish(lease, found)
        except (Superseded, ServerUnavailable) as problem:
            log.info(
                "tenant_sync.not_told", tenant=lease.tenant, correlation=lease.correlation, error=str(problem)
            )

    async def _keep(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._ways.leases.seconds / 3)
            try:
                await self._ways.leases.renew(lease)
            except Superseded:
                return
            except ServerUnavailable as error:
                log.info("tenant_sync.lease_not_renewed", tenant=lease.tenant, error=str(error))


def _told(error: SyncError) -> dict[str, Any]:
    return {
        "tenant": error.tenant,
        "correlation": error.correlation,
        "type": error.type,
        "retryable": error.retryable,
        "error": str(error),
        "seconds": round(error.duration, 3),
    }


def _now() -> int:
    return time.time_ns() // 1_000_000
