"""Record histories of tenant syncs from a real Temporal: `python -m tests.system.record_histories`.

Each way a workflow can end, into `tests/histories/`.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import Any

from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.leases import Wish
from backfill.tenant_sync.temporal.client import TemporalWay
from headwater.database import Database
from headwater.publish import Producer
from headwater.testing import running_servers, until
from producers import Producers
from schemas import codec
from tests.databases import migrated
from tests.system.syncing import founded, ways
from tests.system.test_tenant_sync_temporal import Slow, asked, settings, syncing, working
from tests.temporal_server import Temporal, temporal_server

FOLDER = Path(__file__).parents[1] / "histories"


async def keep(temporal: Temporal, tenant: str, name: str) -> None:
    """Write the history of a tenant's workflow once it has ended."""
    client = await temporal.client()
    handle = client.get_workflow_handle(f"tenant-sync:{tenant}")

    async def ended() -> bool:
        about = await handle.describe()
        return about.status is not None and about.status.name != "RUNNING"

    await until(ended, within=60)
    history = json.loads((await handle.fetch_history()).to_json())
    (FOLDER / f"{name}.json").write_text(json.dumps(_scrubbed(history), indent=1) + "\n")


def _scrubbed(part: Any) -> Any:
    """Without what only tells of the machine: who it was, and where its files are."""
    if isinstance(part, list):
        return [_scrubbed(one) for one in part]
    if isinstance(part, str):
        return re.sub(r"\d+@[\w.-]+", "somebody", part)
    if not isinstance(part, dict):
        return part
    fixed = {"stackTrace": ""}
    return {name: fixed.get(name, _scrubbed(one)) for name, one in part.items()}


async def record(temporal: Temporal, source: Database, crm: Database) -> None:
    """All of them."""
    producers = Producers(Producer(codec, source="wrapper"))
    read = DatabaseSource(source, "crm")
    kept = settings(temporal)
    async with working(kept, read, crm), syncing(kept, read, crm) as syncs:
        completed = await founded(source, producers, seed=1)
        await syncs.ensure_tenant_sync(completed)
        await keep(temporal, completed, "completed")
        joined = completed  # there already: the workflow finds nothing to do
        await TemporalWay(kept).essential(asked(joined), timeout=30.0)
        await keep(temporal, joined, "joined")
        missing = str(uuid.uuid4())
        await syncs.ensure_tenant_sync(missing)
        await keep(temporal, missing, "failed")
    kept, slow = settings(temporal), Slow(read)
    async with working(kept, slow, crm):
        taken = await founded(source, producers, seed=2)
        waiting = asyncio.create_task(TemporalWay(kept).essential(asked(taken), timeout=60.0))
        await slow.asked.wait()
        slow.asked.clear()
        leases = ways(read, crm).leases
        lease = await leases.take(taken, "another", Wish(steal=True))
        slow.let.set()
        if lease is None:
            raise AssertionError("the lease could not be taken")
        await leases.let_go(lease)
        await waiting
        await keep(temporal, taken, "superseded")


async def main() -> None:
    """Servers of its own."""
    FOLDER.mkdir(exist_ok=True)
    async with running_servers() as servers, migrated(servers) as urls, temporal_server() as temporal:
        if temporal is None:
            raise SystemExit("no Temporal here: .ci/temporal builds one")
        source, crm = await Database.open(urls["source"]), await Database.open(urls["crm"])
        await record(temporal, source, crm)
        await asyncio.gather(source.close(), crm.close())


if __name__ == "__main__":
    asyncio.run(main())
