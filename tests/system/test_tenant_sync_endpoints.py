"""Tenant sync over HTTP: what is answered, and to whom; nothing is written under a lock that is gone."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from backfill.tenant_sync.leases import Leases, Wish
from backfill.tenant_sync.source import COLLECTIONS
from headwater.testing import RunningServers, until
from tests.system.running import ELSEWHERE, KEYS, Answer, Running, running, together

NOBODY = "0b0d1e00-0000-4000-8000-00000000dead"
TOTALS = ("/statistics", "/metrics", "/health", "/method-stats", "/consumer/health")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system; every test has tenants of its own."""
    async with running(servers, templates, workers=()) as system:
        yield system


@pytest_asyncio.fixture
async def tenant(system: Running) -> str:
    """A tenant that the CRM does not know."""
    await system.crm.execute("TRUNCATE crm.tenant_syncs, crm.tenant_sync_collections, crm.tenant_sync_runs")
    _, tenant = await system.founded()
    return tenant


async def ask(system: Running, method: str, path: str, **more: Any) -> Answer:
    """An endpoint of the tenant sync."""
    return await system.call(method, f"/api/sync{path}", **more)


async def data(system: Running, path: str, **more: Any) -> Any:
    """What a GET tells."""
    answer = await ask(system, "GET", path, **more)
    assert (answer.status, answer.body["success"]) == (200, True), answer
    return answer.body["data"]


async def ended(system: Running, tenant: str) -> Any:
    """The status of a tenant whose run has ended."""

    async def look() -> Any:
        found = await data(system, f"/tenants/{tenant}/status")
        return found if found["status"] in {"completed", "failed"} else None

    return await until(look, within=60.0)


async def stuck(system: Running, seconds: float, tenant: str | None = None) -> str:
    """A run whose process went away so long ago that its lease ran out then."""
    tenant = tenant or str(uuid.uuid4())
    lease = await Leases(system.crm, "gone").take(tenant, f"sync-{tenant}", Wish())
    assert lease is not None
    await system.crm.execute(
        "UPDATE crm.tenant_syncs SET lease_until = now() - $2::float8 * interval '1 second' "
        "WHERE tenant_id = $1::text::uuid",
        tenant,
        seconds,
    )
    return tenant


async def runs(system: Running, **outcomes: int) -> None:
    """Runs that ended just now, two seconds long."""
    for status, count in outcomes.items():
        await system.crm.execute(
            "INSERT INTO crm.tenant_sync_runs (tenant_id, token, correlation_id, sync_method, "
            "requested_method, fallback_used, triggered_by, started_at, essential_at, ended_at, "
            "status, error_type) "
            "SELECT gen_random_uuid(), 1, 'c', 'direct', 'direct', false, 'test', now() - interval '2 s', "
            "now() - interval '1 s', now(), $1, CASE WHEN $1 = 'failed' THEN 'NETWORK_ERROR' END "
            "FROM generate_series(1, $2)",
            status,
            count,
        )


async def test_a_trigger_answers_when_essential_data_is_in_and_the_rest_follows(
    system: Running, tenant: str
) -> None:
    before = await data(system, f"/needs-sync/{tenant}")
    answer = await ask(system, "POST", f"/tenants/{tenant}/trigger")
    after = await ended(system, tenant)
    progress = await data(system, f"/tenants/{tenant}/progress")

    assert before == {"tenantId": tenant, "needsSync": True}
    assert (answer.status, answer.body["success"]) == (200, True)
    assert answer.body["message"] == "Essential data is synced"
    assert answer.body["data"]["stats"]["users"] == 10
    assert (after["status"], after["phase"], after["needsSync"]) == ("completed", "completed", False)
    assert (after["syncMethod"], after["hasFailedCollections"], after["isStuck"]) == ("direct", False, False)
    assert after["metadata"]["triggeredBy"] == "http all"
    assert [one["action"] for one in after["events"]] == ["triggered"]
    assert (progress["progress"], progress["syncedCollections"], progress["totalCollections"]) == (100, 8, 8)
    assert await system.count("crm.users", tenant) == 10


async def test_a_tenant_that_is_there_is_synced_again_by_force_only(system: Running, tenant: str) -> None:
    await ask(system, "POST", f"/tenants/{tenant}/trigger")
    await ended(system, tenant)

    again = await ask(system, "POST", f"/tenants/{tenant}/trigger")
    forced = await ask(system, "POST", f"/tenants/{tenant}/force")

    assert again.body["data"]["alreadySynced"]
    assert not forced.body["data"]["alreadySynced"]
    assert again.body["data"]["correlationId"] != forced.body["data"]["correlationId"]
    assert (await ended(system, tenant))["attemptCount"] == 0


