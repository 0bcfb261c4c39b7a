"""Tenant sync over HTTP, at the paths and in the shapes of the existing service.

Every answer is `{success, data}` or `{success, message}`, every error `{success: false, error}` beside what
problems carry. A key for some tenants sees and starts theirs; what is counted over all needs one for all.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from backfill.tenant_sync import told
from backfill.tenant_sync.health import HOUR
from backfill.tenant_sync.leases import Leases, State
from backfill.tenant_sync.result import SyncResult
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.statistics import DAY, MOST, STATUSES, Statistics
from backfill.tenant_sync.upkeep import GRACE, StillWriting, Upkeep
from headwater import clock
from headwater.admin import BESIDE, EVERY, Beside, Problem, policy, principal, read_json, reply
from headwater.broker.lag import Lag

PREFIX = "/api/sync"
LONGEST_WAIT = 60.0
LONGEST_WINDOW = 168
"""Hours. Percentiles of a month of busy tenants would take seconds."""
_TENANT = "/tenants/{tenant}"
_STATUS = {
    "AUTH_ERROR": 502,
    "VALIDATION_ERROR": 422,
    "NETWORK_ERROR": 502,
    "DATABASE_ERROR": 503,
    "TIMEOUT_ERROR": 504,
    "UNKNOWN_ERROR": 500,
}
"""Of an answer, by the class of the error that a sync ended with: the caller's own key was good."""

Streams = Callable[[], Awaitable[Sequence[Lag]]]
"""How far the workers that hear of `tenant.sync.required` are behind."""


