"""A direct tenant sync whose process dies, whose servers go away, or that somebody else took over."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

import headwater
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.leases import Lease, Leases, Wish
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.service import TenantSyncs
from backfill.tenant_sync.source import Collection, Page, Reading, Source
from headwater.database import Database, Tx
from headwater.testing import until
from producers import Producers
from tests.system.syncing import SOON, founded, held, runs, syncing, ways
from tests.system.temporal_child import Stalled
from tests.system.test_tenant_sync import ALL

ROOT = Path(headwater.__file__).parents[1]
CHILD = Path(__file__).with_name("tenant_sync_child.py")


@contextlib.asynccontextmanager
async def child(
    source: Database, crm: Database, tenant: str, stall: str = "-"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that syncs the tenant."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), source.url, crm.url, tenant, stall),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line it says."""
    assert process.stdout is not None
    async with asyncio.timeout(90):
        return (await process.stdout.readline()).decode().strip()


@pytest.mark.parametrize("stall", ["tenants", "users", "employeeAssignments"])
async def test_a_process_killed_in_any_phase_leaves_a_tenant_that_the_next_login_completes(
    source: Database, crm_database: Database, producers: Producers, stall: str
) -> None:
    tenant = await founded(source, producers)
    async with child(source, crm_database, tenant, stall) as process:
        assert await line(process) == "stalled"
        process.kill()
        await process.wait()
        before = await runs(crm_database)
    async with syncing(source, crm_database) as syncs:
        login = await syncs.ensure_tenant_sync(tenant)

        async def completed() -> bool:
            await syncs.ensure_tenant_sync(tenant)
            whole = await syncs.settled(tenant)
            return whole is not None and whole.status == "completed"

        await until(completed)

    assert before == [("direct", "in_progress")]
    assert login.success
    assert await runs(crm_database) == [("direct", "superseded"), ("direct", "completed")]
    assert await held(crm_database, tenant) == ALL


async def test_processes_that_race_for_one_tenant_make_one_run(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with contextlib.AsyncExitStack() as stack:
        some = [await stack.enter_async_context(child(source, crm_database, tenant)) for _ in range(3)]
        ended = [await line(one) for one in some]

    assert set(ended) <= {"made", "joined"}
    assert await runs(crm_database) == [("direct", "completed")]
    assert await held(crm_database, tenant) == ALL


async def test_a_database_that_lets_nobody_in_is_a_database_error_and_the_next_login_succeeds(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    name = urlsplit(crm_database.url).path[1:]
    admin = await asyncpg.connect(source.url)
    async with syncing(source, crm_database) as syncs:
        try:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
            )
            failed = await syncs.ensure_tenant_sync(tenant)
        finally:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await admin.close()
        again = await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)

    assert (failed.success, failed.error_type, failed.retryable) == (False, "DATABASE_ERROR", True)
    assert failed.correlation_id.startswith(f"sync-{tenant}-")
    assert again.success
    assert await held(crm_database, tenant) == ALL


async def test_a_source_that_forbids_us_to_read_is_an_auth_error_and_is_not_asked_again(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    role = f"limited_{tenant[:8]}"
    await source.execute(f"CREATE ROLE {role}")
    schema = await source.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 'tenants'")
    await source.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    limited = await Database.open(f"{source.url}?role={role}&search_path={schema}")
    try:
        async with syncing(limited, crm_database) as syncs:
            failed = await syncs.ensure_tenant_sync(tenant)
    finally:
        await limited.close()
        await source.execute(f"DROP OWNED BY {role}")
        await source.execute(f"DROP ROLE {role}")

    assert (failed.error_type, failed.retryable) == ("AUTH_ERROR", False)
    assert "password" in (failed.action or "")
    assert await runs(crm_database) == [("direct", "failed")]


class Defective(DatabaseSource):
    """A source with a defect of its own."""

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Reading]:  # type: ignore[override]
        raise RuntimeError("a defect")
        yield


async def test_what_nobody_thought_of_is_an_unknown_error_tried_as_often_as_the_others(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with syncing(Defective(source, "crm"), crm_database) as syncs:
        failed = await syncs.ensure_tenant_sync(tenant)

    assert (failed.error_type, failed.retryable) == ("UNKNOWN_ERROR", True)
    assert "a defect" in (failed.error or "")
    assert await runs(crm_database) == [("direct", "failed")]


class Paused(Stalled):
    """A reading that waits at the users until it is let."""

    def __init__(self, reading: Reading, at: asyncio.Event, let: asyncio.Event) -> None:
        super().__init__(reading, "")
        self._at, self._let = at, let

    async def pages(self, collection: Collection) -> AsyncGenerator[Page, None]:
        if collection.name == "users":
            self._at.set()
            await self._let.wait()
        async for page in super().pages(collection):
            yield page


class Pausing:
    """A source of such readings."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.at, self.let = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Reading]:
        async with self._source.reading(tenant, correlation) as reading:
            yield Paused(reading, self.at, self.let)


class Unfenced(Leases):
    """The same without what is to be proved."""

    async def check(self, lease: Lease, tx: Tx) -> None:
        """Everybody may write."""


@pytest.mark.parametrize("fenced", [True, False])
async def test_a_run_that_was_taken_over_writes_nothing_late_and_would_without_its_fence(
    source: Database, crm_database: Database, producers: Producers, fenced: bool
) -> None:
    tenant = await founded(source, producers)
    read = DatabaseSource(source, "crm")
    slow = Pausing(read)
    made: Ways = ways(slow, crm_database, holder="old")
    leases = made.leases if fenced else Unfenced(crm_database, "old")
    old = TenantSyncs(Ways(source=slow, gate=made.gate, leases=leases, patience=SOON))
    begun = asyncio.create_task(old.ensure_tenant_sync(tenant))
    await slow.at.wait()
    new = ways(read, crm_database, holder="new").leases
    lease = await new.take(tenant, "another", Wish(steal=True))
    assert lease is not None
    await crm_database.execute("DELETE FROM crm.users")

    slow.let.set()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(begun), 2.0)
    late = await crm_database.fetchval("SELECT count(*) FROM crm.users")
    await new.let_go(lease)
    await old.close()

    assert (late == 0) is fenced
