"""Pieces of a tenant sync on real servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

import consumers.crm
from backfill import Story
from backfill.tenant_sync.api import Access, ApiSource
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.gate import Gate
from backfill.tenant_sync.leases import Leases
from backfill.tenant_sync.retrying import Patience
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.source import Source
from headwater.database import Database
from headwater.delivery.consumer import Upsert
from producers import Producers
from tests.wrapper_api import KEY, USER_TOKEN, WrapperApi

SOON = Patience(first=0.01, jitter=0.0)


def kept() -> list[Upsert]:
    """Where the CRM keeps what is synced."""
    return [consumers.crm.tenants, *consumers.crm.crm.mirrors.values()]


def over(api: WrapperApi, **about: object) -> ApiSource:
    """The API as a source."""
    access = Access(url=api.url, token=USER_TOKEN, key=KEY, patience=SOON)
    return ApiSource(msgspec.structs.replace(access, **about))


def ways(source: Source, crm: Database, *, lease: float = 30.0, holder: str = "test") -> Ways:
    """What a run works with."""
    leases = Leases(crm, holder, seconds=lease)
    return Ways(source=source, gate=Gate(crm, "crm", kept()), leases=leases, patience=SOON)


@contextlib.asynccontextmanager
async def syncing(
    source: Source | Database, crm: Database, *, timeout: float = 60.0, **about: Any
) -> AsyncIterator[TenantSyncs]:
    """One process's syncs, closed at the end."""
    read = DatabaseSource(source, "crm") if isinstance(source, Database) else source
    syncs = TenantSyncs(ways(read, crm, **about), timeout=timeout)
    try:
        yield syncs
    finally:
        await syncs.close()


async def founded(source: Database, producers: Producers, *, seed: int = 7, **size: int) -> str:
    """A tenant on its first day, with two prices."""
    story = Story(source, producers, seed=seed, **size)
    await story.day_one()
    await source.execute(
        "INSERT INTO credit_configurations (config_id, tenant_id, operation_code, credit_cost) "
        "SELECT gen_random_uuid(), $1::text::uuid, 'crm.leads.' || one, 1.5 "
        "  FROM unnest('{create,read}'::text[]) AS one",
        story.tenants[0],
    )
    return story.tenants[0]


async def held(crm: Database, tenant: str) -> dict[str, int]:
    """Rows of every table of the CRM, one tenant's; of assignments those in force."""
    tables = ("tenants", "organizations", "roles", "users", "role_assignments", "credit_configs", "credits")
    found = {
        one: await crm.fetchval(f"SELECT count(*) FROM crm.{one} WHERE tenant_id = $1::text::uuid", tenant)
        for one in tables
    }
    found["assignments"] = await crm.fetchval(
        "SELECT count(*) FROM crm.assignments WHERE tenant_id = $1::text::uuid AND is_active", tenant
    )
    return found


async def runs(crm: Database) -> list[tuple[str, str]]:
    """Method and state of every run, in order."""
    rows = await crm.fetch("SELECT sync_method, status FROM crm.tenant_sync_runs ORDER BY started_at, token")
    return [(row["sync_method"], row["status"]) for row in rows]