class Options(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a trigger's body may say."""

    skip_reference_data: bool = False


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints work with."""

    syncs: TenantSyncs
    leases: Leases
    statistics: Statistics
    upkeep: Upkeep
    streams: Streams


class Endpoints:
    """One method a route; each names its policy."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        """`parts`: there as soon as the server serves."""
        self._parts = parts
        self._asked: set[asyncio.Task[SyncResult]] = set()

    def add_to(self, app: web.Application) -> None:
        """Serve them, in an application at `PREFIX`."""
        app[BESIDE] = Beside(_failed)
        router = app.router
        router.add_post(f"{_TENANT}/trigger", self.trigger)
        router.add_post(f"{_TENANT}/force", self.force)
        router.add_get(f"{_TENANT}/status", self.status)
        router.add_get(f"{_TENANT}/progress", self.progress)
        router.add_delete(f"{_TENANT}/lock", self.unlock)
        router.add_get("/needs-sync/{tenant}", self.needs_sync)
        router.add_post("/cleanup", self.cleanup)
        router.add_get("/statistics", self.statistics)
        router.add_get("/all", self.all)
        router.add_get("/metrics", self.metrics)
        router.add_get("/health", self.health)
        router.add_get("/method-stats", self.method_stats)
        router.add_get("/consumer/health", self.consumer_health)
        router.add_post("/consumer/reset-circuit-breaker", self.reset)

    @policy("write", tenant="tenant")
    async def trigger(self, request: web.Request) -> web.Response:
        """Bring a tenant up to date: answers when essential data is in, after `?wait=` seconds at most."""
        return await self._sync(request, force=False)

    @policy("write", tenant="tenant")
    async def force(self, request: web.Request) -> web.Response:
        """The same, also where everything is there."""
        return await self._sync(request, force=True)

    @policy("read", tenant="tenant")
    async def status(self, request: web.Request) -> web.Response:
        """How a tenant's sync stands, what failed of it, and who asked for what."""
        tenant = _tenant(request)
        state, (stuck, notes) = await self._state(tenant), await self._parts().statistics.audited(tenant)
        return _data(told.status(tenant, state, stuck, notes))

    @policy("read", tenant="tenant")
    async def progress(self, request: web.Request) -> web.Response:
        """How far it is."""
        tenant = _tenant(request)
        return _data(told.progress(tenant, await self._state(tenant)))

    @policy("read", tenant="tenant")
    async def needs_sync(self, request: web.Request) -> web.Response:
        """Whether something is to be fetched that nobody is fetching."""
        tenant = _tenant(request)
        state = await self._state(tenant)
        return _data({"tenantId": tenant, "needsSync": told.needs_sync(state.standing if state else None)})

    @policy("write", tenant="tenant")
    async def unlock(self, request: web.Request) -> web.Response:
        """Take the lock from a tenant's run: it writes nothing any more, and the next may begin."""
        tenant = _tenant(request)
        try:
            freed = await self._parts().upkeep.release(tenant, principal(request).id)
        except StillWriting as error:
            raise Problem(503, str(error), headers={"Retry-After": "5"}) from None
        if freed is None:
            raise Problem(404, "no sync of this tenant was ever made")
        said = "Lock removed" if freed.released else "No run holds a lock"
        return reply({"success": True, "message": said, "data": freed})

    @policy("write", tenant=EVERY)
    async def cleanup(self, request: web.Request) -> web.Response:
        """End runs that have been stuck for `?olderThan=600` seconds."""
        older = _number(request, "olderThan", GRACE, most=DAY)
        rows = await self._parts().upkeep.clean_up(principal(request).id, older)
        listed = [{"tenantId": row["tenant"], "correlationId": row["correlation"]} for row in rows[:MOST]]
        return _data({"cleanedCount": len(rows), "cleaned": listed})

    @policy("read", tenant=EVERY)
    async def statistics(self, request: web.Request) -> web.Response:
        """How all tenants stand, and what became of the runs of the last `?hours=24`."""
        seconds, figures = _hours(request), self._parts().statistics
        standing, lately = await figures.standing(), await figures.lately(seconds)
        return _data({**standing, "runs": lately, "timestamp": clock.now()})

    @policy("read")
    async def all(self, request: web.Request) -> web.Response:
        """The syncs of the key's tenants, the newest run first; `?status=`, `?limit=100`."""
        status = request.query.get("status")
        if status is not None and status not in STATUSES:
            raise Problem(400, f"status is one of {', '.join(STATUSES)}", field="status")
        limit = int(_number(request, "limit", MOST, least=1, most=MOST))
        who = principal(request)
        mine = None if who.sees(EVERY) else [one for one in who.tenants if _is_uuid(one)]
        return _data(await self._parts().statistics.listed(status, mine, limit))

    @policy("read", tenant=EVERY)
    async def metrics(self, request: web.Request) -> web.Response:
        """Rates, durations and errors of the last `?hours=24`, how all tenants stand, and each collection."""
        seconds, figures = _hours(request), self._parts().statistics
        standing = await figures.standing()
        now = standing.pop("collections")
        lately = await figures.collections(seconds)
        names = sorted({*now, *lately})
        return _data(
            {
                "orchestration": await figures.lately(seconds),
                "database": standing,
                "collections": {name: {**now.get(name, {}), "lately": lately.get(name)} for name in names},
                "timestamp": clock.now(),
            }
        )

    @policy("read", tenant=EVERY)
    async def health(self, _: web.Request) -> web.Response:
        """How syncs went in the last hour: 503 when unhealthy."""
        found = await self._parts().statistics.health()
        well = found["status"] != "unhealthy"
        beside = {} if well else {"error": "tenant syncs are unhealthy"}
        return reply({"success": well, "data": found, **beside}, 200 if well else 503)

    @policy("read", tenant=EVERY)
    async def method_stats(self, request: web.Request) -> web.Response:
        """What became of the runs of the last `?hours=24`, by method and fallback."""
        return _data(await self._parts().statistics.methods(_hours(request)))

    @policy("read", tenant=EVERY)
    async def consumer_health(self, _: web.Request) -> web.Response:
        """Whether those who hear `tenant.sync.required` are there, and what they asked for is made."""
        requests, lags = await self._parts().statistics.requests(), await self._parts().streams()
        workers = max((one.living for one in lags), default=0)
        well = workers > 0 and not requests["late"]
        streams = [_stream(one) for one in lags]
        about = {"status": "healthy" if well else "degraded", "workers": workers, "requests": requests}
        return _data({**about, "streams": streams, "timestamp": clock.now()})

    @policy("write", tenant=EVERY)
    async def reset(self, request: web.Request) -> web.Response:
        """Let what failed be tried at once instead of when its time has come."""
        made = await self._parts().upkeep.make_due(principal(request).id)
        said = f"{made} failed syncs are due now"
        return reply({"success": True, "message": said, "data": {"madeDue": made}})

    async def _sync(self, request: web.Request, *, force: bool) -> web.Response:
        tenant, wait = _tenant(request), _number(request, "wait", LONGEST_WAIT, most=LONGEST_WAIT)
        options = await read_json(request, Options)
        skip = _flag(request, "skipReferenceData") or options.skip_reference_data
        who, parts = principal(request).id, self._parts()
        await parts.upkeep.note(
            tenant, who, "forced" if force else "triggered", "essential" if skip else None
        )
        asked = parts.syncs.ensure_tenant_sync(
            tenant,
            force=force,
            triggered_by=f"http {who}",
            method="direct" if skip else "auto",  # a workflow's worth is what comes behind
            background=not skip,
        )
        task = asyncio.create_task(asked, name=f"asked {tenant}")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        done, _ = await asyncio.wait({task}, timeout=wait)
        if done:
            return _result(task.result())
        answer = reply({"success": True, "message": "Sync is going on", "data": {"tenantId": tenant}}, 202)
        answer.headers["Location"] = f"{request.path.rpartition('/')[0]}/status"
        return answer

    async def _state(self, tenant: str) -> State | None:
        return await self._parts().leases.state(tenant)


def _failed(problem: Problem) -> dict[str, Any]:
    return {"success": False, "error": problem.detail or problem.title}


def _result(result: SyncResult) -> web.Response:
    data = msgspec.to_builtins(result)
    if result.success:
        said = "Tenant is synced already" if result.already_synced else "Essential data is synced"
        return reply({"success": True, "message": said, "data": data})
    status = _STATUS.get(result.error_type or "", 500)
    answer = reply({"success": False, "error": result.error, "data": data}, status)
    if result.retryable:
        answer.headers["Retry-After"] = "60"
    return answer


def _data(data: Any) -> web.Response:
    return reply({"success": True, "data": data})


def _stream(one: Lag) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "group": one.group,
        "waiting": one.entries,
        "pending": one.pending,
        "oldestSeconds": round(max(one.seconds, one.oldest_pending), 3),
        "workers": one.living,
    }


def _tenant(request: web.Request) -> str:
    text = request.match_info["tenant"]
    if not _is_uuid(text):
        raise Problem(404, "no such tenant: its id is a UUID")
    return str(uuid.UUID(text))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _hours(request: web.Request) -> float:
    return HOUR * _number(request, "hours", 24, least=1, most=LONGEST_WINDOW)


def _number(request: web.Request, name: str, usual: float, *, least: float = 0, most: float) -> float:
    text = request.query.get(name)
    if text is None:
        return usual
    # At most seven characters: what float() takes beside digits is refused, and so are numbers without end.
    value = float(text) if text.isascii() and text.isdigit() and len(text) <= 7 else -1.0
    if not least <= value <= most:
        raise Problem(400, f"{name} is a number from {least:g} to {most:g}", field=name)
    return value


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise Problem(400, f"{name} is true or false", field=name)
    return text in {"true", "1"}
