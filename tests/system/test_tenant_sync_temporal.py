"""A tenant sync through a real Temporal: callers have essential data in one round trip, the rest follows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backfill.tenant_sync.correlation import correlation_id
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.errors import NoWorker, SyncError, TemporalAway
from backfill.tenant_sync.result import answer
from backfill.tenant_sync.routing import Routing, Way
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.source import Reading, Source
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


_SEEDS = itertools.count(5000)


async def another(source: Database, producers: Producers) -> str:
    """A tenant that no other test has: its workflow is one of a server that they share."""
    return await founded(source, producers, seed=next(_SEEDS))


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
    tenant, kept = await another(source, producers), settings(temporal)
    way = TemporalWay(kept)
    async with working(kept, DatabaseSource(source, "crm"), crm_database):
        assert await way.essential(asked(tenant), timeout=30.0) is not None

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


@contextlib.asynccontextmanager
async def syncing(
    kept: TenantSyncSettings, source: Source, crm: Database, way: Way | None = None, **about: Any
) -> AsyncIterator[TenantSyncs]:
    """One process whose logins go through Temporal."""
    flags = TenantSyncSettings(use_temporal=True, temporal_enabled=True, temporal_timeout=5.0)
    routing = Routing(about.pop("flags", lambda: flags), way or TemporalWay(kept))
    syncs = TenantSyncs(ways(source, crm, **about), timeout=30.0, routing=routing)
    try:
        yield syncs
    finally:
        await syncs.close()


async def test_a_login_through_temporal_says_so_and_a_second_costs_nothing(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    read = DatabaseSource(source, "crm")
    async with working(kept, read, crm_database), syncing(kept, read, crm_database) as syncs:
        first = await syncs.ensure_tenant_sync(tenant)
        whole = await syncs.settled(tenant)
        second = await syncs.ensure_tenant_sync(tenant)

    assert (first.success, first.sync_method, first.requested_method) == (True, "temporal", "temporal")
    assert (first.fallback_used, first.joined, first.already_synced) == (False, False, False)
    assert first.workflow_id == f"tenant-sync:{tenant}"
    assert first.run_id
    assert whole is not None
    assert whole.status == "completed"
    assert second.already_synced
    assert await runs(crm_database) == [("temporal", "completed")]


async def test_logins_of_one_tenant_in_many_processes_cost_one_workflow(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    """More of them than a workflow takes updates at the same time."""
    tenant, kept = await another(source, producers), settings(temporal)
    read = DatabaseSource(source, "crm")
    async with working(kept, read, crm_database), contextlib.AsyncExitStack() as stack:
        many = [await stack.enter_async_context(syncing(kept, read, crm_database)) for _ in range(14)]
        found = await asyncio.gather(*(one.ensure_tenant_sync(tenant) for one in many for _ in range(5)))
        await many[0].settled(tenant)

    assert all(one.success and one.sync_method == "temporal" and not one.fallback_used for one in found)
    assert len({one.correlation_id for one in found}) == 1
    assert await runs(crm_database) == [("temporal", "completed")]


@pytest.mark.parametrize("missing", ["server", "worker"])
async def test_without_a_server_or_a_worker_a_login_goes_directly_and_says_that_it_did(
    source: Database,
    crm_database: Database,
    producers: Producers,
    temporal: Temporal,
    missing: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tenant = await another(source, producers)
    nowhere = TenantSyncSettings(temporal_address=f"127.0.0.1:{free_port()}")
    kept = nowhere if missing == "server" else settings(temporal)
    async with syncing(kept, DatabaseSource(source, "crm"), crm_database) as syncs:
        found = await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)

    assert found.success
    assert (found.sync_method, found.requested_method, found.fallback_used) == ("direct", "temporal", True)
    assert found.temporal_error
    assert await runs(crm_database) == [("direct", "completed")]
    assert await held(crm_database, tenant) == ALL
    told = [one.getMessage() for one in caplog.records if "tenant_sync.without_temporal" in one.getMessage()]
    assert len(told) == 1
    assert found.correlation_id in told[0]


async def test_what_the_source_refuses_is_not_tried_a_second_time_directly(
    crm_database: Database, source: Database, temporal: Temporal
) -> None:
    kept, tenant = settings(temporal), str(uuid.uuid4())
    read = DatabaseSource(source, "crm")
    async with working(kept, read, crm_database), syncing(kept, read, crm_database) as syncs:
        found = await syncs.ensure_tenant_sync(tenant)

        async def ended() -> bool:
            return await runs(crm_database) == [("temporal", "failed")]

        await until(ended)

    assert (found.success, found.error_type, found.retryable) == (False, "VALIDATION_ERROR", False)
    assert (found.sync_method, found.fallback_used) == ("temporal", False)


class Slow:
    """A source that gives nothing until it is let."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Reading]:
        self.asked.set()
        await self.let.wait()
        async with self._source.reading(tenant, correlation) as reading:
            yield reading


async def test_a_flag_taken_back_leaves_what_is_under_way_and_sends_the_next_directly(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    kept, read = settings(temporal), DatabaseSource(source, "crm")
    first, second = [await another(source, producers) for _ in range(2)]
    flags = [TenantSyncSettings(use_temporal=True, temporal_enabled=True)]
    slow = Slow(read)
    async with (
        working(kept, slow, crm_database),
        syncing(kept, read, crm_database, flags=lambda: flags[0]) as syncs,
    ):
        begun = asyncio.create_task(syncs.ensure_tenant_sync(first))
        await slow.asked.wait()
        flags[0] = TenantSyncSettings(temporal_enabled=True)
        directly = await syncs.ensure_tenant_sync(second)
        slow.let.set()
        by_temporal = await begun
        await asyncio.gather(syncs.settled(first), syncs.settled(second))

    assert (directly.sync_method, directly.requested_method) == ("direct", "direct")
    assert (by_temporal.sync_method, by_temporal.fallback_used) == ("temporal", False)
    assert sorted(await runs(crm_database)) == [("direct", "completed"), ("temporal", "completed")]


async def test_a_workflow_that_comes_no_further_is_taken_over_and_writes_nothing_any_more(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    """The login waits for it while it moves; here it stands still, and wakes when it was replaced."""
    tenant, kept = await another(source, producers), settings(temporal)
    read = DatabaseSource(source, "crm")
    slow = Slow(read)
    flags = TenantSyncSettings(use_temporal=True, temporal_enabled=True, temporal_timeout=1.0)
    async with working(kept, slow, crm_database):
        async with syncing(kept, read, crm_database, flags=lambda: flags) as syncs:
            login = asyncio.create_task(syncs.ensure_tenant_sync(tenant))
            await slow.asked.wait()
            await crm_database.execute(
                "UPDATE crm.tenant_syncs SET started_at = started_at - interval '1 minute'"
            )
            found = await login
            await syncs.settled(tenant)
        marked = await crm_database.execute("UPDATE crm.users SET email = 'kept@example'")
        slow.let.set()

        async def over() -> bool:
            client = await temporal.client()
            about = await client.get_workflow_handle(f"tenant-sync:{tenant}").describe()
            return about.status is not None and about.status.name != "RUNNING"

        await until(over)

    assert (found.sync_method, found.fallback_used) == ("direct", True)
    assert marked == "UPDATE 10"
    assert await crm_database.fetchval("SELECT count(*) FROM crm.users WHERE email = 'kept@example'") == 10
    assert await runs(crm_database) == [("temporal", "superseded"), ("direct", "completed")]
    assert await held(crm_database, tenant) == ALL
