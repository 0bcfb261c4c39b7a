"""A tenant sync through Temporal when workers, the server or the wrapper end in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import headwater
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.source import Collection, Page, Reading
from backfill.tenant_sync.temporal.client import TemporalWay
from backfill.tenant_sync.temporal.worker import connect
from headwater.config.seeds import TenantSyncSettings
from headwater.database import Database
from headwater.testing import until
from producers import Producers
from tests import wrapper_api
from tests.system.syncing import held, over, runs
from tests.system.temporal_child import Stalled
from tests.system.test_tenant_sync_temporal import ALL, Slow, another, settings, syncing, working
from tests.temporal_server import MISSING, Temporal, binary, free_port, started

ROOT = Path(headwater.__file__).parents[1]
CHILD = Path(__file__).with_name("temporal_child.py")
SILENCE = 2.0
"""Seconds after which these tests take a worker for dead."""
FLAGS = TenantSyncSettings(use_temporal=True, temporal_enabled=True, temporal_timeout=60.0)


@contextlib.asynccontextmanager
async def child(
    kept: TenantSyncSettings, source: Database, crm: Database, stall: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker as a process, that stands still at a collection."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), kept.temporal_address, kept.temporal_workflows),
        *(source.url, crm.url, stall),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await until(TemporalWay(kept).has_workers, within=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stalled(process: asyncio.subprocess.Process) -> None:
    """Until it stands still."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert (await process.stdout.readline()).strip() == b"stalled"


async def whole(crm: Database, tenant: str) -> None:
    """The application has all of a tenant, and the row says so."""

    async def ended() -> bool:
        return bool(
            await crm.fetchval(
                "SELECT status = 'completed' AND lease_until IS NULL FROM crm.tenant_syncs "
                "WHERE tenant_id = $1::text::uuid",
                tenant,
            )
        )

    await until(ended, within=90)
    assert await held(crm, tenant) == ALL


async def closed(temporal: Temporal, tenant: str) -> str:
    """How its workflow ended."""
    client = await temporal.client()

    async def over() -> str:
        about = await client.get_workflow_handle(f"tenant-sync:{tenant}").describe()
        name = about.status.name if about.status is not None else "RUNNING"
        return "" if name == "RUNNING" else name

    return str(await until(over, within=60))


