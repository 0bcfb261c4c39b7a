"""A tenant sync through a real Temporal: callers have essential data in one round trip, the rest follows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backfill.tenant_sync.correlation import correlation_id
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.errors import NoWorker, SyncError, TemporalAway
from backfill.tenant_sync.result import answer
from backfill.tenant_sync.source import Source
from backfill.tenant_sync.temporal.client import TemporalWay
from backfill.tenant_sync.temporal.shapes import Asked
from backfill.tenant_sync.temporal.worker import TemporalWorker, connect
from headwater.config.seeds import TenantSyncSettings
from headwater.database import Database
from headwater.testing import until
from producers import Producers
from tests.system.syncing import founded, held, runs, ways
from tests.temporal_server import Temporal, free_port

ALL = {
    "tenants": 1,
    "organizations": 5,
    "roles": 3,
    "users": 10,
    "role_assignments": 10,
    "assignments": 10,
    "credit_configs": 2,
    "credits": 1,
}


def settings(temporal: Temporal) -> TenantSyncSettings:
    """With a task queue of its own, so that tests share a server and no worker."""
    own = f"test-{uuid.uuid4().hex[:12]}"
    return TenantSyncSettings(temporal_address=temporal.address, temporal_workflows=own)


@contextlib.asynccontextmanager
async def working(kept: TenantSyncSettings, source: Source, crm: Database) -> AsyncIterator[TemporalWorker]:
    """A worker, stopped at the end."""
    worker = TemporalWorker(await connect(kept), ways(source, crm, holder="temporal"), kept, drain=5.0)
    running = asyncio.create_task(worker.run())
    await until(TemporalWay(kept).has_workers)
    try:
        yield worker
    finally:
        worker.stop()
        await running


def asked(tenant: str, **about: Any) -> Asked:
    """One login."""
    return dataclasses.replace(Asked(tenant, correlation_id(tenant, 1)), **about)


async def test_a_login_has_essential_data_from_a_workflow_and_the_rest_follows(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await founded(source, producers), settings(temporal)
    way = TemporalWay(kept)
    async with working(kept, DatabaseSource(source, "crm"), crm_database):
        assert await way.essential(asked(tenant), timeout=30.0)

        there = await held(crm_database, tenant)
        assert {name: there[name] for name in list(ALL)[:5]} == dict(list(ALL.items())[:5])

        async def whole() -> bool:
            return (await runs(crm_database)) == [("temporal", "completed")]

        await until(whole)

    assert await held(crm_database, tenant) == ALL
    state = await ways(DatabaseSource(source, "crm"), crm_database).leases.state(tenant)
    assert state is not None
    told = answer(state)
    assert (told.sync_method, told.requested_method, told.status) == ("temporal", "temporal", "completed")


async def test_where_no_worker_asks_for_work_nothing_is_started(
    source: Database, crm_database: Database, temporal: Temporal
) -> None:
    kept, tenant = settings(temporal), str(uuid.uuid4())
    with pytest.raises(NoWorker):
        await TemporalWay(kept).essential(asked(tenant), timeout=30.0)

    client = await temporal.client()
    assert [one async for one in client.list_workflows(f"WorkflowId = 'tenant-sync:{tenant}'")] == []


async def test_a_server_that_is_not_there_is_told_within_the_time_of_a_connection() -> None:
    kept = TenantSyncSettings(temporal_address=f"127.0.0.1:{free_port()}")
    with pytest.raises(TemporalAway):
        await TemporalWay(kept).essential(asked(str(uuid.uuid4())), timeout=30.0)


async def test_an_error_of_the_activity_reaches_the_caller_in_its_class(
    source: Database, crm_database: Database, temporal: Temporal
) -> None:
    kept, tenant = settings(temporal), str(uuid.uuid4())  # a tenant that the source does not have
    async with working(kept, DatabaseSource(source, "crm"), crm_database):
        with pytest.raises(SyncError) as failed:
            await TemporalWay(kept).essential(asked(tenant), timeout=30.0)

        async def told() -> bool:
            return (await runs(crm_database)) == [("temporal", "failed")]

        await until(told)

    assert failed.value.type == "VALIDATION_ERROR"
    assert "no such tenant" in str(failed.value)
