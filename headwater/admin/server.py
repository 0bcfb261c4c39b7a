"""Serving the admin application, and how much of the process one client may use up.

aiohttp itself waits for ever for the rest of a request head. Here a connection has a time to send a
whole head, is closed when idle, and is turned away when there are too many. A public address without
keys is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from headwater import telemetry
from headwater.admin.auth import has_keys
from headwater.admin.body import LIMITS
from headwater.admin.problem import Problem
from headwater.config import AdminSettings
from headwater.errors import SettingsError

log = telemetry.logger(__name__)


@contextlib.asynccontextmanager
async def run_admin(app: web.Application, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve inside the block; gives the bound address. Port 0 is any free one.

    On leaving: no new connection, requests in hand finish within `admin.stop_timeout`.

    Raises SettingsError: the address is not a loopback one and no key is configured, or it is taken.
    """
    limits = app[LIMITS]
    if not has_keys(app) and not is_loopback(host):
        raise SettingsError(
            f"the admin interface would be open to everyone on {host}",
            hint="set HEADWATER_ADMIN_KEYS, or HEADWATER_ADMIN_HOST=127.0.0.1",
        )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=limits.stop_timeout)
    await runner.setup()
    server: asyncio.Server | None = None
    try:
        gate = _Gate(runner, limits)
        try:
            server = await asyncio.get_running_loop().create_server(gate.connection, host, port)
        except OSError as error:
            raise SettingsError(
                f"the admin interface can not listen on {host}:{port}: {error.strerror or error}",
                hint="set HEADWATER_ADMIN_PORT to a free port",
            ) from None
        bound: tuple[str, int] = server.sockets[0].getsockname()[:2]
        log.info("admin.started", host=bound[0], port=bound[1])
        yield bound
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()
        log.info("admin.stopped")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Gate:
    """Makes connections, and counts those that are open."""

    def __init__(self, runner: web.AppRunner, limits: AdminSettings) -> None:
        if runner.server is None:
            raise RuntimeError("the runner is not set up")
        self.server, self.limits, self.open = runner.server, limits, 0

    def connection(self) -> _Connection:
        """A new one; it turns itself away when there are too many."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=self.limits.keepalive,
            lingering_time=1.0,
            max_line_size=8190,
            max_field_size=8190,
        )


class _Connection(web.RequestHandler):
    """One client of the interface."""

    __slots__ = ("_admitted", "_gate", "_patience")

    def __init__(self, gate: _Gate, **details: Any) -> None:
        super().__init__(gate.server, **details)
        self._gate = gate
        self._admitted = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or turn it away; an idle one is closed by aiohttp after `keepalive`."""
        limits = self._gate.limits
        if self._gate.open >= limits.connections:
            log.warning("admin.full", connections=self._gate.open)
            _turn_away(transport)
            self.force_close()
            return
        self._gate.open += 1
        self._admitted = True
        super().connection_made(transport)
        self._patience = asyncio.get_running_loop().call_later(limits.header_timeout, self._lose_patience)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        if self._admitted:
            self._admitted = False
            self._gate.open -= 1
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP as every other error is answered."""
        with telemetry.correlated(telemetry.new_correlation()):
            log.debug("admin.not_http", status=status, remote=request.remote)
            response = Problem(status, "this is not an HTTP request" if status == 400 else "").response()
        response.headers["Server"] = "headwater"  # such an answer passes no middleware
        response.force_close()
        return response

    def _lose_patience(self) -> None:
        if self._request_count == 0:  # counted by aiohttp when a whole head has arrived
            self.force_close()


def _turn_away(transport: asyncio.BaseTransport) -> None:
    if isinstance(transport, asyncio.WriteTransport):
        body = Problem(503, "too many connections").body()
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
            b"Retry-After: 5\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    transport.close()
