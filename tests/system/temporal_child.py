"""A Temporal worker that a test can kill: `python temporal_child.py ADDRESS TASKS SOURCE CRM STALL`.

It says `stalled` when it comes to the collection STALL, and goes no further. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator

from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.source import Collection, Page, Reading
from backfill.tenant_sync.temporal.worker import TemporalWorker, connect
from headwater.config.seeds import TenantSyncSettings
from headwater.database import Database
from tests.system.syncing import ways


class Stalling(DatabaseSource):
    """Stands still at a collection."""

    stall = ""

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Reading]:  # type: ignore[override]
        async with super().reading(tenant, correlation) as reading:
            yield Stalled(reading, self.stall)


class Stalled:
    """A reading that does."""

    steady = True

    def __init__(self, reading: Reading, stall: str) -> None:
        self._reading, self._stall = reading, stall

    async def pages(self, collection: Collection) -> AsyncGenerator[Page, None]:
        if collection.name == self._stall:
            print("stalled", flush=True)
            await asyncio.Event().wait()
        async for page in self._reading.pages(collection):
            yield page

    async def count(self, collection: Collection) -> int:
        return await self._reading.count(collection)


async def main(address: str, tasks: str, source: str, crm: str, stall: str) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 0)
    kept = TenantSyncSettings(temporal_address=address, temporal_workflows=tasks)
    read = Stalling(await Database.open(source), "crm")
    read.stall = stall
    own = ways(read, await Database.open(crm), holder=f"child {os.getpid()}")
    await TemporalWorker(await connect(kept), own, kept, drain=1.0).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
