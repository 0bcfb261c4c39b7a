"""A process's tenant syncs, wired from its settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from backfill.tenant_sync.api import Access, ApiSource
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.errors import TemporalAway
from backfill.tenant_sync.gate import Gate
from backfill.tenant_sync.leases import Leases
from backfill.tenant_sync.routing import Routing, Way
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.source import Source
from backfill.tenant_sync.temporal.shapes import Asked
from consumers.crm import crm, tenants
from headwater.cli.connected import opened as project_opened
from headwater.cli.invocation import Invocation
from headwater.cli.wiring import Wiring
from headwater.config import Settings
from headwater.config.seeds import TenantSyncSettings
from headwater.database import Database
from headwater.database.overrides import Live
from headwater.errors import SettingsError

ROOM, BEHIND = 4, 4
"""Tenants read at the same time, and connections that are left for what goes on behind them."""


class System(NamedTuple):
    """What one process has."""

    database: Database
    """The CRM's."""
    syncs: TenantSyncs


@contextlib.asynccontextmanager
async def opened(invocation: Invocation) -> AsyncIterator[System]:
    """The syncs under the settings in force, closed at the end. Raises SettingsError, DatabaseUnavailable."""
    async with project_opened(invocation) as wiring, syncing(wiring) as system:
        yield system


@contextlib.asynccontextmanager
async def syncing(wiring: Wiring) -> AsyncIterator[System]:
    """The same on connections that are there already."""
    ways = await ways_of(wiring)
    database = wiring.sinks[crm.app]
    room = max(1, min(ROOM, wiring.settings.database.pool_max - BEHIND))
    kept = wiring.settings.tenant_sync
    live = await Live.open(database, wiring.settings)
    routing = Routing(lambda: live.now().tenant_sync, OnDemand(kept))
    syncs = TenantSyncs(ways, timeout=kept.timeout, at_once=room, routing=routing)
    looking = asyncio.create_task(live.run(), name="overrides")
    try:
        yield System(database, syncs)
    finally:
        live.stop()
        await syncs.close()
        await looking


class OnDemand:
    """The Temporal way, loaded and connected by the first sync that takes it."""

    def __init__(self, settings: TenantSyncSettings) -> None:
        self._settings = settings
        self._way: Way | None = None

    async def essential(self, asked: Asked, *, timeout: float) -> str | None:
        """As TemporalWay does. Raises TemporalAway also where temporalio is not installed."""
        if self._way is None:
            try:
                from backfill.tenant_sync.temporal.client import TemporalWay  # noqa: PLC0415 (an extra)
            except ModuleNotFoundError as error:
                raise TemporalAway(
                    f"{error.name} is not installed", hint="pip install headwater[temporal]"
                ) from error
            self._way = TemporalWay(self._settings)
        return await self._way.essential(asked, timeout=timeout)

    async def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._way is not None:
            await self._way.close()


@contextlib.asynccontextmanager
async def temporal_worker(wiring: Wiring) -> AsyncIterator[Any]:
    """What `headwater worker --temporal` runs: something with `run` and `stop`.

    Raises SettingsError: temporalio is not installed; TemporalAway, DatabaseUnavailable.
    """
    try:
        from backfill.tenant_sync.temporal import worker  # noqa: PLC0415 (an extra of its own)
    except ModuleNotFoundError as error:
        hint = "pip install headwater[temporal]"
        raise SettingsError(f"{error.name} is not installed", hint=hint) from error
    settings = wiring.settings.tenant_sync
    ways = await ways_of(wiring)
    client = await worker.connect(settings)
    yield worker.TemporalWorker(client, ways, settings, drain=wiring.settings.delivery.drain_timeout)


async def ways_of(wiring: Wiring) -> Ways:
    """What runs of this process work with. Raises SettingsError, DatabaseUnavailable."""
    wiring.app_url(crm.app)
    database = (await wiring.open_sinks([crm.app]))[crm.app]
    return Ways(
        source=await source_of(wiring),
        gate=Gate(database, crm.app, [tenants, *crm.mirrors.values()]),
        leases=Leases(database, wiring.name),
    )


async def source_of(wiring: Wiring) -> Source:
    """The wrapper's API where it is named, else its database. Raises SettingsError, DatabaseUnavailable."""
    if access := access_of(wiring.settings):
        return ApiSource(access)
    return DatabaseSource(await wiring.open_source(), crm.app, chunk=wiring.settings.backfill.chunk)


def access_of(settings: Settings) -> Access | None:
    """How the wrapper's API is reached; None where it is not named. Pure."""
    kept = settings.tenant_sync
    if kept.api_url is None:
        return None
    key = kept.api_key.reveal() if kept.api_key else ""
    return Access(url=kept.api_url.reveal().rstrip("/"), key=key, timeout=kept.api_timeout)
