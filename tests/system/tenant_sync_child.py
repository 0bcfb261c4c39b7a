"""A process that a test can kill, syncing directly: `python tenant_sync_child.py SOURCE CRM TENANT STALL`.

It says `stalled` when it comes to the collection STALL, and goes no further; at the end it says how it ended.
"""

from __future__ import annotations

import asyncio
import os
import sys

from headwater.database import Database
from tests.system.syncing import syncing
from tests.system.temporal_child import Stalling

LEASE = 3.0


async def main(source: str, crm: str, tenant: str, stall: str) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 0)
    read = Stalling(await Database.open(source), "crm")
    read.stall = stall
    name = f"child {os.getpid()}"
    async with syncing(read, await Database.open(crm), lease=LEASE, holder=name) as syncs:
        result = await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        print("joined" if result.joined else "made" if result.success else result.error_type, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
