"""How long a first login waits: `python -m tests.bench.tenant_sync [--durable] [--runs N]`.

Tenants of four sizes, each run from an empty application: directly, from the wrapper's database and from its
API (served by a process of its own), and through Temporal where there is one (its worker a process, too, the
source the database); then first logins that come together. The limit is a loop by hand that only reads the
same rows and puts them through the same gate. Milliseconds, medians over the runs, the ways in
turns; CPU is this process's. Total is until the database says that the run has ended. Prints one table; take
its figures on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import consumers.crm
from backfill.tenant_sync.api import Access, ApiSource
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.gate import Gate
from backfill.tenant_sync.leases import Leases
from backfill.tenant_sync.routing import Routing
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.source import AFTER, BACKGROUND, ESSENTIAL, Source
from backfill.tenant_sync.temporal.client import TemporalWay
from backfill.tenant_sync.temporal.worker import TemporalWorker, connect
from headwater.config import DatabaseSettings
from headwater.config.seeds import TenantSyncSettings
from headwater.database import Database, Tx
from headwater.testing import running_servers, until
from tests.databases import migrated
from tests.temporal_server import temporal_server
from tests.wrapper_api import KEY

MODULE = "tests.bench.tenant_sync"
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
    """Both databases, the API's address and the settings of Temporal, if there is one."""

    source: Database
    crm: Database
    api: str
    temporal: TenantSyncSettings | None

    async def found(self, size: Size) -> str:
        """A tenant of this size."""
        tenant: str = await self.source.fetchval(FOUND, *size[1:])
        return tenant

    async def empty(self) -> None:
        """The application as it was before any sync."""
        await self.crm.execute(f"TRUNCATE {', '.join(f'crm.{one}' for one in TABLES)}, headwater.ledger")

    def ways(self) -> dict[str, TenantSyncs]:
        """A process's syncs, by way."""
        database = DatabaseSource(self.source, "crm")
        made = {
            "database": TenantSyncs(ways(database, self.crm)),
            "API": TenantSyncs(ways(ApiSource(Access(url=self.api, key=KEY)), self.crm)),
        }
        if (kept := self.temporal) is not None:
            routing = Routing(lambda: kept, TemporalWay(kept))
            made["Temporal"] = TenantSyncs(ways(database, self.crm), routing=routing)
        return made


def ways(source: Source, crm: Database) -> Ways:
    """What runs work with."""
    kept = [consumers.crm.tenants, *consumers.crm.crm.mirrors.values()]
    return Ways(source=source, gate=Gate(crm, "crm", kept), leases=Leases(crm, "bench"))


async def work(settings: TenantSyncSettings, urls: Mapping[str, str]) -> None:
    """Be the worker of Temporal, until killed."""
    limits = DatabaseSettings(pool_max=10, pool_min=2)
    source = DatabaseSource(await Database.open(urls["source"], limits=limits), "crm")
    own = ways(source, await Database.open(urls["crm"], limits=limits))
    await TemporalWorker(await connect(settings), own, settings, drain=1.0).run()


