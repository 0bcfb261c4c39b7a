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
from typing import Any

import msgspec

from backfill.tenant_sync.correlation import correlation_id
from backfill.tenant_sync.errors import InvalidError, Superseded, SyncError, TooLong, classified
from backfill.tenant_sync.leases import Lease, State, Wish
from backfill.tenant_sync.result import SyncResult, answer, failure
from backfill.tenant_sync.run import Run, Ways
from backfill.tenant_sync.source import BACKGROUND, COLLECTIONS
from backfill.tenant_sync.states import Step, next_step
from headwater import telemetry
from headwater.errors import ServerUnavailable

log = telemetry.logger(__name__)
LOOK = 0.1
"""Seconds between looks at another process's run."""


class TenantSyncs:
    """The syncs of one process."""

    def __init__(self, ways: Ways, *, timeout: float = 60.0, at_once: int = 4) -> None:
        """`timeout`: seconds that a caller waits at most for essential data.

        `at_once`: tenants whose essential data is read at the same time, each through one connection to the
        source. Of the background it is one tenant's at a time, through three.
        """
        self._ways = ways
        self._timeout = timeout
        self._room, self._room_behind = asyncio.Semaphore(at_once), asyncio.Semaphore(1)
        self._going: dict[tuple[str, bool], asyncio.Task[SyncResult]] = {}
        self._later: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    async def ensure_tenant_sync(
        self, tenant: str, *, force: bool = False, triggered_by: str = "login"
    ) -> SyncResult:
        """The essential data of a tenant is there; what is not goes on in the background.

        Raises nothing but a cancel: what went wrong is in the result. `force` syncs again what is there.
        """
        try:
            tenant = str(uuid.UUID(tenant))
        except ValueError:
            error = InvalidError(f"no tenant id ({tenant[:50]!r})")
            return failure(error.of(tenant, correlation_id(tenant[:50], _now()), "essential", 0.0))
        place = (tenant, force)
        task = self._going.get(place)
        if task is None:
            task = asyncio.create_task(self._ensure(tenant, force, triggered_by), name=f"sync {tenant}")
            self._going[place] = task
            task.add_done_callback(lambda _: self._going.pop(place, None))
        return await asyncio.shield(task)

    async def settled(self, tenant: str) -> SyncResult | None:
        """The answer once the background of this process has ended, too; None for a tenant nobody synced."""
        task = self._later.get(tenant)
        if task is not None:
            await asyncio.wait({task})
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

    async def _ensure(self, tenant: str, force: bool, triggered_by: str) -> SyncResult:
        correlation, began = correlation_id(tenant, _now()), time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._reached(tenant, correlation, force, triggered_by)
        except Exception as error:  # the edge of a login: it is told what went wrong
            found = classified(error)
            if not found.correlation:
                found.of(tenant, correlation, "essential", time.monotonic() - began)
            log.warning("tenant_sync.failed", **_told(found))
            return failure(found)

    async def _reached(self, tenant: str, correlation: str, force: bool, triggered_by: str) -> SyncResult:
        joined = ""
        while True:
            state = await self._ways.leases.state(tenant)
            if state and joined and state.row["correlation_id"] == joined and _ended(state):
                return msgspec.structs.replace(answer(state), joined=True)
            step = _step(state, force and not joined)
            if step == "join" and state:
                joined = state.row["correlation_id"]
                await asyncio.sleep(LOOK)
            elif step == "ready" and state:
                return msgspec.structs.replace(answer(state), already_synced=not joined, joined=bool(joined))
            else:
                made = await self._in_turn(tenant, correlation, (force and not joined, triggered_by))
                if made is not None:
                    return await self._answer(tenant, already=not made.whole)

    async def _in_turn(self, tenant: str, correlation: str, asked: tuple[bool, str]) -> Wish | None:
        """Make a run as soon as there is room, where it is still to be made; None: look again."""
        force, triggered_by = asked
        async with self._room:
            state = await self._ways.leases.state(tenant)
            step = _step(state, force)
            if step not in {"run", "finish"}:
                return None
            wish = Wish(triggered_by=triggered_by, whole=step == "run")
            lease = await self._ways.leases.take(tenant, correlation, wish)
            return wish if lease is not None and await self._run(lease, wish, state) else None

    async def _answer(self, tenant: str, *, already: bool) -> SyncResult:
        state = await self._ways.leases.state(tenant)
        if state is None:
            raise InvalidError("the row of the sync was removed")
        return msgspec.structs.replace(answer(state), already_synced=already, background_sync_started=True)

    async def _run(self, lease: Lease, wish: Wish, before: State | None) -> bool:
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
        left = BACKGROUND if wish.whole else _unfinished(before)
        task = asyncio.create_task(self._afterwards(run, left, keeping), name=f"background {lease.tenant}")
        self._later[lease.tenant] = task
        task.add_done_callback(lambda _: self._later.pop(lease.tenant, None))
        return True

    async def _afterwards(self, run: Run, left: Any, keeping: asyncio.Task[None]) -> None:
        try:
            async with self._room_behind:
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


def _step(state: State | None, force: bool) -> Step:
    return next_step(state.standing if state else None, force=force)


def _ended(state: State) -> bool:
    return not state.row["busy"] and state.row["status"] == "failed"


def _unfinished(state: State | None) -> list[Any]:
    done = {
        name for name, one in (state.collections if state else {}).items() if one["status"] == "completed"
    }
    return [one for one in COLLECTIONS if one.name not in done]


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