async def test_a_trigger_that_may_not_wait_says_where_to_look(system: Running, tenant: str) -> None:
    answer = await ask(system, "POST", f"/tenants/{tenant}/trigger?wait=0")

    assert answer.status == 202
    assert answer.headers["Location"] == f"/api/sync/tenants/{tenant}/status"
    assert (await ended(system, tenant))["status"] == "completed"


async def test_without_reference_data_the_sync_ends_behind_the_essential_part_and_the_next_makes_the_rest(
    system: Running, tenant: str
) -> None:
    answer = await ask(system, "POST", f"/tenants/{tenant}/trigger?skipReferenceData=true")
    first = await ended(system, tenant)
    progress = await data(system, f"/tenants/{tenant}/progress")
    again = await ask(system, "POST", f"/tenants/{tenant}/trigger", body={"skipReferenceData": True})
    await ask(system, "POST", f"/tenants/{tenant}/trigger")
    second = await until(lambda: _whole(system, tenant), within=60.0)

    assert (answer.status, answer.body["data"]["backgroundSyncStarted"]) == (200, False)
    assert (first["status"], first["needsSync"]) == ("completed", True)
    assert (progress["syncedCollections"], progress["progress"]) == (5, 62)
    assert again.body["data"]["alreadySynced"]
    assert second["status"] == "completed"
    assert await system.count("crm.credits", tenant) == 1


async def _whole(system: Running, tenant: str) -> Any:
    found = await data(system, f"/tenants/{tenant}/status")
    return None if found["needsSync"] or found["isLocked"] else found


async def test_hundreds_of_triggers_of_one_tenant_cost_one_run_and_get_one_answer(
    system: Running, tenant: str
) -> None:
    answers = await together(*(ask(system, "POST", f"/tenants/{tenant}/trigger") for _ in range(400)))
    await ended(system, tenant)

    assert {answer.status for answer in answers} <= {200, 503}
    good = [answer.body["data"] for answer in answers if answer.status == 200]
    assert len(good) > 200
    assert len({one["correlationId"] for one in good}) == 1
    count = "SELECT count(*) FROM crm.tenant_sync_runs WHERE tenant_id = $1::text::uuid"
    assert await system.crm.fetchval(count, tenant) == 1
    assert await system.count("crm.users", tenant) == 10


async def test_a_tenant_that_does_not_exist_fails_clearly_and_is_not_tried_again(system: Running) -> None:
    unknown = await data(system, f"/tenants/{NOBODY}/status")
    answer = await ask(system, "POST", f"/tenants/{NOBODY}/trigger")

    assert (unknown["status"], unknown["needsSync"]) == ("not_started", True)
    assert (answer.status, answer.body["success"]) == (422, False)
    assert answer.body["error"] == "the source has no such tenant"
    assert (answer.body["data"]["errorType"], answer.body["data"]["retryable"]) == ("VALIDATION_ERROR", False)
    assert "Retry-After" not in answer.headers


async def test_what_runs_over_all_is_counted_by_method_status_and_collection(
    system: Running, tenant: str
) -> None:
    await ask(system, "POST", f"/tenants/{tenant}/trigger")
    await ended(system, tenant)
    await runs(system, completed=2, failed=1, superseded=1)

    statistics = await data(system, "/statistics")
    metrics = await data(system, "/metrics?hours=1")
    methods = await data(system, "/method-stats")

    assert (statistics["totalTenants"], statistics["byStatus"]["completed"]) == (1, 1)
    assert set(statistics["collections"]) == {one.name for one in COLLECTIONS}
    assert statistics["collections"]["users"]["records"]["stored"] == 10
    assert statistics["runs"]["errorTypes"] == {"NETWORK_ERROR": 1}
    orchestration = metrics["orchestration"]
    assert (orchestration["totalSyncs"], orchestration["completedSyncs"]) == (5, 3)
    assert (orchestration["failureRate"], orchestration["successRate"]) == (25.0, 75.0)
    assert orchestration["durations"]["max"] == 2000
    assert orchestration["durations"]["p50"] == 2000
    assert metrics["collections"]["users"]["successRate"] == 100.0
    assert metrics["collections"]["users"]["lately"]["completed"] == 1
    assert (methods["totalSyncs"], methods["directSyncs"], methods["temporalSyncs"]) == (5, 5, 0)
    assert methods["methods"]["direct"]["failedSyncs"] == 1