async def test_a_worker_killed_in_the_essential_data_is_replaced_while_the_login_waits(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    read, way = DatabaseSource(source, "crm"), TemporalWay(kept, silence=SILENCE)
    async with syncing(kept, read, crm_database, way, flags=lambda: FLAGS) as syncs:
        async with child(kept, source, crm_database, "users") as process:
            login = asyncio.create_task(syncs.ensure_tenant_sync(tenant))
            await stalled(process)
            process.kill()
            await process.wait()
        async with working(kept, read, crm_database):
            found = await login
            await whole(crm_database, tenant)
            assert await closed(temporal, tenant) == "COMPLETED"

    assert (found.success, found.sync_method, found.fallback_used) == (True, "temporal", False)
    assert await runs(crm_database) == [("temporal", "superseded"), ("temporal", "completed")]


async def test_a_worker_killed_in_the_background_is_replaced_and_the_login_notices_nothing(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    read, way = DatabaseSource(source, "crm"), TemporalWay(kept, silence=SILENCE / 2)
    async with syncing(kept, read, crm_database, way, flags=lambda: FLAGS) as syncs:
        async with child(kept, source, crm_database, "employeeAssignments") as process:
            found = await syncs.ensure_tenant_sync(tenant)
            await stalled(process)
            process.kill()
            await process.wait()
            between = await syncs.ensure_tenant_sync(tenant)
        async with working(kept, read, crm_database):
            await whole(crm_database, tenant)
            assert await closed(temporal, tenant) == "COMPLETED"

    assert (found.success, found.phase, found.sync_method) == (True, "dependent", "temporal")
    assert between.success
    assert between.already_synced
    assert await runs(crm_database) == [("temporal", "completed")]


async def test_a_temporal_killed_in_the_middle_costs_a_login_nothing_and_goes_on_when_it_is_back(
    source: Database, crm_database: Database, producers: Producers, tmp_path: Path
) -> None:
    """What runs ends in the database without it; the login looks there."""
    program, port = binary(), free_port()
    if program is None:
        pytest.skip(MISSING)
    own = await started(program, port=port, file=tmp_path / "temporal.db")
    try:
        tenant, kept = await another(source, producers), settings(own)
        flags = TenantSyncSettings(use_temporal=True, temporal_enabled=True, temporal_timeout=5.0)
        read = DatabaseSource(source, "crm")
        slow = Slow(read)
        async with (
            working(kept, slow, crm_database),
            syncing(kept, read, crm_database, flags=lambda: flags) as syncs,
        ):
            login = asyncio.create_task(syncs.ensure_tenant_sync(tenant))
            await slow.asked.wait()
            await own.kill()
            slow.let.set()
            found = await login
            own = await started(program, port=port, file=tmp_path / "temporal.db")
            await whole(crm_database, tenant)
            assert await closed(own, tenant) == "COMPLETED"
    finally:
        await own.kill()

    assert found.success
    assert found.phase in {"dependent", "completed"}
    assert await held(crm_database, tenant) == ALL


async def test_a_wrapper_that_refuses_us_is_told_as_that_and_nothing_is_tried_directly(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    async with wrapper_api.wrapper_api(source) as api:
        read = over(api, token="", key="not the key")
        async with working(kept, read, crm_database), syncing(kept, read, crm_database) as syncs:
            found = await syncs.ensure_tenant_sync(tenant)
            assert await closed(temporal, tenant) == "FAILED"

    assert (found.error_type, found.retryable) == ("AUTH_ERROR", False)
    assert (found.sync_method, found.fallback_used) == ("temporal", False)
    assert await runs(crm_database) == [("temporal", "failed")]


class Midway(Stalled):
    """A reading during whose users something happens, once."""

    def __init__(self, reading: Reading, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(reading, "")
        self._happens = happens

    async def pages(self, collection: Collection) -> AsyncGenerator[Page, None]:
        if collection.name == "users":
            await self._happens()
        async for page in super().pages(collection):
            yield page


class Cutting(DatabaseSource):
    """A source whose connections the server ends in the middle of the first reading."""

    cut = 0

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Reading]:  # type: ignore[override]
        async with super().reading(tenant, correlation) as reading:
            yield Midway(reading, self._cut)

    async def _cut(self) -> None:
        if not self.cut:
            self.cut = await self._database.fetchval(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'sync-%'"
            )


async def test_a_source_that_goes_away_once_is_read_again_by_the_next_attempt(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    read = Cutting(source, "crm")
    async with (
        working(kept, read, crm_database),
        syncing(kept, read, crm_database, flags=lambda: FLAGS) as syncs,
    ):
        found = await syncs.ensure_tenant_sync(tenant)
        assert await closed(temporal, tenant) == "COMPLETED"

    assert read.cut == 1
    assert (found.success, found.sync_method, found.fallback_used) == (True, "temporal", False)
    assert await held(crm_database, tenant) == ALL


async def test_histories_hold_no_address_and_no_secret(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    async with wrapper_api.wrapper_api(source) as api:
        read = over(api)
        async with working(kept, read, crm_database), syncing(kept, read, crm_database) as syncs:
            await syncs.ensure_tenant_sync(tenant)
            assert await closed(temporal, tenant) == "COMPLETED"
    client = await connect(kept)
    history = await client.get_workflow_handle(f"tenant-sync:{tenant}").fetch_history()
    text = history.to_json()

    assert tenant in text
    assert len(history.events) < 60
    for secret in (wrapper_api.USER_TOKEN, wrapper_api.KEY, wrapper_api.SERVICE_TOKEN, "@people.example"):
        assert secret not in text