@contextlib.asynccontextmanager
async def beside(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process, for as long as the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def through_temporal(urls: Mapping[str, str]) -> AsyncIterator[TenantSyncSettings | None]:
    """A server and a worker; None where there is no server."""
    async with temporal_server() as server:
        if server is None:
            yield None
            return
        kept = TenantSyncSettings(
            use_temporal=True,
            temporal_enabled=True,
            temporal_address=server.address,
            temporal_workflows="bench",
        )
        async with beside(MODULE, "--work-for", server.address, urls["source"], urls["crm"]):
            await until(TemporalWay(kept).has_workers, within=60)
            yield kept


@contextlib.asynccontextmanager
async def world(*, durable: bool) -> AsyncIterator[World]:
    """Everything on servers of its own."""
    async with (
        running_servers(durable=durable) as servers,
        migrated(servers) as urls,
        through_temporal(urls) as temporal,
        beside("tests.wrapper_api", urls["source"]) as serving,
    ):
        limits = DatabaseSettings(pool_max=10, pool_min=2)
        source = await Database.open(urls["source"], limits=limits)
        crm = await Database.open(urls["crm"], limits=limits)
        try:
            said = await serving.stdout.readline() if serving.stdout else b""
            yield World(source, crm, said.decode().strip(), temporal)
        finally:
            await source.close()
            await crm.close()


class Took(NamedTuple):
    """Seconds until the caller goes on, until all is in, and of CPU."""

    essential: float
    total: float
    busy: float


async def one_login(here: World, syncs: TenantSyncs, size: Size) -> Took:
    """A first login, from nothing to the end of its background."""
    tenant = await here.found(size)
    await here.source.execute("ANALYZE")
    await here.empty()
    at, began, busy = time.time(), time.perf_counter(), time.process_time()
    result = await syncs.ensure_tenant_sync(tenant)
    essential = time.perf_counter() - began
    whole = await syncs.settled(tenant)
    busy = time.process_time() - busy
    if not result.success or result.fallback_used or whole is None or whole.has_failed_collections:
        raise RuntimeError(f"the sync failed: {whole or result}")
    ended = "SELECT extract(epoch FROM completed_at)::float8 FROM crm.tenant_syncs"
    return Took(essential, await here.crm.fetchval(ended) - at, busy)


async def by_hand(here: World, size: Size) -> Took:
    """The same rows read and put through the gate: no lease, no status, nothing that could be missing."""
    tenant = await here.found(size)
    await here.source.execute("ANALYZE")
    await here.empty()
    own = ways(DatabaseSource(here.source, "crm"), here.crm)
    await own.gate.open()
    essential, began, busy = 0.0, time.perf_counter(), time.process_time()
    for some in ((*ESSENTIAL, *AFTER), BACKGROUND):
        async with own.source.reading(tenant, "bench") as reading:
            for one in some:
                async for page in reading.pages(one):
                    await own.gate.store(tenant, one.subject, page.facts, nobody)
        essential = essential or time.perf_counter() - began
    return Took(essential, time.perf_counter() - began, time.process_time() - busy)


async def nobody(_: Tx) -> None:
    """No fence."""


async def together(here: World, syncs: TenantSyncs, tenants: list[str]) -> tuple[float, float, int]:
    """Seconds until all go on, those of the slowest hundredth, and most connections of both databases."""
    await here.empty()
    most, took = 0, []
    names = [one.url.rpartition("/")[2] for one in (here.source, here.crm)]

    async def login(tenant: str) -> None:
        began = time.perf_counter()
        result = await syncs.ensure_tenant_sync(tenant)
        took.append(time.perf_counter() - began)
        if not result.success or result.fallback_used:
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
    return total, sorted(took)[int(len(took) * 0.99) - 1], most


async def of_size(here: World, made: Mapping[str, TenantSyncs], size: Size, runs: int) -> list[str]:
    """Every way's figures, and what Temporal adds."""
    took: dict[str, list[Took]] = {name: [] for name in ("by hand", *made)}
    for _ in range(runs):
        took["by hand"].append(await by_hand(here, size))
        for name, syncs in made.items():
            took[name].append(await one_login(here, syncs, size))
    figures = {
        name: Took(*(statistics.median(column) * 1000 for column in zip(*some, strict=True)))
        for name, some in took.items()
    }
    lines = [
        f"{size.name:24}{name:12}" + "".join(f"{one:12.1f}" for one in of) for name, of in figures.items()
    ]
    if "Temporal" in figures:
        more = (figures["Temporal"][one] - figures["database"][one] for one in range(2))
        lines.append(f"{size.name:24}{'adds':12}" + "".join(f"{one:+12.1f}" for one in more))
    return lines


async def measured(runs: int, *, durable: bool) -> list[str]:
    """The lines of the table."""
    lines = [f"{'tenant':24}{'way':12}{'essential':>12}{'total':>12}{'CPU':>12}   ms"]
    async with world(durable=durable) as here:
        made = here.ways()
        for syncs in made.values():
            await one_login(
                here, syncs, SIZES[0]
            )  # connections, prepared statements: as in a process that runs
        for size in SIZES:
            lines += await of_size(here, made, size, runs)
        seed = SIZES[1]
        for name in [one for one in made if one != "API"]:
            many = [await here.found(seed) for _ in range(100)]
            alone = await here.found(seed)
            for what, tenants in (("100 tenants at once", many), ("100 of one at once", [alone] * 100)):
                total, slowest, most = await together(here, made[name], tenants)
                figures = f"all {total * 1000:.0f}  p99 {slowest * 1000:.0f} ms, {most} connections busy"
                lines.append(f"{what:24}{name:12}{figures}")
        for syncs in made.values():
            await syncs.close()
    return lines


def main() -> None:
    """As the command line asks."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--durable", action="store_true", help="Postgres with fsync.")
    options.add_argument("--work-for", nargs=3, metavar=("TEMPORAL", "SOURCE", "CRM"), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.work_for:
        address, source, crm = asked.work_for
        kept = TenantSyncSettings(temporal_address=address, temporal_workflows="bench")
        asyncio.run(work(kept, {"source": source, "crm": crm}))
    else:
        print("\n".join(asyncio.run(measured(asked.runs, durable=asked.durable))))


if __name__ == "__main__":
    main()