async def test_a_fallback_is_counted_beside_its_method(system: Running, tenant: str) -> None:
    wish = Wish(method="direct", requested="temporal", fallback=True)
    leases = Leases(system.crm, "test")
    lease = await leases.take(tenant, "sync-x", wish)
    assert lease is not None
    await leases.finish(lease)

    methods = await data(system, "/method-stats")

    assert (methods["fallbackSyncs"], methods["directSyncs"]) == (1, 1)
    assert methods["methods"]["direct"]["fallback"]["completedSyncs"] == 1


@pytest.mark.parametrize(
    ("completed", "failed", "waiting", "status", "code"),
    [
        (0, 0, 0, "healthy", 200),
        (19, 1, 0, "healthy", 200),
        (18, 1, 0, "degraded", 200),
        (4, 1, 0, "degraded", 200),
        (3, 1, 0, "unhealthy", 503),
        (0, 0, 1, "degraded", 200),
        (0, 0, 6, "unhealthy", 503),
    ],
)
@pytest.mark.usefixtures("tenant")
async def test_health_is_told_from_the_last_hour_and_what_is_stuck(
    system: Running, completed: int, failed: int, waiting: int, status: str, code: int
) -> None:
    await runs(system, completed=completed, failed=failed)
    await system.crm.execute(
        "INSERT INTO crm.tenant_sync_runs (tenant_id, token, correlation_id, sync_method, "
        "requested_method, fallback_used, triggered_by, started_at, ended_at, status) "
        "SELECT gen_random_uuid(), 1, 'c', 'direct', "
        "'direct', false, 'test', now() - interval '2 h', now() - interval '61 min', 'failed' "
        "FROM generate_series(1, 50)"
    )
    for _ in range(waiting):
        await stuck(system, 1.0)

    answer = await ask(system, "GET", "/health")

    assert (answer.status, answer.body["data"]["status"]) == (code, status)
    assert answer.body["success"] == (code == 200)
    assert answer.body["data"]["stuckSyncs"] == waiting
    alerts = {one["name"] for one in answer.body["data"]["alerts"]}
    assert ("TenantSyncUnhealthy" in alerts) == (status != "healthy")
    assert ("TenantSyncStuck" in alerts) == bool(waiting)


async def test_a_stuck_run_is_ended_by_clean_up_and_writes_nothing_any_more(
    system: Running, tenant: str
) -> None:
    old, young = await stuck(system, 700.0, tenant), await stuck(system, 500.0)
    token = await system.crm.fetchval(
        "SELECT token FROM crm.tenant_syncs WHERE tenant_id = $1::text::uuid", old
    )
    shown = await data(system, f"/tenants/{old}/status")

    first = await ask(system, "POST", "/cleanup")
    second = await ask(system, "POST", "/cleanup")
    younger = await ask(system, "POST", "/cleanup?olderThan=400")
    after = await data(system, f"/tenants/{old}/status")

    assert shown["isStuck"]
    assert first.body["data"]["cleanedCount"] == 1
    assert [one["tenantId"] for one in first.body["data"]["cleaned"]] == [old]
    assert second.body["data"]["cleanedCount"] == 0
    assert [one["tenantId"] for one in younger.body["data"]["cleaned"]] == [young]
    assert (after["status"], after["isStuck"], after["needsSync"]) == ("failed", False, True)
    assert after["errors"][0]["message"] == "Sync marked as failed due to stuck lock"
    assert [one["action"] for one in after["events"]] == ["clean-up"]
    held = "SELECT token FROM crm.tenant_syncs WHERE tenant_id = $1::text::uuid"
    assert await system.crm.fetchval(held, old) == token + 1
    rows = await system.crm.fetch(
        "SELECT status FROM crm.tenant_sync_runs WHERE error_type = 'TIMEOUT_ERROR'"
    )
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert (await ask(system, "POST", f"/tenants/{old}/trigger")).status == 200


async def test_a_lock_is_taken_from_a_run_in_its_middle_and_from_nobody_once_it_has_ended(
    system: Running, tenant: str
) -> None:
    leases = Leases(system.crm, "slow")
    lease = await leases.take(tenant, "sync-slow", Wish())
    assert lease is not None
    async with system.crm.transaction() as tx:
        await leases.check(lease, tx)
        asked = asyncio.create_task(ask(system, "DELETE", f"/tenants/{tenant}/lock"))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await until(lambda: system.crm.fetchval(waits), within=30.0)  # the transaction it is in comes first
        assert not asked.done()
    first, second = await asked, await ask(system, "DELETE", f"/tenants/{tenant}/lock")
    after = await data(system, f"/tenants/{tenant}/status")

    assert (first.status, first.body["message"]) == (200, "Lock removed")
    assert first.body["data"] == {"tenantId": tenant, "released": True, "heldBy": "slow"}
    assert second.body["data"]["released"] is False
    assert (after["status"], after["isLocked"], after["needsSync"]) == ("pending", False, True)
    assert [one["actor"] for one in after["events"]] == ["all", "all"]
    assert (await ask(system, "DELETE", f"/tenants/{NOBODY}x/lock")).status == 404
    assert (await ask(system, "DELETE", f"/tenants/{uuid.uuid4()}/lock")).status == 404


