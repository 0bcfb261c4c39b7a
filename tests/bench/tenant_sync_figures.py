"""How long the figures of tenant syncs take: `python -m tests.bench.tenant_sync_figures [--runs N]`.

10,000 tenants with all their collections, and 1,000,000 runs over the 30 days that they are kept. For each
figure the best and the median of several readings, in milliseconds, and what PostgreSQL says of pruning.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from backfill.tenant_sync.health import HOUR
from backfill.tenant_sync.statistics import DAY, Statistics
from backfill.tenant_sync.upkeep import Upkeep
from headwater.database import Database
from headwater.testing import running_servers
from tests.databases import migrated

TENANTS = """
    INSERT INTO crm.tenant_syncs (tenant_id, status, phase, token, correlation_id, started_at, essential_at,
                                  completed_at)
    SELECT md5(one::text)::uuid, CASE WHEN one % 50 = 0 THEN 'failed' ELSE 'completed' END, 'completed', $2,
           'sync-' || one, now() - one * interval '1 second', now() - one * interval '1 second', now()
      FROM generate_series(1, $1::int) AS one"""
COLLECTIONS = """
    INSERT INTO crm.tenant_sync_collections (tenant_id, name, status, fetched, stored, seconds)
    SELECT tenant_id, name, CASE WHEN random() < 0.01 THEN 'failed' ELSE 'completed' END, 100, 100, random()
      FROM crm.tenant_syncs, unnest('{tenants,organizations,roles,users,roleAssignments,employeeAssignments,
                                      creditConfigs,entityCredits}'::text[]) AS name"""
RUNS = """
    INSERT INTO crm.tenant_sync_runs (tenant_id, token, correlation_id, sync_method, requested_method,
                                      fallback_used, triggered_by, started_at, essential_at, ended_at, status,
                                      error_type, collections)
    SELECT md5((1 + one % $1::int)::text)::uuid, 1 + one / $1::int, 'sync-' || one,
           CASE WHEN one % 3 = 0 THEN 'temporal' ELSE 'direct' END, 'temporal', one % 30 = 1, 'login',
           at, at + interval '1 second' * random(), at + interval '3 seconds' * (1 + random()),
           CASE WHEN one % 40 = 0 THEN 'failed' ELSE 'completed' END,
           CASE WHEN one % 40 = 0 THEN 'NETWORK_ERROR' END,
           (SELECT jsonb_object_agg(name, '{"status": "completed", "fetched": 9, "seconds": 0.1}'::jsonb)
              FROM unnest('{tenants,organizations,roles,users,roleAssignments,employeeAssignments,
                            creditConfigs,entityCredits}'::text[]) AS name)
      FROM generate_series(0, $2::int - 1) AS one,
           LATERAL (SELECT now() - interval '30 days' * (1 - one / $2::float8) AS at) AS begun"""


async def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7)
    asked = parser.parse_args()
    async with running_servers() as servers, migrated(servers) as urls:
        database = await Database.open(urls["crm"])
        try:
            await fill(database, asked.tenants, asked.runs)
            await measure(database, asked.times)
        finally:
            await database.close()


async def fill(database: Database, tenants: int, runs: int) -> None:
    """So many tenants, and so many runs of theirs."""
    async with database.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(TENANTS, tenants, runs // tenants, timeout=900)
        await connection.execute(COLLECTIONS, timeout=900)
        await connection.execute(RUNS, tenants, runs, timeout=900)
        await connection.execute("VACUUM ANALYZE", timeout=900)


async def measure(database: Database, times: int) -> None:
    """Each figure."""
    figures, upkeep = Statistics(database), Upkeep(database)
    some = [str(row["tenant_id"]) for row in await database.fetch("SELECT * FROM crm.tenant_syncs LIMIT 20")]
    asked: dict[str, Callable[[], Awaitable[Any]]] = {
        "health (and every metric)": figures.read,
        "statistics: how all stand": figures.standing,
        "statistics: the last day": lambda: figures.lately(DAY),
        "method-stats: the last day": lambda: figures.methods(DAY),
        "metrics: collections, the last day": lambda: figures.collections(DAY),
        "metrics: collections, an hour": lambda: figures.collections(HOUR),
        "method-stats: 7 days": lambda: figures.methods(7 * DAY),
        "metrics: collections, 7 days": lambda: figures.collections(7 * DAY),
        "all": lambda: figures.listed(None, None),
        "all?status=failed": lambda: figures.listed("failed", None),
        "all of a key with 20 tenants": lambda: figures.listed(None, some),
        "status of one: audit trail": lambda: figures.audited(some[0]),
        "clean-up: nothing is stuck": upkeep.stuck,
        "prune: nothing is old": lambda: upkeep.prune(kept=31 * DAY),
    }
    print(f"{'figure':38} {'best':>9} {'median':>9} ms")
    for name, ask in asked.items():
        spent = []
        for _ in range(times):
            began = time.perf_counter()
            await ask()
            spent.append((time.perf_counter() - began) * 1000)
        print(f"{name:38} {min(spent):9.1f} {statistics.median(spent):9.1f}")
    began = time.perf_counter()
    runs, _ = await upkeep.prune(kept=29 * DAY)
    print(f"prune of {runs} runs: {(time.perf_counter() - began) * 1000:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
