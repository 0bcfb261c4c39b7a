"""The three answers of the existing service: `/health` (200 or 503), `/status`, `/metrics`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import orjson
from aiohttp import web

from backfill.user_sync.figures import Figures
from backfill.user_sync.standing import Standing, as_seed, health
from headwater.admin import KeyRing, admin_application, run_admin
from headwater.admin.auth import EVERY, check_policies, policy
from headwater.admin.server import is_loopback
from headwater.config import Settings
from headwater.telemetry import Metrics

Look = Callable[[], Awaitable[Standing]]
ENDPOINTS = ("/health", "/status", "/metrics")


def application(settings: Settings, metrics: Metrics, figures: Figures, look: Look) -> web.Application:
    """Everything under one roof.

    On a loopback address nothing needs a key, elsewhere all but `/health` does.
    """
    loopback = is_loopback(settings.user_sync.status_host)

    async def sample() -> None:
        figures.show(await look())

    limits = msgspec.structs.replace(settings.admin, open_metrics=settings.admin.open_metrics or loopback)
    app = admin_application(KeyRing(settings.admin.keys), metrics=metrics, sample=sample, limits=limits)
    _add(app, look, open_to_all=loopback)
    check_policies(app)
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    """Serve inside the block; gives the address. Raises SettingsError."""
    sync = settings.user_sync
    async with run_admin(app, sync.status_host, sync.status_port) as (host, port):
        yield f"http://{host}:{port}"


def _add(app: web.Application, look: Look, *, open_to_all: bool) -> None:
    @policy("open")
    async def healthy(_: web.Request) -> web.Response:
        found = health(await look())
        return _json(msgspec.structs.asdict(found), 200 if found.status == "HEALTHY" else 503)

    @policy("open" if open_to_all else "read", tenant="" if open_to_all else EVERY)
    async def status(_: web.Request) -> web.Response:
        return _json(as_seed(await look()))

    @policy("open")
    async def other(_: web.Request) -> web.Response:
        return _json({"error": "Not Found", "endpoints": list(ENDPOINTS)}, 404)

    app.router.add_get("/health", healthy)
    app.router.add_get("/status", status)
    app.router.add_route("*", "/{other:.*}", other)


def _json(data: object, code: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=code, content_type="application/json")
