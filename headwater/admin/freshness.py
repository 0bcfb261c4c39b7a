"""Freshness over HTTP: how far an application is behind, and whether it has applied what was said."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from headwater.admin.auth import EVERY, policy, principal, require
from headwater.admin.body import reply
from headwater.admin.problem import Problem
from headwater.broker import Broker
from headwater.database import Database
from headwater.delivery.freshness import Standing, standings
from headwater.delivery.waiting import wait_applied
from headwater.errors import DeclarationError, EventParked, NotApplied
from headwater.publish import Receipt
from headwater.topology import Catalogue

PREFIX = "/admin/applications"
LONGEST = 30.0
"""Seconds that one request may wait: it holds a connection as long."""


class Freshness:
    """Reads both servers of the applications that are declared."""

    def __init__(self, broker: Broker, catalogue: Catalogue, sinks: Mapping[str, Database]) -> None:
        """`sinks`: databases by application; one that is missing can not be waited for."""
        self._broker = broker
        self._catalogue = catalogue
        self._sinks = sinks

    def application(self) -> web.Application:
        """To be mounted at `PREFIX`."""
        app = web.Application()
        app.router.add_get("/{app}/freshness", self.lag)
        app.router.add_get("/{app}/applied/{token}", self.applied)
        return app

    @policy("read")
    async def lag(self, request: web.Request) -> web.Response:
        """How far behind: a number always, 503 when Redis is away.

        A key for some tenants learns no counts: they are of all tenants.
        """
        name = self._name(request)
        told = summary(name, await standings(self._broker, self._catalogue, name))
        return reply(told if principal(request).sees(EVERY) else without_counts(told))

    @policy("read")
    async def applied(self, request: web.Request) -> web.Response:
        """Whether what a receipt is for was applied; waits as long as it is asked to."""
        name, receipt = self._name(request), Receipt.parse(request.match_info["token"])
        require(request, "read", receipt.tenant)
        if name not in self._sinks:
            raise Problem(404, f"no database is named for {name!r}")
        try:
            await wait_applied(self._sinks[name], name, receipt, timeout=_patience(request))
        except NotApplied:
            return reply({"applied": False})
        except EventParked as parked:
            raise Problem(409, str(parked), letter=parked.letter, reason=parked.reason) from None
        return reply({"applied": True})

    def _name(self, request: web.Request) -> str:
        try:
            return self._catalogue.group(request.match_info["app"]).app
        except DeclarationError:
            raise Problem(404) from None


def _patience(request: web.Request) -> float:
    try:
        seconds = float(request.query.get("wait", "0"))
    except ValueError:
        raise Problem(400, "wait is a number of seconds", field="wait") from None
    if not 0 <= seconds <= LONGEST:
        raise Problem(400, f"wait is at least 0 and at most {LONGEST:g} seconds", field="wait")
    return max(seconds, 0.1)  # one question takes a moment, also for who does not want to wait


def without_counts(told: Mapping[str, object]) -> dict[str, object]:
    """What says nothing of how much others do. Pure."""
    return {name: value for name, value in told.items() if name not in {"unapplied", "exact", "streams"}}


def summary(app: str, streams: list[Standing]) -> dict[str, object]:
    """An application as its worst stream. Pure."""
    return {
        "application": app,
        "group": streams[0].group if streams else "",
        "oldest": max((one.oldest for one in streams), default=0.0),
        "unapplied": sum(one.entries + one.pending for one in streams),
        "exact": all(one.exact for one in streams),
        "living": max((one.living for one in streams), default=0),
        "missing": sum(one.missing for one in streams),
        "streams": streams,
    }
