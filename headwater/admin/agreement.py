"""Comparisons over HTTP: whether source and application agree, and the request to compare or mend."""

from __future__ import annotations

import asyncio
from typing import Annotated

import asyncpg
import msgspec
from aiohttp import web

from headwater import telemetry
from headwater.admin.auth import policy, principal
from headwater.admin.body import read_json, reply
from headwater.admin.problem import Problem
from headwater.errors import DeclarationError, HeadwaterError, JobRefused, ServerUnavailable
from headwater.event.limits import TENANT_LIMIT
from headwater.replay.reconcile import Reconciler, Report, Wish, as_data

log = telemetry.logger(__name__)
PREFIX = "/admin/reconcile"
LONGEST = 30.0
"""Seconds that one request may wait; the comparison itself goes on."""
_WHERE = "/{tenant}/{app}"


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a comparison is to do: as the options of `headwater reconcile`."""

    level: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    sample: Annotated[int, msgspec.Meta(ge=1)] | None = None
    fix: bool = False
    remove_untracked: bool = False
    subjects: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()


class Agreement:
    """Starts comparisons, and tells what is known."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._running: dict[tuple[str, str], asyncio.Task[Report]] = {}

    def application(self) -> web.Application:
        """To be mounted at `PREFIX`."""
        app = web.Application()
        app.router.add_get(_WHERE, self.known)
        app.router.add_post(_WHERE, self.compare)
        app.on_cleanup.append(self._end)
        return app

    @policy("read", tenant="tenant")
    async def known(self, request: web.Request) -> web.Response:
        """What the last comparisons of each subject said, and who made them."""
        app = self._app(request)
        tenant = await self._tenant(request, app)
        rows = await self._reconciler.known(tenant, app)
        return reply(
            {
                "tenant": tenant,
                "application": app,
                "state": worst([row["state"] for row in rows]),
                "running": (tenant, app) in self._running,
                "subjects": [{name: row[name] for name in _SHOWN} for row in rows],
                "events": await self._reconciler.notes(tenant, app),
            }
        )

    @policy("write", tenant="tenant")
    async def compare(self, request: web.Request) -> web.Response:
        """Compare, and mend where that is asked: 200 with what was found, 202 when it takes longer."""
        app = self._app(request)
        where = await self._tenant(request, app), app
        wait, asked = _wait(request), await read_json(request, Asked)
        wish = Wish(**msgspec.structs.asdict(asked), actor=principal(request).id)
        _check(asked)
        if where in self._running:
            raise Problem(409, "a comparison of this application is running", running=True)
        task = asyncio.create_task(self._reconciler.reconcile(*where, wish), name="reconcile")
        self._running[where] = task
        task.add_done_callback(lambda ended: self._ended(where, ended))
        done, _ = await asyncio.wait({task}, timeout=wait)
        if not done:
            answer = reply({"tenant": where[0], "application": where[1], "running": True}, 202)
            answer.headers["Location"] = request.path
            return answer
        return reply(as_data(_result(task)))

    def _ended(self, where: tuple[str, str], task: asyncio.Task[Report]) -> None:
        self._running.pop(where, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # whoever asked may be told no more
            log.warning("reconcile.not_compared", tenant=where[0], app=where[1], error=str(error))

    def _app(self, request: web.Request) -> str:
        try:
            return self._reconciler.app(request.match_info["app"])
        except DeclarationError:
            raise Problem(404) from None

    async def _tenant(self, request: web.Request, app: str) -> str:
        text = request.match_info["tenant"]
        if not text.isprintable() or len(text) > TENANT_LIMIT:
            raise Problem(404)
        return await self._reconciler.spelled(text, app)

    async def _end(self, _: web.Application) -> None:
        for task in list(self._running.values()):
            task.cancel()


_SHOWN = (
    *("subject", "state", "reason", "level", "checked_at", "agreed_at", "seconds"),
    *("source_count", "applied_count", "kinds"),
)


def worst(states: list[str]) -> str:
    """One state for many: unknown where nothing was ever compared. Pure."""
    for one in ("unknown", "differing"):
        if one in states or not states:
            return one
    return "agreed"


def _result(task: asyncio.Task[Report]) -> Report:
    try:
        return task.result()
    except JobRefused as error:
        job = {"job": error.job.id} if error.job else {}
        raise Problem(409, str(error), **job) from None
    except asyncpg.DataError:
        raise Problem(404) from None
    except ServerUnavailable:
        raise
    except HeadwaterError as error:
        raise Problem(409, str(error)) from None


def _check(asked: Asked) -> None:
    if asked.sample is not None and asked.level < 2:
        raise Problem(400, "a sample is of content: say level 2", field="sample")
    if asked.remove_untracked and not asked.fix:
        raise Problem(400, "removeUntracked goes with fix", field="removeUntracked")


def _wait(request: web.Request) -> float:
    try:
        seconds = float(request.query.get("wait", "10"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise Problem(400, f"wait is a number of seconds from 0 to {LONGEST:g}", field="wait")
    return max(0.01, seconds)
