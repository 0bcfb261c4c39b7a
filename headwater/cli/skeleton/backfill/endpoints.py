"""The request that enables an application, which starts its backfill. Mounted at `/admin`."""

from aiohttp import web
from headwater import History, Producer
from headwater.admin import policy, principal, reply
from headwater.database import load


def application(history: History, producer: Producer) -> web.Application:
    """The project's own endpoints."""
    app = web.Application()
    app.router.add_post("/tenants/{tenant}/applications/{app}/enable", Endpoints(history).enable)
    return app


class Endpoints:
    """One method a route; each says what a key must be allowed."""

    def __init__(self, history: History) -> None:
        self._history = history

    @policy("write", tenant="tenant")
    async def enable(self, request: web.Request) -> web.Response:
        """Switch and job commit together: no moment has one without the other."""
        tenant, app = request.match_info["tenant"], request.match_info["app"]
        about = {
            "asked_by": principal(request).id,
            "reason": "application enabled",
            "delay": self._history.ways.settle,
        }
        async with self._history.ways.source.transaction() as tx:
            new = await tx.fetchval(load(__file__, "enable"), tenant, app)
            job = await self._history.start(tx, tenant, app, {}, about) if new else None
        return reply({"tenant": tenant, "application": app, "job": job.id if job else None}, 202)
