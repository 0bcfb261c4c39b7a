"""The tenant sync's endpoints beside others, and what runs behind them: clean-up and figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg
from aiohttp import web

from backfill.tenant_sync.endpoints import PREFIX, Endpoints, Parts
from backfill.tenant_sync.figures import Figures
from backfill.tenant_sync.leases import Leases
from backfill.tenant_sync.statistics import Statistics
from backfill.tenant_sync.system import syncing
from backfill.tenant_sync.upkeep import Upkeep
from consumers.crm import crm
from headwater import telemetry
from headwater.broker.lag import Lag, lags
from headwater.cli.wiring import Wiring
from headwater.errors import ServerUnavailable
from headwater.patience import pause

log = telemetry.logger(__name__)
LOOK = 15.0
"""Seconds between two looks at the figures."""


async def mounts(wiring: Wiring) -> Mapping[str, web.Application]:
    """The endpoints by the prefix of their paths; nothing where the CRM's database is not named."""
    if crm.app not in wiring.settings.apps:
        return {}
    return {PREFIX: application(wiring, Figures(wiring.metrics.registry))}


def application(wiring: Wiring, figures: Figures) -> web.Application:
    """The endpoints; syncs, clean-up and figures live as long as they are served."""
    app = web.Application()
    serving = Serving(wiring, figures)
    Endpoints(serving.parts).add_to(app)
    app.cleanup_ctx.append(serving.living)
    return app


class Serving:
    """What one server has of the tenant sync."""

    def __init__(self, wiring: Wiring, figures: Figures) -> None:
        self._wiring, self._figures = wiring, figures
        self._found: Parts | None = None
        self._stopping = asyncio.Event()

    def parts(self) -> Parts:
        """What endpoints work with."""
        if self._found is None:
            raise RuntimeError("the server has not started")
        return self._found

    async def living(self, _: web.Application) -> AsyncIterator[None]:
        """Open, run what runs behind, close."""
        async with syncing(self._wiring) as system:
            upkeep = Upkeep(system.database)
            self._found = Parts(
                syncs=system.syncs,
                leases=Leases(system.database, self._wiring.name),
                statistics=Statistics(system.database),
                upkeep=upkeep,
                streams=self._streams,
            )
            loops = [
                asyncio.create_task(upkeep.run(), name="tenant sync upkeep"),
                asyncio.create_task(self._look(), name="tenant sync figures"),
            ]
            try:
                yield
            finally:
                upkeep.stop()
                self._stopping.set()
                for loop in loops:
                    loop.cancel()
                await asyncio.wait(loops)

    async def _look(self) -> None:
        while True:
            try:
                self._figures.show(await self.parts().statistics.read())
            except (ServerUnavailable, asyncpg.PostgresError) as error:
                self._figures.show(None)
                log.warning("tenant_sync.not_counted", reason=telemetry.safe_text(error))
            if await pause(self._stopping, LOOK):
                return

    async def _streams(self) -> Sequence[Lag]:
        catalogue = self._wiring.project.catalogue
        group = catalogue.group(crm.app).name
        where = [(key, group) for key in catalogue.keys_of(crm.app)]
        return [one for one in await lags(self._wiring.broker, where) if one is not None]
