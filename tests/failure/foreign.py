"""What a foreign group lacks outlives another application's large backfill, and the trimming beside it.

On demand at any size: `python -m tests.failure.foreign --entries 1000000`; it prints what it found as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from headwater.broker import Broker, Entry, provision
from headwater.database.migrate import APP, SOURCE
from headwater.retention import Ground, Keep, Leases, trim
from headwater.testing import controls, running_servers, until
from tests.engine.conftest import Shop, Stock, opened
from tests.engine.entries import GOODS
from tests.engine.test_backfill import asked, runner
from tests.failure.claims import watched

LIVE, HELD = 40, 15
FOREIGN = "foreign"
LEASES = Leases(3600.0, 3600.0)
PLENTY = """
INSERT INTO goods (good_id, tenant_id, name)
SELECT (to_char(n, 'FM00000000') || '-0000-4000-9000-000000000000')::uuid, $1, 'good ' || n
  FROM generate_series($2::int, $3::int) AS n
"""
AT_ONCE = 5_000
"""Rows of one insert: each takes a lock for its key, to the end of its transaction."""


async def survived(shop: Shop, entries: int, *, within: float = 120.0) -> dict[str, Any]:
    """Live entries of a foreign group, so many historical ones of another, and trims all along; the figures.

    Raises AssertionError where a live entry is gone, or an answer about the application came early.
    """
    key = shop.key(GOODS)
    await provision.apply(shop.broker, shop.catalogue)
    await shop.broker.create_group(key, FOREIGN)
    reader = Broker(shop.redis_url)  # the shop's own blocks in its worker's reads
    relay = shop.start(shop.relay())
    await shop.enable()
    for number in range(LIVE):
        await shop.put(f"live {number}")
    live = list(await until(lambda: _said(shop)))
    held = await reader.read(FOREIGN, "slow", [key], count=HELD, block=0.01)
    await shop.stop(relay)
    for first in range(1, entries + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, entries)
        await shop.source.execute(PLENTY, shop.tenant, first, last)
    begun = time.perf_counter()
    trims, removed = await _filled(shop, entries, within=within)
    took = time.perf_counter() - begun
    bodies = await shop.broker.bodies(key, [one.id for one in held])
    assert [one.fields for one in bodies] == [one.fields for one in live[:HELD]]
    assert [one.fields for one in await _unread(reader, key, LIVE - HELD)] == [
        one.fields for one in live[HELD:]
    ]
    length = await shop.broker.execute("XLEN", key)
    assert length >= LIVE + entries
    await reader.acknowledge(FOREIGN, {key: [one.id for one in live]})
    freed = await _trimmed(shop)
    await reader.close()
    return {
        "entries": entries,
        "live_kept": LIVE,
        "seconds": round(took, 1),
        "trims_meanwhile": trims,
        "removed_meanwhile": removed,
        "removed_when_acknowledged": freed,
    }


async def _said(shop: Shop) -> Sequence[Entry]:
    found = await shop.broker.range(shop.key(GOODS), count=LIVE)
    return found if len(found) == LIVE else ()


async def _unread(reader: Broker, key: str, count: int) -> Sequence[Entry]:
    return await reader.read(FOREIGN, "slow", [key], count=count, block=0.01)


async def _filled(shop: Shop, entries: int, *, within: float) -> tuple[int, int]:
    """Fill the application to the end, and trim all the while: how often, and how many entries went."""
    trims = removed = 0

    async def complete() -> bool:
        count = "SELECT count(*) FROM goods WHERE tenant_id = $1"
        return bool(await shop.sink.fetchval(count, shop.tenant) == LIVE + entries)

    shop.start(shop.worker())
    shop.start(runner(shop))
    job = await asked(shop)

    async def ended() -> bool:
        nonlocal trims, removed
        removed += await _trimmed(shop)
        trims += 1
        state = "SELECT state FROM headwater.job WHERE id::text = $1::text"
        return bool(await shop.source.fetchval(state, job.id) == "verified")

    async with watched(shop, complete, every=entries / 100_000) as claims:
        await until(ended, within=within)
    assert (claims.early, bool(claims.agreed), await complete()) == ([], True, True)
    return trims, removed


async def _trimmed(shop: Shop) -> int:
    """Trim to nothing, as far as groups allow; how many entries went."""
    ground = Ground(
        broker=shop.broker, catalogue=shop.catalogue, source=shop.source, sinks={"shelf": shop.sink}
    )
    keeps = dict.fromkeys(shop.catalogue.streams, Keep(seconds=0.0))
    done = await trim(ground, keeps, LEASES, only=[shop.key(GOODS)])
    assert [one.lost for one in done.streams] == [{}]
    return sum(one.removed for one in done.streams)


async def main(entries: int) -> None:
    """On servers of its own."""
    async with running_servers() as servers, contextlib.AsyncExitStack() as stack:
        source = Stock(servers, SOURCE, controls.SOURCE_TABLES)
        sink = Stock(servers, APP, controls.SINK_TABLES)
        for stock in (source, sink):
            await stock.open(stack)
        async with opened((source, sink), servers.redis_url) as shop:
            figures = await survived(shop, entries, within=3600.0)
            used = await shop.broker.execute("INFO", "memory")
        peak = next(
            line.split(b":")[1] for line in used.splitlines() if line.startswith(b"used_memory_peak:")
        )
    sys.stdout.write(json.dumps({**figures, "redis_peak_mib": int(peak) >> 20}) + "\n")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asked_for = argparse.ArgumentParser(description=__doc__)
    asked_for.add_argument("--entries", type=int, default=1_000_000)
    asyncio.run(main(asked_for.parse_args().entries))
