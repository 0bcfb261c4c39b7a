"""How fast two databases are compared: keys and versions, then content, with and without differences."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import asyncpg

from headwater.bench import limits, usage
from headwater.bench.backfilling import WINDOW, fill, history
from headwater.bench.figures import Figure, figure
from headwater.bench.sizes import Sizes
from headwater.bench.world import SHELF, BenchFailed, World
from headwater.replay.reconcile import Outcome, Reconciler, Wish

MIRROR = """
INSERT INTO goods (good_id, tenant_id, name, price, note)
SELECT (to_char(n, 'FM00000000') || '-0000-4000-9000-000000000000')::uuid, $1, 'good ' || n, n % 100,
       'the note of the good with the number ' || n
  FROM generate_series(1, $2::int) AS n
"""
LEDGER = """
INSERT INTO headwater.ledger (app, tenant, subject, key, version, deleted)
SELECT 'shelf', $1, 'goods', to_char(n, 'FM00000000') || '-0000-4000-9000-000000000000',
       (1::bigint << 48) | n, false
  FROM generate_series(1, $2::int) AS n
"""
DIFFERENT = 100
"""Rows that differ where some do."""
FIRST = f"SELECT ctid FROM goods LIMIT {DIFFERENT}"


async def _mirror(world: World, rows: int) -> None:
    await fill(world, rows)
    await world.empty()
    async with world.sink.transaction() as tx:
        await tx.execute(MIRROR, world.tenant, rows, timeout=600)
        await tx.execute(LEDGER, world.tenant, rows, timeout=600)
    await _patiently(world.sink.url, "VACUUM ANALYZE goods")
    await _patiently(world.sink.url, "VACUUM ANALYZE headwater.ledger")
    await _patiently(world.source.url, "VACUUM ANALYZE goods")


async def _patiently(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _timed(world: World, wish: Wish, *, differing: int = 0) -> tuple[float, Outcome]:
    begun = time.perf_counter()
    report = await Reconciler(history(world, WINDOW)).reconcile(world.tenant, SHELF, wish)
    took = time.perf_counter() - begun
    (outcome,) = report.outcomes
    if sum(outcome.found.kinds.values()) != differing:
        raise BenchFailed(f"{outcome.found.kinds} differ where {differing} rows should")
    return took, outcome


async def _counted(world: World, rows: int) -> float:
    """Rows a second of counting both sides: the least a comparison could read."""
    begun = time.perf_counter()
    await world.source.fetchval("SELECT count(*) FROM goods WHERE tenant_id = $1::text::uuid", world.tenant)
    for table in ("goods WHERE tenant_id = $1::text::uuid", "headwater.ledger WHERE tenant = $1::text"):
        await world.sink.fetchval(f"SELECT count(*) FROM {table}", world.tenant)
    return rows / (time.perf_counter() - begun)


async def reconcile(world: World, sizes: Sizes) -> list[Figure]:
    """Level 1 of databases that agree and of such that do not, level 2 in full and of a sample."""
    rows = sizes.rows
    await _mirror(world, rows)
    quick = [(await _timed(world, Wish()))[0] for _ in range(sizes.rounds)]
    counted = [await _counted(world, rows) for _ in range(sizes.rounds)]
    some = Wish(level=2, sample=rows // 20)
    sampled = [await _timed(world, some) for _ in range(sizes.rounds)]
    paged = await limits.keyset(world)
    full = [(await _timed(world, Wish(level=2)))[0]]
    await _patiently(world.sink.url, f"DELETE FROM goods WHERE ctid = ANY (ARRAY({FIRST}))")
    found = [(await _timed(world, Wish(patience=1.0), differing=DIFFERENT))[0]]
    counting = {"count(*) of both sides": counted}
    reading = {"pages of 1,000 by key, read and dropped": [paged]}
    peak = {"peak_mib": usage.peak(os.getpid())}
    return [
        _figure("level 1, all agree", rows, quick, counting),
        _figure(f"level 1, {DIFFERENT} rows differ and are named", rows, found, counting),
        _figure("level 2, all of the content", rows, full, reading, peak),
        _figure(
            f"level 2, a sample of {sampled[0][1].found.content_compared:,}",
            *(rows, [took for took, _ in sampled], counting),
        ),
    ]


def _figure(
    name: str,
    rows: int,
    seconds: Sequence[float],
    limit: dict[str, list[float]],
    details: dict[str, float | None] | None = None,
) -> Figure:
    beside = {"seconds_per_million": min(seconds) * 1_000_000 / rows, **(details or {})}
    return figure(
        ("reconcile", f"{rows:,} rows, {name}"),
        [rows / one for one in seconds],
        unit="rows/s",
        limits=limit,
        details=beside,
    )
