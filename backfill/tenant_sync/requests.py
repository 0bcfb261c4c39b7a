"""Syncs that nobody waits for: the stream asked for them, a process left them, or they failed and are due."""

from __future__ import annotations

import asyncio

from backfill.tenant_sync.service import TenantSyncs
from headwater import telemetry
from headwater.database import Database, load
from headwater.errors import ServerUnavailable
from headwater.patience import pause

log = telemetry.logger(__name__)
AT_ONCE = 4
"""Tenants that one process syncs at the same time."""


class Requests:
    """Makes what is due, until stopped. Any number of processes may."""

    def __init__(self, database: Database, syncs: TenantSyncs) -> None:
        self._database = database
        self._syncs = syncs
        self._stopping = asyncio.Event()
        self.made = 0
        """How many were made, well or not."""

    def stop(self) -> None:
        """Begin no further one. Idempotent."""
        self._stopping.set()

    async def run(self, *, poll: float = 1.0) -> None:
        """Look every `poll` seconds; an outage only delays."""
        while not self._stopping.is_set():
            try:
                found = await self.one_look()
            except ServerUnavailable as error:
                log.warning("tenant_sync.waiting", error=str(error))
                found = 0
            if not found:
                await pause(self._stopping, poll)

    async def one_look(self) -> int:
        """Make what is due now, to its end; how many there were. Raises DatabaseUnavailable."""
        rows = await self._database.fetch(load(__file__, "due"), AT_ONCE)
        await asyncio.gather(*(self._make(row["tenant"], row["asked"]) for row in rows))
        self.made += len(rows)
        return len(rows)

    async def _make(self, tenant: str, asked: bool) -> None:
        by = "stream" if asked else "sweep"
        await self._syncs.ensure_tenant_sync(tenant, force=asked, triggered_by=by)
        await self._syncs.settled(tenant)