async def test_syncs_are_listed_newest_first_by_status_and_only_those_of_the_key(
    system: Running, tenant: str
) -> None:
    await ask(system, "POST", f"/tenants/{tenant}/trigger")
    await ended(system, tenant)
    await stuck(system, 1.0, ELSEWHERE)

    everybody = await data(system, "/all")
    running_ones = await data(system, "/all?status=in_progress")
    theirs = await data(system, "/all", key=KEYS["foreign"])

    assert [one["tenantId"] for one in everybody] == [ELSEWHERE, tenant]
    assert [one["isStuck"] for one in everybody] == [True, False]
    assert [one["tenantId"] for one in running_ones] == [ELSEWHERE]
    assert [one["tenantId"] for one in theirs] == [ELSEWHERE]
    assert len(await data(system, "/all?limit=1")) == 1


async def test_a_key_for_some_tenants_sees_and_does_nothing_of_others_and_gets_no_totals(
    system: Running, tenant: str
) -> None:
    foreign = {"key": KEYS["foreign"]}
    seen = [
        await ask(system, method, path, **foreign)
        for method, path in (
            ("POST", f"/tenants/{tenant}/trigger"),
            ("POST", f"/tenants/{tenant}/force"),
            ("GET", f"/tenants/{tenant}/status"),
            ("GET", f"/tenants/{tenant}/progress"),
            ("DELETE", f"/tenants/{tenant}/lock"),
            ("GET", f"/needs-sync/{tenant}"),
            ("GET", f"/needs-sync/{tenant.upper()}"),
        )
    ]
    totals = [await ask(system, "GET", path, **foreign) for path in TOTALS]
    totals += [
        await ask(system, "POST", path, **foreign) for path in ("/cleanup", "/consumer/reset-circuit-breaker")
    ]

    assert [answer.status for answer in seen] == [404] * 7
    assert [answer.status for answer in totals] == [403] * 7
    assert all(answer.is_problem and answer.body["success"] is False for answer in (*seen, *totals))
    assert await system.crm.fetchval("SELECT count(*) FROM crm.tenant_syncs") == 0
    assert (await ask(system, "GET", f"/tenants/{ELSEWHERE}/status", **foreign)).status == 200


async def test_who_may_only_read_starts_and_removes_nothing(system: Running, tenant: str) -> None:
    reader = {"key": KEYS["reader"]}
    asked = (
        ("POST", f"/tenants/{tenant}/trigger"),
        ("POST", f"/tenants/{tenant}/force"),
        ("DELETE", f"/tenants/{tenant}/lock"),
        ("POST", "/cleanup"),
        ("POST", "/consumer/reset-circuit-breaker"),
    )

    assert [(await ask(system, *one, **reader)).status for one in asked] == [403] * 5
    assert (await ask(system, "GET", "/health", key=None)).status == 401
    assert (await ask(system, "GET", "/statistics", **reader)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/tenants/none/status", 404),
        ("GET", "/tenants/%00/status", 404),
        ("POST", f"/tenants/{NOBODY}/trigger?wait=61", 400),
        ("POST", f"/tenants/{NOBODY}/trigger?wait=nan", 400),
        ("POST", f"/tenants/{NOBODY}/trigger?skipReferenceData=perhaps", 400),
        ("GET", f"/tenants/{NOBODY}/trigger", 405),
        ("PUT", "/health", 405),
        ("GET", "/all?status=stuck", 400),
        ("GET", "/all?limit=101", 400),
        ("GET", "/statistics?hours=0", 400),
        ("GET", "/metrics?hours=169", 400),
        ("POST", "/cleanup?olderThan=-1", 400),
        ("GET", "/nothing", 404),
    ],
)
async def test_what_can_not_be_answered_says_why_in_both_forms(
    system: Running, method: str, path: str, status: int
) -> None:
    answer = await ask(system, method, path)

    assert answer.status == status
    assert answer.is_problem
    assert answer.body["success"] is False
    assert answer.body["error"]


