"""A tenant sync, directly: essential data before the caller goes on, the rest behind it, one run a tenant."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest_asyncio
from pytest import LogCaptureFixture  # noqa: PT013

from backfill import Story
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.leases import Leases, Wish
from backfill.tenant_sync.source import Reading, Source
from headwater.database import Database
from headwater.testing import until
from producers import Producers
from tests import wrapper_api
from tests.system.conftest import Application, said
from tests.system.syncing import founded, held, over, runs, syncing
from tests.wrapper_api import EXPIRED, WrapperApi

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
"""What founded() makes, by table."""
HIRED = """
    INSERT INTO tenant_users (user_id, tenant_id, email, name)
    SELECT one, $1::text::uuid, one || '@people.example', 'Ada' FROM gen_random_uuid() AS one RETURNING *"""


class Meanwhile:
    """A source during whose readings something happens."""

    def __init__(self, source: Source, happens: Callable[[], Awaitable[None]]) -> None:
        self._source, self._happens = source, happens

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Reading]:
        async with self._source.reading(tenant, correlation) as reading:
            await self._happens()
            yield reading


@pytest_asyncio.fixture
async def api(source: Database) -> AsyncIterator[WrapperApi]:
    """The wrapper's API over its tables."""
    async with wrapper_api.wrapper_api(source) as running:
        yield running


