"""How long a first login waits: `python -m tests.bench.tenant_sync [--durable] [--runs N]`.

Tenants of four sizes, from the wrapper's database and from its API (served by a process of its own), each run
from an empty application; then first logins that come together. Milliseconds, medians over the runs; CPU is
this process's. Prints one table; take its figures on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import consumers.crm
from backfill.tenant_sync.api import Access, ApiSource
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.gate import Gate
from backfill.tenant_sync.leases import Leases
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.source import Source
from headwater.config import DatabaseSettings
from headwater.database import Database
from headwater.testing import running_servers
from tests.databases import migrated
from tests.wrapper_api import KEY

TABLES = (
    *("tenants", "organizations", "roles", "users", "role_assignments", "assignments", "credits"),
    *("credit_configs", "tenant_syncs", "tenant_sync_collections", "tenant_sync_runs"),
)


class Size(NamedTuple):
    """How large a tenant is."""

    name: str
    organizations: int
    roles: int
    users: int
    credits: int


SIZES = (
    Size("10 users", 5, 3, 10, 5),
    Size("the seed's: 100 users", 20, 10, 100, 20),
    Size("500 users", 50, 20, 500, 50),
    Size("5,000 users", 200, 50, 5000, 200),
)
FOUND = """
WITH made AS (
    INSERT INTO tenants (tenant_id, company_name, subdomain, admin_email)
    SELECT one, 'Acme', 't' || substr(one::text, 1, 18), 'a@b.example' FROM gen_random_uuid() AS one
    RETURNING tenant_id
), orgs AS (
    INSERT INTO entities (entity_id, tenant_id, entity_type, entity_level, entity_name)
    SELECT gen_random_uuid(), tenant_id, 'organization', 1 + n / 5, 'Organization ' || n
      FROM made, generate_series(1, $1::int) AS n RETURNING entity_id
), roles AS (
    INSERT INTO custom_roles (role_id, tenant_id, role_name, permissions)
    SELECT gen_random_uuid(), tenant_id, 'Role ' || n, '["crm.leads.read", "crm.leads.create"]'
      FROM made, generate_series(1, $2::int) AS n RETURNING role_id
), people AS (
    INSERT INTO tenant_users (user_id, tenant_id, email, name, first_name, last_name)
    SELECT gen_random_uuid(), tenant_id, 'p' || n || '@people.example', 'Person ' || n, 'Person', n::text
      FROM made, generate_series(1, $3::int) AS n RETURNING user_id
), prices AS (
    INSERT INTO credit_configurations (config_id, tenant_id, operation_code, credit_cost)
    SELECT gen_random_uuid(), tenant_id, 'crm.operation.' || n, 1.5
      FROM made, generate_series(1, $4::int) AS n
), credits AS (
    INSERT INTO credit_allocations (allocation_id, tenant_id, source_entity_id, target_application,
                                    allocated_credits, available_credits)
    SELECT gen_random_uuid(), tenant_id, entity_id, 'crm', 100, 100
      FROM made, (SELECT entity_id FROM orgs LIMIT $4) AS given
), grants AS (
    INSERT INTO user_role_assignments (id, tenant_id, user_id, role_id, organization_id)
    SELECT gen_random_uuid(), tenant_id, user_id, (SELECT role_id FROM roles LIMIT 1),
           (SELECT entity_id FROM orgs LIMIT 1) FROM made, people
), belonging AS (
    INSERT INTO organization_memberships (membership_id, user_id, tenant_id, entity_id)
    SELECT gen_random_uuid(), user_id, tenant_id, (SELECT entity_id FROM orgs LIMIT 1) FROM made, people
)
SELECT tenant_id::text FROM made"""


class World(NamedTuple):
    """Both databases, and the API's address."""

    source: Database
    crm: Database
    api: str

    async def found(self, size: Size) -> str:
        """A tenant of this size."""
        tenant: str = await self.source.fetchval(FOUND, *size[1:])
        return tenant

    async def empty(self) -> None:
        """The application as it was before any sync."""
        await self.crm.execute(f"TRUNCATE {', '.join(f'crm.{one}' for one in TABLES)}, headwater.ledger")

    def syncs(self, source: Source) -> TenantSyncs:
        """A process's."""
        kept = [consumers.crm.tenants, *consumers.crm.crm.mirrors.values()]
        ways = Ways(source=source, gate=Gate(self.crm, "crm", kept), leases=Leases(self.crm, "bench"))
        return TenantSyncs(ways)

    def sources(self) -> dict[str, Source]:
        """By name."""
        return {
            "database": DatabaseSource(self.source, "crm"),
            "API": ApiSource(Access(url=self.api, key=KEY)),
        }


