"""The application of the admin interface: health, metrics, and what the project mounts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from headwater import telemetry
from headwater.admin.auth import EVERY, KeyRing, accept, check_policies, guarded, policy, require
from headwater.admin.body import LIMITS, reply
from headwater.admin.problem import problems
from headwater.config import AdminSettings
from headwater.telemetry import Metrics

Check = Callable[[], Awaitable[str | None]]
"""Gives None when all is well, else what is wrong in words."""


class Vital:
    """A check that decides about `/livez`, too: what fails it is mended by a restart, and by nothing else."""

    def __init__(self, check: Check) -> None:
        self._check = check

    async def __call__(self) -> str | None:
        """As the check."""
        return await self._check()


log = telemetry.logger(__name__)
_CHECK_WITHIN = 2.0
_CHECK_KEPT = 1.0
_SAMPLE_WITHIN = 5.0


def admin_application(
    keys: KeyRing,
    *,
    checks: Mapping[str, Check] | None = None,
    mounts: Mapping[str, web.Application] | None = None,
    metrics: Metrics | None = None,
    sample: Callable[[], Awaitable[None]] | None = None,
    limits: AdminSettings | None = None,
) -> web.Application:
    """Everything under one roof: keys, policies, problem answers, health and metrics.

    `checks` decide `/readyz`; `mounts` are applications by path prefix; `sample` brings gauges up to
    date before `/metrics` answers.

    Raises DeclarationError: a route, mounted ones too, declares no policy.
    """
    limits = limits or AdminSettings()
    app = web.Application(middlewares=[problems, guarded], client_max_size=limits.body_limit)
    app[LIMITS] = limits
    accept(app, keys)
    Health(checks or {}).add_to(app)
    if metrics is not None:
        app.router.add_get("/metrics", _metrics(metrics, sample, open_to_all=limits.open_metrics))
    for prefix, mounted in (mounts or {}).items():
        app.add_subapp(prefix, mounted)
    app.on_response_prepare.append(_headers)
    check_policies(app)
    return app


class Health:
    """Whether this process lives, and whether it can work. Checks run once a second at most."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._until = 0.0
        self._last: dict[str, dict[str, Any]] = {}
        self._one = asyncio.Lock()

    def add_to(self, app: web.Application) -> None:
        """Serve `/livez` and `/readyz`, and the names others use for them."""
        for path in ("/livez", "/live", "/healthz"):
            app.router.add_get(path, self.alive)
        for path in ("/readyz", "/ready"):
            app.router.add_get(path, self.ready)

    @policy("open")
    async def alive(self, _: web.Request) -> web.Response:
        """200 while the event loop turns and no vital check fails; else 503."""
        vital = [check for check in self._checks.values() if isinstance(check, Vital)]
        failed = any([(await _result(check))["status"] != "pass" for check in vital])
        return _health(503 if failed else 200, {"status": "fail" if failed else "pass"})

    @policy("open")
    async def ready(self, request: web.Request) -> web.Response:
        """200 when every check passes, else 503; `?verbose` names them, to a key for all tenants."""
        verbose = "verbose" in request.query
        if verbose:
            require(request, "read", EVERY)
        checks = await self._run()
        failed = any(check["status"] != "pass" for check in checks.values())
        body: dict[str, Any] = {"status": "fail" if failed else "pass"}
        if verbose:
            body["checks"] = checks
        return _health(503 if failed else 200, body)

    async def _run(self) -> dict[str, dict[str, Any]]:
        async with self._one:
            if time.monotonic() >= self._until:
                names = list(self._checks)
                results = await asyncio.gather(*(_result(self._checks[name]) for name in names))
                self._last = dict(zip(names, results, strict=True))
                self._until = time.monotonic() + _CHECK_KEPT
            return self._last


async def _result(check: Check) -> dict[str, Any]:
    began = time.monotonic()
    try:
        async with asyncio.timeout(_CHECK_WITHIN):
            trouble = await check()
    except TimeoutError:
        trouble = f"no answer within {_CHECK_WITHIN:g} s"
    except Exception as error:
        trouble = f"{type(error).__name__}: {telemetry.safe_text(error)}"
    seconds = round(time.monotonic() - began, 4)
    return {
        "status": "fail" if trouble else "pass",
        "seconds": seconds,
        **({"output": trouble} if trouble else {}),
    }


def _health(status: int, body: dict[str, Any]) -> web.Response:
    answer = reply(body, status)
    answer.content_type = "application/health+json"
    return answer


def _metrics(metrics: Metrics, sample: Callable[[], Awaitable[None]] | None, *, open_to_all: bool) -> Handler:
    @policy("open" if open_to_all else "read", tenant=EVERY)
    async def exposition(_: web.Request) -> web.Response:
        if sample is not None:
            try:
                async with asyncio.timeout(_SAMPLE_WITHIN):
                    await sample()
            except Exception as error:  # counters are worth reading also while a server is away
                log.warning(
                    "admin.sample_failed", reason=f"{type(error).__name__}: {telemetry.safe_text(error)}"
                )
        return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.content_type})

    return exposition


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "headwater"
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