async def test_a_first_login_has_essential_data_and_the_rest_follows(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with syncing(source, crm_database) as syncs:
        result = await syncs.ensure_tenant_sync(tenant)
        after = await syncs.settled(tenant)

    assert result.success, result
    assert result.phase in {"dependent", "completed"}
    assert result.background_sync_started
    assert result.stats == {
        "tenant": 1,
        "organizations": 5,
        "roles": 3,
        "users": 10,
        "totalRecords": 19,
        "roleAssignments": 10,
    }
    assert result.correlation_id.startswith(f"sync-{tenant}-")
    assert after is not None
    assert (after.status, after.phase, after.has_failed_collections) == ("completed", "completed", False)
    assert {name: one["stored"] for name, one in after.collections.items()} == {
        "tenants": 1,
        "organizations": 5,
        "roles": 3,
        "users": 10,
        "roleAssignments": 10,
        "employeeAssignments": 10,
        "creditConfigs": 2,
        "entityCredits": 1,
    }
    assert await held(crm_database, tenant) == ALL
    assert await runs(crm_database) == [("direct", "completed")]


async def test_a_tenant_that_is_there_costs_a_login_no_run(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with syncing(source, crm_database) as syncs:
        first = await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        second = await syncs.ensure_tenant_sync(tenant)

    assert (first.already_synced, second.already_synced) == (False, True)
    assert second.correlation_id == first.correlation_id
    assert len(await runs(crm_database)) == 1


async def test_hundreds_of_logins_at_once_in_two_processes_cost_one_run_and_get_one_answer(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with syncing(source, crm_database) as one, syncing(source, crm_database, holder="other") as other:
        asked = [some.ensure_tenant_sync(tenant) for _ in range(100) for some in (one, other)]
        results = await asyncio.gather(*asked)
        await asyncio.gather(one.settled(tenant), other.settled(tenant))

    assert len(await runs(crm_database)) == 1
    assert {result.success for result in results} == {True}
    assert len({result.correlation_id for result in results}) == 1
    assert len({msgspec.json.encode(result.stats) for result in results}) == 1


async def test_first_logins_of_many_tenants_at_once_are_all_made_in_turn(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenants = [await founded(source, producers, seed=seed) for seed in range(20, 32)]
    async with syncing(source, crm_database) as syncs:
        results = await asyncio.gather(*map(syncs.ensure_tenant_sync, tenants))
        for tenant in tenants:
            await syncs.settled(tenant)

    assert [result.error for result in results] == [None] * 12
    assert [await held(crm_database, tenant) for tenant in tenants] == [ALL] * 12
    assert await runs(crm_database) == [("direct", "completed")] * 12


async def test_the_api_fills_the_same_tables_as_the_database(
    source: Database, crm_database: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)
    async with syncing(over(api), crm_database) as syncs:
        result = await syncs.ensure_tenant_sync(tenant)
        after = await syncs.settled(tenant)

    assert result.success, result
    assert after is not None
    assert after.failed_collections == []
    assert after.collections["creditConfigs"]["skipped"] == 1
    assert await held(crm_database, tenant) == ALL
    assert api.correlations == {result.correlation_id}


async def test_credits_without_their_allocation_are_refused_and_take_no_balance_away(
    source: Database, crm_database: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)
    async with syncing(source, crm_database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
    balances = "SELECT allocation_id, allocated_credits, available_credits FROM crm.credits"
    before = await crm_database.fetch(balances)

    async def documented(_: object) -> object:
        item = {"tenantId": tenant, "entityId": tenant, "allocatedCredits": 7, "targetApplication": "crm"}
        more = {"usedCredits": 0, "availableCredits": 7, "allocationType": "organization"}
        pages = {"page": 1, "limit": 100, "total": "1"}
        return wrapper_api.said(200, success=True, data=[item | more], pagination=pages)

    api.fail("entity-credits.*", documented, times=4)
    async with syncing(over(api), crm_database) as syncs:
        await syncs.ensure_tenant_sync(tenant, force=True)
        after = await syncs.settled(tenant)

    assert api.bitten
    assert after is not None
    [failed] = after.failed_collections
    assert (failed["collection"], failed["stored"], failed["fetched"]) == ("entityCredits", 0, 1)
    assert "no id" in after.collections["entityCredits"]["error"]
    assert await crm_database.fetch(balances) == before


async def test_a_sync_and_live_events_meet_at_the_gate_whatever_came_first(
    source: Database, crm: Application, producers: Producers
) -> None:
    story = Story(source, producers, seed=11)
    await story.day_one()
    tenant = story.tenants[0]
    before = await said(source)
    async with syncing(source, crm.database) as syncs:
        await crm.take(*before[: len(before) // 2])
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        await story.change(20)
        await crm.take(*before, *(await said(source))[len(before) :])
        once = [await crm.rows(f"crm.{one}") for one in ALL if one != "credit_configs"]
        forced = await syncs.ensure_tenant_sync(tenant, force=True)
        await syncs.settled(tenant)

    assert forced.success
    assert [await crm.rows(f"crm.{one}") for one in ALL if one != "credit_configs"] == once
    assert len(await runs(crm.database)) == 2


async def test_who_comes_while_the_source_is_read_is_not_taken_for_gone(
    source: Database, crm: Application, producers: Producers
) -> None:
    story = Story(source, producers, seed=12)
    await story.day_one()
    tenant, seen = story.tenants[0], 0

    async def meanwhile() -> None:
        """A person, an assignment: said and applied after the snapshot, before anything of it is stored."""
        nonlocal seen
        async with source.transaction() as tx:
            rows = await tx.fetch(HIRED, tenant)
            await producers.users.created_many(tx, rows)
        everything = await said(source)
        await crm.take(*everything)
        seen += 1

    async with syncing(Meanwhile(DatabaseSource(source, "crm"), meanwhile), crm.database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)

    assert seen == 4
    assert (await held(crm.database, tenant))["users"] == await source.fetchval(
        "SELECT count(*) FROM tenant_users"
    )
    assert await crm.database.fetchval("SELECT count(*) FROM headwater.ledger WHERE deleted") == 0


async def test_what_the_source_does_not_have_any_more_goes_and_comes_back_when_it_is_said_again(
    source: Database, crm: Application, producers: Producers
) -> None:
    tenant = await founded(source, producers, users=3)
    async with syncing(source, crm.database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        await source.execute("UPDATE organization_memberships SET membership_status = 'inactive'")
        await syncs.ensure_tenant_sync(tenant, force=True)
        after = await syncs.settled(tenant)
        gone = await held(crm.database, tenant)
        await source.execute("UPDATE organization_memberships SET membership_status = 'active'")
        await syncs.ensure_tenant_sync(tenant, force=True)
        await syncs.settled(tenant)

    assert after is not None
    assert after.collections["employeeAssignments"]["gone"] == 3
    assert gone["assignments"] == 0
    assert gone["users"] == 3
    assert (await held(crm.database, tenant))["assignments"] == 3


async def test_a_row_that_somebody_removed_from_the_table_is_stored_again(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with syncing(source, crm_database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        await crm_database.execute("TRUNCATE crm.credits, crm.tenants")
        await syncs.ensure_tenant_sync(tenant)
        after = await syncs.settled(tenant)

    assert after is not None
    assert after.failed_collections == []
    assert await held(crm_database, tenant) == ALL


async def test_less_stored_than_fetched_is_a_failed_collection_and_the_login_goes_on(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    await crm_database.execute("ALTER TABLE crm.credits ADD CHECK (allocated_credits < 0)")
    await crm_database.execute("ALTER TABLE crm.users ADD CHECK (email NOT LIKE 'a%')")
    named_a = await source.fetchval("SELECT count(*) FROM tenant_users WHERE email LIKE 'a%'")
    async with syncing(source, crm_database) as syncs:
        result = await syncs.ensure_tenant_sync(tenant)
        after = await syncs.settled(tenant)

    assert named_a > 0
    assert result.success
    assert result.has_failed_collections
    assert after is not None
    failed = {one["collection"]: (one["stored"], one["fetched"]) for one in after.failed_collections}
    assert failed == {"users": (10 - named_a, 10), "entityCredits": (0, 1)}
    assert "0 of 1 stored" in after.collections["entityCredits"]["error"]


async def test_a_background_that_failed_is_tried_again_when_its_time_has_come(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    await crm_database.execute("ALTER TABLE crm.credits ADD CONSTRAINT odd CHECK (allocated_credits < 0)")
    async with syncing(source, crm_database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        await crm_database.execute("ALTER TABLE crm.credits DROP CONSTRAINT odd")
        await syncs.ensure_tenant_sync(tenant)
        too_early = await runs(crm_database)
        await crm_database.execute("UPDATE crm.tenant_syncs SET next_attempt_at = now()")
        again = await syncs.ensure_tenant_sync(tenant)
        after = await syncs.settled(tenant)

    assert len(too_early) == 1
    assert again.already_synced
    assert after is not None
    assert (after.has_failed_collections, after.status) == (False, "completed")
    assert await held(crm_database, tenant) == ALL


async def test_a_refused_token_fails_the_sync_once_and_for_every_caller(
    source: Database, crm_database: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)
    async with syncing(over(api, token=EXPIRED, key=""), crm_database) as syncs:
        results = await asyncio.gather(*(syncs.ensure_tenant_sync(tenant) for _ in range(20)))
        after = await syncs.settled(tenant)

    [result] = {msgspec.json.encode(one): one for one in results}.values()
    assert (result.success, result.error_type, result.retryable) == (False, "AUTH_ERROR", False)
    assert result.correlation_id.startswith(f"sync-{tenant}-")
    assert result.action
    assert after is not None
    assert (after.status, after.error_type) == ("failed", "AUTH_ERROR")
    assert await runs(crm_database) == [("direct", "failed")]
    assert len(api.asked) == 1


async def test_a_source_that_fails_in_the_middle_or_on_the_last_page_takes_nothing_away(
    source: Database, crm_database: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, users=250)
    async with syncing(over(api), crm_database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        before = await held(crm_database, tenant)
        for page in (2, 3):
            api.fail(rf"employee-assignments\?page={page}", wrapper_api.status(503), times=5)
            await syncs.ensure_tenant_sync(tenant, force=True)
            after = await syncs.settled(tenant)
            assert after is not None
            assert [one["collection"] for one in after.failed_collections] == ["employeeAssignments"]
            assert await held(crm_database, tenant) == before

    assert len(api.bitten) == 10
    assert before["assignments"] == 250


async def test_the_essential_phase_may_not_take_longer_than_it_may(
    source: Database, crm_database: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)
    api.fail(r"users.*", wrapper_api.silence, times=5)
    async with syncing(over(api), crm_database, timeout=0.7) as syncs:
        result = await syncs.ensure_tenant_sync(tenant)
        after = await syncs.settled(tenant)

    assert (result.success, result.error_type, result.retryable) == (False, "TIMEOUT_ERROR", True)
    assert after is not None
    assert (after.status, after.error_type) == ("failed", "TIMEOUT_ERROR")
    assert api.bitten == ["users?page=1"]


async def test_a_run_that_was_superseded_writes_nothing_any_more(
    source: Database, crm_database: Database, producers: Producers, api: WrapperApi, caplog: LogCaptureFixture
) -> None:
    tenant = await founded(source, producers)
    stolen, others = asyncio.Event(), Leases(crm_database, "other")
    api.fail(r"users.*", wrapper_api.once(stolen))
    async with syncing(over(api), crm_database) as syncs:
        late = asyncio.create_task(syncs.ensure_tenant_sync(tenant))
        await until(lambda: bool(api.bitten))
        lease = await others.take(tenant, "sync-other", Wish(steal=True))
        assert lease is not None
        stolen.set()
        await until(lambda: "tenant_sync.superseded" in caplog.text)
        users = await crm_database.fetchval("SELECT count(*) FROM crm.users")
        await others.let_go(lease)
        result = await late
        await syncs.settled(tenant)

    assert users == 0
    assert result.success
    assert [status for _, status in await runs(crm_database)] == ["superseded", "superseded", "completed"]