async def test_a_body_that_is_too_large_or_wrong_is_refused(system: Running, tenant: str) -> None:
    path = f"/tenants/{tenant}/trigger"
    large = await ask(system, "POST", path, raw=b'{"a":"' + b"x" * 1_000_000 + b'"}')
    wrong = await ask(system, "POST", path, body={"skipReferenceData": "yes"})

    assert (large.status, large.body["success"]) == (413, False)
    assert (wrong.status, wrong.body["field"]) == (400, "skipReferenceData")
    assert await system.crm.fetchval("SELECT count(*) FROM crm.tenant_syncs") == 0


async def test_what_failed_is_due_at_once_after_a_reset(system: Running, tenant: str) -> None:
    await stuck(system, 700.0, tenant)
    await ask(system, "POST", "/cleanup")

    answer = await ask(system, "POST", "/consumer/reset-circuit-breaker")

    assert answer.body["data"] == {"madeDue": 1}
    due = "SELECT next_attempt_at <= now() FROM crm.tenant_syncs WHERE tenant_id = $1::text::uuid"
    assert await system.crm.fetchval(due, tenant)


async def test_the_consumer_is_degraded_while_nobody_hears_of_requests(system: Running, tenant: str) -> None:
    await system.crm.execute(
        "INSERT INTO crm.tenant_syncs (tenant_id, requested_at) "
        "VALUES ($1::text::uuid, now() - interval '2 min')",
        tenant,
    )

    found = await data(system, "/consumer/health")

    assert (found["status"], found["workers"]) == ("degraded", 0)
    assert (found["requests"]["waiting"], found["requests"]["late"]) == (1, 1)
    assert found["requests"]["oldestSeconds"] >= 120


async def test_a_key_gets_no_further_by_headers_verbs_or_the_spelling_of_a_path(
    system: Running, tenant: str
) -> None:
    foreign = KEYS["foreign"]
    paths = (
        f"/tenants/{ELSEWHERE}%2F..%2F{tenant}/status",
        f"/tenants/{ELSEWHERE}/../{tenant}/status",
        f"/tenants/{tenant}%20/status",
        f"/tenants/{{{tenant}}}/status",
        f"/tenants/urn:uuid:{tenant}/status",
        f"/tenants/{tenant.replace('-', '')}/status",
        f"/tenants/{ELSEWHERE},{tenant}/status",
        f"//tenants/{tenant}/status",
    )
    seen = [await ask(system, "GET", path, key=foreign) for path in paths]
    twice = {"X-API-Key": KEYS["all"]}
    both = await ask(system, "GET", f"/tenants/{tenant}/status", key=foreign, headers=twice)
    said = {"X-Tenant-Id": tenant, "X-HTTP-Method-Override": "DELETE", "X-Forwarded-User": "all"}
    told = await ask(system, "GET", f"/tenants/{tenant}/status?tenant={tenant}", key=foreign, headers=said)
    head = await ask(system, "HEAD", "/health", key=foreign)
    override = await ask(system, "GET", f"/tenants/{tenant}/status", headers=said)

    assert {answer.status for answer in seen} <= {400, 404}
    assert (both.status, told.status, head.status) == (401, 404, 403)
    assert (override.status, override.body["data"]["events"]) == (200, [])


async def test_locks_taken_away_in_the_middle_of_many_syncs_leave_no_wrong_row(
    system: Running, tenant: str
) -> None:
    path = f"/tenants/{tenant}"
    verbs = [
        ("POST", "trigger"),
        ("POST", "force"),
        ("POST", "trigger?skipReferenceData=1"),
        ("DELETE", "lock"),
    ]
    asked = [verbs[number % 4] for number in range(60)]
    answers = await together(*(ask(system, verb, f"{path}/{what}") for verb, what in asked))
    await ask(system, "POST", "/cleanup?olderThan=0")
    await ask(system, "POST", f"{path}/force")
    await until(lambda: _whole(system, tenant), within=60.0)

    assert {answer.status for answer in answers} <= {200, 404}
    for table, count in (("users", 10), ("organizations", 5), ("roles", 3), ("role_assignments", 10)):
        assert await system.count(f"crm.{table}", tenant) == count
    open_runs = "SELECT count(*) FROM crm.tenant_sync_runs WHERE status = 'in_progress'"
    assert await system.crm.fetchval(open_runs) == 0
    counts = await system.crm.fetch(
        "SELECT name, fetched, stored, failed FROM crm.tenant_sync_collections "
        "WHERE tenant_id = $1::text::uuid",
        tenant,
    )
    assert len(counts) == 8
    assert [row["name"] for row in counts if row["fetched"] != row["stored"] or row["failed"]] == []
