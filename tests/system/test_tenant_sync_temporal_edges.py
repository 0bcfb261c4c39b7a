"""A tenant sync through Temporal where the workflow is there, and does not do what a login needs."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.errors import TemporalAway
from backfill.tenant_sync.gate import Gate
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.temporal import client as client_module
from backfill.tenant_sync.temporal import worker as worker_module
from backfill.tenant_sync.temporal.activities import Activities
from backfill.tenant_sync.temporal.client import TemporalWay
from backfill.tenant_sync.temporal.shapes import background_tasks, workflow_id
from backfill.tenant_sync.temporal.worker import connect
from backfill.tenant_sync.temporal.workflow import TenantSync
from headwater.config.seeds import TenantSyncSettings
from headwater.database import Database
from headwater.testing import until
from producers import Producers
from tests.sandbox import runner
from tests.system.syncing import held, runs, ways
from tests.system.syncing import kept as syncing_kept
from tests.system.test_tenant_sync_temporal import ALL, Slow, another, asked, settings, syncing, working
from tests.temporal_server import Temporal

TIME_GOES_BY = "UPDATE crm.tenant_syncs SET lease_until = NULL, next_attempt_at = NULL"
FLAGS = TenantSyncSettings(use_temporal=True, temporal_enabled=True, temporal_timeout=60.0)


@contextlib.asynccontextmanager
async def only_essential(kept: TenantSyncSettings, own: Ways) -> AsyncIterator[Client]:
    """A worker that nobody stands behind: the background waits for one that has room."""
    client = await connect(kept)
    worker = Worker(
        client,
        task_queue=kept.temporal_workflows,
        workflows=[TenantSync],
        activities=[Activities(own).essential],
        workflow_runner=runner(),
    )
    async with worker:
        await until(TemporalWay(kept).has_workers)
        yield client


async def behind(client: Client, kept: TenantSyncSettings, own: Ways) -> Worker:
    """The worker that was missing."""
    activities = Activities(own)
    return Worker(
        client,
        task_queue=background_tasks(kept.temporal_workflows),
        activities=[activities.background, activities.finish, activities.abandon],
    )


async def free(crm: Database, tenant: str) -> None:
    """Until nobody holds its lease."""

    async def ran_out() -> bool:
        return bool(await crm.fetchval("SELECT lease_until < clock_timestamp() FROM crm.tenant_syncs"))

    await until(ran_out)


async def test_a_login_whose_background_waits_for_room_goes_on_with_what_is_there(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    """Nobody renews the lease meanwhile: it runs out, and the workflow still has the rest before it."""
    tenant, kept = await another(source, producers), settings(temporal)
    read = DatabaseSource(source, "crm")
    own = ways(read, crm_database, lease=0.3)
    async with (
        only_essential(kept, own) as client,
        syncing(kept, read, crm_database, flags=lambda: FLAGS) as syncs,
    ):
        first = await syncs.ensure_tenant_sync(tenant)
        await free(crm_database, tenant)
        second = await syncs.ensure_tenant_sync(tenant)
        updates = await client.get_workflow_handle(workflow_id(tenant)).fetch_history()
        async with await behind(client, kept, own):
            await client.get_workflow_handle(workflow_id(tenant)).result()

    assert (first.success, second.success, second.fallback_used) == (True, True, False)
    accepted = [
        one for one in updates.events if one.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    assert len(accepted) == 2
    assert await runs(crm_database) == [("temporal", "completed")]
    assert await held(crm_database, tenant) == ALL


@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_a_workflow_that_somebody_ends_by_hand_fails_no_login_and_the_next_brings_the_rest(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal, how: str
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    read = DatabaseSource(source, "crm")
    slow = Slow(read)
    async with (
        working(kept, slow, crm_database),
        syncing(kept, read, crm_database, flags=lambda: FLAGS) as syncs,
    ):
        login = asyncio.create_task(syncs.ensure_tenant_sync(tenant))
        await slow.asked.wait()
        handle = (await connect(kept)).get_workflow_handle(workflow_id(tenant))
        await (handle.terminate() if how == "terminate" else handle.cancel())
        slow.let.set()
        found = await login
        await crm_database.execute(TIME_GOES_BY)
        again = await syncs.ensure_tenant_sync(tenant)

        async def whole() -> bool:
            return await held(crm_database, tenant) == ALL

        await until(whole)

    assert found.success
    assert again.success


async def test_a_forced_sync_is_made_although_the_workflow_of_another_still_waits(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    read = DatabaseSource(source, "crm")
    own = ways(read, crm_database, lease=0.3)
    flags = msgspec.structs.replace(FLAGS, temporal_timeout=2.0)
    async with (
        only_essential(kept, own) as client,
        syncing(kept, read, crm_database, flags=lambda: flags) as syncs,
    ):
        await syncs.ensure_tenant_sync(tenant)
        await free(crm_database, tenant)
        await crm_database.execute("UPDATE crm.users SET email = 'old@example'")
        forced = await syncs.ensure_tenant_sync(tenant, force=True)
        await syncs.settled(tenant)
        async with await behind(client, kept, own):
            ended = await client.get_workflow_handle(workflow_id(tenant)).result()

    assert (forced.success, forced.already_synced, forced.joined) == (True, False, False)
    assert (forced.sync_method, forced.fallback_used) == ("direct", True)
    assert ended == "superseded"
    assert await runs(crm_database) == [("temporal", "superseded"), ("direct", "completed")]


async def test_a_background_that_can_not_be_done_is_told_in_the_row_and_the_lease_let_go(
    source: Database, crm_database: Database, producers: Producers, temporal: Temporal
) -> None:
    tenant, kept = await another(source, producers), settings(temporal)
    own = ways(DatabaseSource(source, "crm"), crm_database)
    nowhere = [msgspec.structs.replace(one, table="crm.nowhere") for one in syncing_kept()]
    wrong = msgspec.structs.replace(own, gate=Gate(crm_database, "crm", nowhere))
    async with only_essential(kept, own) as client, await behind(client, kept, wrong):
        await TemporalWay(kept).essential(asked(tenant), timeout=30.0)
        with pytest.raises(WorkflowFailureError):
            await client.get_workflow_handle(workflow_id(tenant)).result()

    row = await crm_database.fetchrow(
        "SELECT status, phase, lease_until, error->>'type' AS type FROM crm.tenant_syncs"
    )
    assert row is not None
    assert tuple(row) == ("failed", "dependent", None, "VALIDATION_ERROR")
    assert await runs(crm_database) == [("temporal", "failed")]


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """The address of a server that accepts and says nothing, and whom it accepted."""
    accepted = []

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", accepted


async def test_many_logins_at_a_server_that_does_not_answer_wait_for_one_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "CONNECT", timedelta(seconds=0.5))
    async with silent() as (address, accepted):
        way = TemporalWay(TenantSyncSettings(temporal_address=address))
        found = await asyncio.gather(
            *(way.essential(asked(str(uuid.uuid4())), timeout=30.0) for _ in range(20)),
            return_exceptions=True,
        )
        await way.close()

    assert len(accepted) == 1
    assert {(type(one), str(one)) for one in found} == {
        (TemporalAway, f"no answer from Temporal at {address}")
    }


async def test_a_worker_says_that_its_server_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "ANSWER", 0.5)
    async with silent() as (address, accepted):
        with pytest.raises(TemporalAway, match="no answer"):
            await connect(TenantSyncSettings(temporal_address=address))

    assert accepted
