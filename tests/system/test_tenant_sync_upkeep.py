"""What stands behind the tenant sync's endpoints: clean-up by the clock, what is forgotten, figures."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pytest import LogCaptureFixture  # noqa: PT013

from backfill.tenant_sync.errors import Superseded
from backfill.tenant_sync.figures import Figures
from backfill.tenant_sync.leases import Count, Leases, Wish
from backfill.tenant_sync.statistics import Statistics
from backfill.tenant_sync.upkeep import KEPT, StillWriting, Upkeep
from headwater.config import DatabaseSettings
from headwater.database import Database
from headwater.testing import until
from producers import Producers
from tests import wrapper_api
from tests.system.syncing import founded, held, over, runs, syncing


async def gone(crm: Database, *, since: float) -> str:
    """A tenant whose run was left by a process that is gone."""
    tenant = str(uuid.uuid4())
    assert await Leases(crm, "gone").take(tenant, f"sync-{tenant}", Wish())
    await crm.execute(
        "UPDATE crm.tenant_syncs SET lease_until = now() - $2::float8 * interval '1 second' "
        "WHERE tenant_id = $1::text::uuid",
        tenant,
        since,
    )
    return tenant


async def states(crm: Database) -> dict[str, str]:
    """Status by tenant."""
    return {str(row["tenant_id"]): row["status"] for row in await crm.fetch("SELECT * FROM crm.tenant_syncs")}


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """Every figure."""
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_what_was_stuck_before_the_start_is_ended_at_the_start(crm_database: Database) -> None:
    old, young = await gone(crm_database, since=601.0), await gone(crm_database, since=590.0)
    held_now = str(uuid.uuid4())
    await Leases(crm_database, "alive").take(held_now, "sync-alive", Wish())
    upkeep = Upkeep(crm_database)
    running = asyncio.create_task(upkeep.run())

    async def ended() -> bool:
        return (await states(crm_database))[old] == "failed"

    await until(ended, within=30.0)
    upkeep.stop()
    await running

    assert await states(crm_database) == {old: "failed", young: "in_progress", held_now: "in_progress"}


async def test_a_lease_of_a_clock_that_was_wrong_is_stuck_and_one_just_let_go_is_not(
    crm_database: Database,
) -> None:
    ahead, left = await gone(crm_database, since=-86_400.0), await gone(crm_database, since=0.0)
    await crm_database.execute(
        "UPDATE crm.tenant_syncs SET lease_until = NULL WHERE tenant_id = $1::text::uuid", left
    )

    early = [row["tenant"] for row in await Upkeep(crm_database).stuck(0.0)]
    await crm_database.execute("UPDATE crm.tenant_syncs SET started_at = now() - interval '62 seconds'")
    late = [row["tenant"] for row in await Upkeep(crm_database).stuck(0.0)]

    assert early == [ahead]
    assert sorted(late) == sorted([ahead, left])


@pytest.mark.parametrize("how", ["clean-up", "release"])
async def test_nothing_is_written_under_a_lock_that_was_taken_away(crm_database: Database, how: str) -> None:
    tenant, leases = str(uuid.uuid4()), Leases(crm_database, "slow")
    lease = await leases.take(tenant, "sync-slow", Wish())
    assert lease is not None
    await taken(crm_database, tenant, how)

    for write in (
        lambda: leases.renew(lease),
        lambda: leases.record(lease, "users", "completed", Count(), (None, 0.0)),
        lambda: leases.essential(lease),
        lambda: leases.finish(lease),
    ):
        with pytest.raises(Superseded):
            await write()
    async with crm_database.transaction() as tx:
        with pytest.raises(Superseded):
            await leases.check(lease, tx)
    assert await states(crm_database) == {tenant: {"clean-up": "failed", "release": "pending"}[how]}
    assert await crm_database.fetchval("SELECT count(*) FROM crm.tenant_sync_collections") == 0


@pytest.mark.parametrize("how", ["clean-up", "release"])
async def test_a_login_whose_run_lost_its_lock_begins_again_and_only_the_new_run_writes(
    source: Database, crm_database: Database, producers: Producers, caplog: LogCaptureFixture, how: str
) -> None:
    tenant, goes_on = await founded(source, producers), asyncio.Event()
    others = Leases(crm_database, "other")
    async with wrapper_api.wrapper_api(source) as api:
        api.fail(r"users.*", wrapper_api.once(goes_on))
        async with syncing(over(api), crm_database) as syncs:
            late = asyncio.create_task(syncs.ensure_tenant_sync(tenant))
            await until(lambda: bool(api.bitten))
            await taken(crm_database, tenant, how)
            lease = await others.take(tenant, "sync-other", Wish())  # so that the login has to wait
            assert lease is not None
            goes_on.set()
            await until(lambda: "tenant_sync.superseded" in caplog.text, within=30.0)
            between = await held(crm_database, tenant)
            await others.let_go(lease)
            result = await late
            await syncs.settled(tenant)
            after = await held(crm_database, tenant)

    assert (between["users"], between["role_assignments"]) == (0, 0)
    assert result.success
    assert after["users"] == 10
    first = {"clean-up": "failed", "release": "superseded"}[how]
    assert [status for _, status in await runs(crm_database)] == [first, "superseded", "completed"]


async def taken(crm: Database, tenant: str, how: str) -> None:
    """The lock of a run is taken away."""
    if how == "release":
        freed = await Upkeep(crm).release(tenant, "test")
        assert freed is not None
        assert freed.released
        return
    await crm.execute("UPDATE crm.tenant_syncs SET lease_until = now() - interval '11 min'")
    assert [row["tenant"] for row in await Upkeep(crm).clean_up("test")] == [tenant]


async def test_old_runs_and_notes_are_forgotten_and_the_last_run_of_each_tenant_stays(
    crm_database: Database,
) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    for tenant, days in ((one, (40, 31, 29)), (other, (50, 45))):
        for token, age in enumerate(days, 1):
            await crm_database.execute(
                "INSERT INTO crm.tenant_sync_runs (tenant_id, token, correlation_id, sync_method, "
                "requested_method, fallback_used, triggered_by, started_at, ended_at, status) "
                "SELECT $1::text::uuid, $2, 'c', 'direct', 'direct', false, 't', day, day, 'completed' "
                "FROM (SELECT now() - $3::int * interval '1 day' AS day) AS old",
                *(tenant, token, age),
            )
            await crm_database.execute(
                "INSERT INTO crm.tenant_sync_notes (tenant_id, noted_at, actor, action) "
                "VALUES ($1::text::uuid, now() - $2::int * interval '1 day', 'test', 'triggered')",
                *(tenant, age),
            )

    forgotten = await Upkeep(crm_database).prune()

    assert forgotten == (3, 4)
    left = await crm_database.fetch("SELECT tenant_id::text, token FROM crm.tenant_sync_runs ORDER BY token")
    assert {tuple(row) for row in left} == {(one, 3), (other, 2)}
    assert KEPT == 30 * 86_400


async def test_figures_are_what_the_database_says(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    await crm_database.execute("ALTER TABLE crm.credits ADD CHECK (allocated_credits < 0)")
    await gone(crm_database, since=1.0)
    async with syncing(source, crm_database) as syncs:
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
    registry = CollectorRegistry()
    figures = Figures(registry)
    figures.show(await Statistics(crm_database).read())
    first = shown(registry)
    figures.show(None)

    assert first["headwater_tenant_sync_stuck"] == 1
    assert first['headwater_tenant_sync_failed_collections{collection="entityCredits"}'] == 1
    assert first['headwater_tenant_sync_failed_collections{collection="users"}'] == 0
    assert first['headwater_tenant_sync_health{status="degraded"}'] == 1
    assert first['headwater_tenant_sync_health{status="healthy"}'] == 0
    assert first["headwater_tenant_sync_failure_ratio"] == 0
    labels = 'fallback="false",method="direct",outcome="completed"'
    assert first[f"headwater_tenant_sync_hour_runs{{{labels}}}"] == 1
    whole = first['headwater_tenant_sync_average_seconds{part="whole"}']
    assert whole >= first['headwater_tenant_sync_average_seconds{part="essential"}'] > 0
    assert not [name for name in shown(registry) if "health" in name]


async def test_a_lock_stays_while_its_run_is_in_a_transaction_that_does_not_end(
    crm_database: Database,
) -> None:
    tenant, leases = str(uuid.uuid4()), Leases(crm_database, "slow")
    lease = await leases.take(tenant, "sync-slow", Wish())
    assert lease is not None
    await crm_database.execute("UPDATE crm.tenant_syncs SET lease_until = now() - interval '11 min'")
    impatient = await Database.open(crm_database.url, limits=DatabaseSettings(lock_timeout=0.2))
    upkeep = Upkeep(impatient)
    try:
        async with crm_database.transaction() as tx:
            await leases.check(lease, tx)
            with pytest.raises(StillWriting):
                await upkeep.release(tenant, "test")
            meanwhile = await upkeep.clean_up("test")
        after = await upkeep.clean_up("test")
    finally:
        await impatient.close()

    assert meanwhile == []
    assert [row["tenant"] for row in after] == [tenant]