@contextlib.asynccontextmanager
async def world(*, durable: bool) -> AsyncIterator[World]:
    """Everything on servers of its own."""
    async with running_servers(durable=durable) as servers, migrated(servers) as urls:
        limits = DatabaseSettings(pool_max=10, pool_min=2)
        source = await Database.open(urls["source"], limits=limits)
        crm = await Database.open(urls["crm"], limits=limits)
        serving = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.wrapper_api", urls["source"]), stdout=asyncio.subprocess.PIPE
        )
        try:
            said = await serving.stdout.readline() if serving.stdout else b""
            yield World(source, crm, said.decode().strip())
        finally:
            serving.kill()
            await serving.wait()
            await source.close()
            await crm.close()


async def one_login(here: World, source: Source, size: Size) -> tuple[float, float, float]:
    """Seconds until the caller goes on, until all is in, and of CPU."""
    tenant = await here.found(size)
    await here.source.execute("ANALYZE")
    await here.empty()
    syncs = here.syncs(source)
    began, busy = time.perf_counter(), time.process_time()
    result = await syncs.ensure_tenant_sync(tenant)
    essential = time.perf_counter() - began
    whole = await syncs.settled(tenant)
    total, busy = time.perf_counter() - began, time.process_time() - busy
    await syncs.close()
    if not result.success or whole is None or whole.has_failed_collections:
        raise RuntimeError(f"the sync failed: {whole or result}")
    return essential, total, busy


async def together(here: World, tenants: list[str]) -> tuple[float, float, int]:
    """Seconds until all go on, those of the slowest hundredth, and most connections of both databases."""
    await here.empty()
    syncs, most, took = here.syncs(here.sources()["database"]), 0, []
    names = [one.url.rpartition("/")[2] for one in (here.source, here.crm)]

    async def login(tenant: str) -> None:
        began = time.perf_counter()
        result = await syncs.ensure_tenant_sync(tenant)
        took.append(time.perf_counter() - began)
        if not result.success:
            raise RuntimeError(f"the sync failed: {result}")

    async def watch() -> None:
        nonlocal most
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY ($1::text[]) AND state <> 'idle'"
        while True:
            most = max(most, await here.crm.fetchval(count, names) - 1)
            await asyncio.sleep(0.02)

    watching, began = asyncio.create_task(watch()), time.perf_counter()
    await asyncio.gather(*map(login, tenants))
    total = time.perf_counter() - began
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    for tenant in set(tenants):
        await syncs.settled(tenant)
    await syncs.close()
    return total, sorted(took)[int(len(took) * 0.99) - 1], most


async def measured(runs: int, *, durable: bool) -> list[str]:
    """The lines of the table."""
    lines = [f"{'tenant':24}{'source':12}{'essential':>12}{'total':>10}{'CPU':>10}   ms"]
    async with world(durable=durable) as here:
        for size in SIZES:
            for name, source in here.sources().items():
                took = [await one_login(here, source, size) for _ in range(runs)]
                figures = [statistics.median(column) * 1000 for column in zip(*took, strict=True)]
                lines.append(f"{size.name:24}{name:12}{figures[0]:12.1f}{figures[1]:10.1f}{figures[2]:10.1f}")
        seed = SIZES[1]
        many = [await here.found(seed) for _ in range(100)]
        for what, tenants in (("100 tenants at once", many), ("100 of one at once", [many[0]] * 100)):
            total, slowest, most = await together(here, tenants)
            lines.append(
                f"{what:36}all {total * 1000:.0f}  p99 {slowest * 1000:.0f} ms, {most} connections busy"
            )
    return lines


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--durable", action="store_true", help="Postgres with fsync.")
    asked = options.parse_args()
    print("\n".join(asyncio.run(measured(asked.runs, durable=asked.durable))))
