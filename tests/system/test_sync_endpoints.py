"""Historical sync and its status over HTTP: what they take and answer (HS2, HS3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from headwater.testing import RunningServers
from tests.system.running import ELSEWHERE, KEYS, Running, running

SECTIONS = {"credits": 1, "organizations": 5, "assignments": 10, "users": 10, "roles": 13}
"""What a first day brings the CRM, by section of a report."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system; every test has a tenant of its own."""
    async with running(servers, templates) as system:
        yield system


@pytest_asyncio.fixture
async def tenant(system: Running) -> str:
    """A tenant after its first day: it has HR, and not the CRM."""
    _, tenant = await system.founded()
    await system.quiet()  # what is still to be relayed when the CRM is enabled would reach it
    return tenant


def history(tenant: str, app: str = "crm") -> str:
    """A path."""
    return f"/admin/organizations/{tenant}/applications/{app}/sync-historical"


def switched(*on: str) -> dict[str, Any]:
    """Options that leave only these switches on."""
    names = ("syncCredits", "syncOrganizations", "syncAssignments", "syncUsers", "syncRoles")
    return {name: name in on for name in names}


async def test_a_dry_run_counts_and_publishes_nothing(system: Running, tenant: str) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    await system.quiet()
    before = await system.all_entries(tenant, "crm")

    answer = await system.sync(tenant, dryRun=True)

    assert answer.status == 200
    assert set(answer.body) == {"tenantId", "appCode", "dryRun", "timestamp", *SECTIONS, "summary"}
    assert (answer.body["tenantId"], answer.body["appCode"], answer.body["dryRun"]) == (tenant, "crm", True)
    assert datetime.fromisoformat(answer.body["timestamp"]).tzinfo is not None
    for section, synced in SECTIONS.items():
        assert answer.body[section] == {"synced": synced, "failed": 0, "details": []}
    assert answer.body["summary"] == {"totalSynced": 39, "totalFailed": 0, "success": True}
    assert await system.all_entries(tenant, "crm") == before
    assert await system.source.fetchval("SELECT count(*) FROM headwater.job WHERE tenant = $1", tenant) == 0


async def test_an_application_named_by_its_id_is_answered_by_its_code(system: Running, tenant: str) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    identity = await system.source.fetchval("SELECT app_id::text FROM applications WHERE app_code = 'crm'")

    dry, whole = (
        await system.sync(tenant, identity, dryRun=True),
        await system.sync(tenant, identity, wait=30),
    )

    for answer in (dry, whole, await system.status(tenant, identity)):
        assert (answer.status, answer.body["appCode"]) == (200, "crm")


async def test_a_sync_answers_at_once_with_the_job_and_where_to_look_for_it(
    system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)

    answer = await system.sync(tenant)

    assert answer.status == 202
    assert set(answer.body) == {"tenantId", "appCode", "dryRun", "job"}
    job = answer.body["job"]["id"]
    assert answer.headers["Location"] == f"/admin/organizations/{tenant}/applications/crm/jobs/{job}"
    await system.ended(job)
    found = await system.call("GET", answer.headers["Location"])
    assert (found.body["state"], found.body["finished"]) == ("verified", True)
    assert [one["what"] for one in found.body["events"]][-1] == "verified"


async def test_a_sync_that_is_waited_for_answers_the_documented_shape(system: Running, tenant: str) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)

    answer = await system.sync(tenant, wait=30)

    assert answer.status == 200
    assert set(answer.body) == {"tenantId", "appCode", "dryRun", "timestamp", *SECTIONS, "summary", "job"}
    assert answer.body["dryRun"] is False
    assert answer.body["summary"] == {"totalSynced": 39, "totalFailed": 0, "success": True}
    for section, synced in SECTIONS.items():
        found = answer.body[section]
        assert (found["synced"], found["failed"], found["detailsTruncated"]) == (synced, 0, False)
        assert len(found["details"]) == synced
    credit = await system.source.fetchval(
        "SELECT allocation_id::text FROM credit_allocations "
        "WHERE tenant_id = $1::text::uuid AND target_application = 'crm'",
        tenant,
    )
    assert answer.body["credits"]["details"] == [
        {"allocationId": credit, "status": "synced", "amount": "400.0000"}
    ]
    organizations = await system.source.fetch(
        "SELECT entity_id::text AS id, entity_code FROM entities WHERE tenant_id = $1::text::uuid "
        "ORDER BY entity_level, entity_id",
        tenant,
    )
    assert answer.body["organizations"]["details"] == [
        {"organizationId": row["id"], "orgCode": row["entity_code"], "status": "synced"}
        for row in organizations
    ]
    assert [set(one) for one in answer.body["assignments"]["details"]] == [{"membershipId", "status"}] * 10


async def test_a_row_that_can_not_be_said_is_reported_and_the_others_are_synced(
    system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    bad = await system.source.fetchval(
        "UPDATE entities SET description = repeat('x', 300000) WHERE entity_id = "
        "(SELECT entity_id FROM entities WHERE tenant_id = $1::text::uuid "
        "ORDER BY entity_level DESC LIMIT 1) "
        "RETURNING entity_id::text",
        tenant,
    )

    answer = await system.sync(tenant, wait=30)

    found = answer.body["organizations"]
    assert (found["synced"], found["failed"]) == (4, 1)
    [failure] = [one for one in found["details"] if one["status"] == "failed"]
    assert set(failure) == {"organizationId", "status", "error"}
    assert failure["organizationId"] == bad
    assert answer.body["summary"]["success"] is False
    assert (await system.status(tenant)).body["needsSync"] is True


@pytest.mark.parametrize("when", ["20225-01-01", "0044-03-15 BC"])
async def test_a_row_with_a_time_out_of_reach_is_put_aside_alone(
    when: str, system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    bad = await system.source.fetchval(
        "UPDATE entities SET created_at = $2::text::timestamp WHERE entity_id = "
        "(SELECT entity_id FROM entities WHERE tenant_id = $1::text::uuid "
        "ORDER BY entity_level DESC LIMIT 1) "
        "RETURNING entity_id::text",
        *(tenant, when),
    )

    answer = await system.sync(tenant, wait=30)
    path = f"/admin/reconcile/{tenant}/crm?wait=30"
    mended = await system.call("POST", path, {"fix": True, "level": 2, "subjects": ["organizations"]})

    found = answer.body["organizations"]
    assert (found["synced"], found["failed"]) == (4, 1)
    [failure] = [one for one in found["details"] if one["status"] == "failed"]
    assert failure["organizationId"] == bad
    assert failure["error"].startswith("ValueError: created_at")
    assert answer.body["summary"]["totalFailed"] == 1
    assert mended.status == 200
    [subject] = mended.body["subjects"]
    assert (subject["reason"], subject["refused"].keys()) == ("1 missing", {bad})


async def test_at_most_a_thousand_rows_of_a_subject_are_reported_one_by_one(system: Running) -> None:
    _, tenant = await system.founded(users=1100)
    await system.toggle(tenant, skipHistoricalSync=True)
    only = switched("syncUsers")

    answer = await system.sync(tenant, wait=30, **only)

    users = answer.body["users"]
    assert (users["synced"], len(users["details"]), users["detailsTruncated"]) == (1100, 1000, True)


async def test_switches_select_what_is_synced(system: Running, tenant: str) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    only = switched("syncOrganizations")

    dry = await system.sync(tenant, dryRun=True, **only)
    answer = await system.sync(tenant, wait=30, **only)

    for body in (dry.body, answer.body):
        synced = {section: body[section]["synced"] for section in SECTIONS}
        assert synced == {"credits": 0, "organizations": 5, "assignments": 0, "users": 0, "roles": 0}
    assert await system.count("crm.organizations", tenant) == 5
    assert await system.count("crm.users", tenant) == 0
    assert (await system.status(tenant)).body["needsSync"] is True


async def test_only_what_was_created_or_changed_at_or_after_a_date_is_synced(
    system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    await system.source.execute(
        "UPDATE entities SET created_at = '2024-01-01', updated_at = '2024-01-01' "
        "WHERE tenant_id = $1::text::uuid",
        tenant,
    )
    await system.source.execute(
        "UPDATE entities SET updated_at = '2024-03-01 12:00:00' WHERE entity_id = "
        "(SELECT entity_id FROM entities WHERE tenant_id = $1::text::uuid ORDER BY entity_level LIMIT 1)",
        tenant,
    )

    async def synced(since: str) -> int:
        answer = await system.sync(tenant, dryRun=True, sinceDate=since)
        found: int = answer.body["organizations"]["synced"]
        return found

    assert await synced("2024-01-01T00:00:00Z") == 5
    assert await synced("2024-01-01T01:00:00+01:00") == 5
    assert await synced("2024-01-01T00:00:00.001Z") == 1
    assert await synced("2024-03-01T12:00:00Z") == 1
    assert await synced("2024-03-01T12:00:01Z") == 0


async def test_a_sync_since_a_date_is_partial_and_leaves_a_needed_sync_needed(
    system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)
    await system.source.execute(
        "UPDATE entities SET created_at = '2024-01-01', updated_at = '2024-01-01' "
        "WHERE tenant_id = $1::text::uuid AND parent_entity_id IS NOT NULL",
        tenant,
    )
    assert (await system.status(tenant)).body["needsSync"] is True

    answer = await system.sync(tenant, wait=30, sinceDate="2024-02-01T00:00:00Z")

    assert (answer.body["job"]["state"], answer.body["summary"]["success"]) == ("partial", True)
    assert answer.body["organizations"]["synced"] == 1
    assert await system.count("crm.organizations", tenant) == 1
    status = (await system.status(tenant)).body
    assert (status["needsSync"], status["syncState"]) == (True, "differs")


@pytest.mark.parametrize(
    ("since", "why"),
    [
        ("2024-01-01T00:00:00", "time zone"),
        ("2024-01-01", "RFC3339"),
        ("yesterday", "RFC3339"),
        ("2024-02-30T00:00:00Z", "RFC3339"),
        ("0001-01-01T00:00:00+14:00", "years 1 to 9999"),
        (1704067200, "sinceDate"),
        (True, "sinceDate"),
    ],
)
async def test_a_bad_date_is_refused_and_the_answer_says_why(
    since: object, why: str, system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)

    for dry_run in (True, False):
        answer = await system.sync(tenant, dryRun=dry_run, sinceDate=since)
        assert (answer.status, answer.is_problem, answer.body["field"]) == (400, True, "sinceDate"), answer
        assert why in answer.body["detail"] or why == "sinceDate"


async def test_bad_waits_and_unknown_options_are_refused(system: Running, tenant: str) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)

    for wait in ("-1", "61", "soon", "nan", ""):
        answer = await system.call("POST", f"{history(tenant)}?wait={wait}", {})
        assert (answer.status, answer.body["field"]) == (400, "wait")
    bodies: list[Any] = [{"syncEverything": True}, {"dryRun": "no"}, {"syncCredits": None}, []]
    for body in bodies:
        assert (await system.call("POST", history(tenant), body)).status == 400


async def test_a_sync_takes_a_pace_which_its_job_and_its_audit_trail_show(
    system: Running, tenant: str
) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)

    answer = await system.sync(tenant, wait=30, rate=5000, priority=-7)

    job = answer.body["job"]
    assert (job["state"], job["rate"], job["priority"]) == ("verified", 5000, -7)
    shown = await system.call("GET", f"{history(tenant).rpartition('/')[0]}/jobs/{job['id']}")
    assert shown.body["events"][0]["detail"] == "asked for; priority -7; rate 5000"
    bad: list[tuple[str, Any]] = [("rate", 0), ("rate", 1.5), ("rate", "fast"), ("priority", 101)]
    for name, value in (*bad, ("rate", 10_000_001), ("priority", True), ("priority", None)):
        answer = await system.sync(tenant, **{name: value})
        assert (answer.status, answer.is_problem, answer.body["field"]) == (400, True, name), answer


async def test_a_sync_needs_the_application_enabled(system: Running, tenant: str) -> None:
    asked: list[dict[str, Any]] = [{}, {"dryRun": True}]
    for options in asked:
        answer = await system.sync(tenant, **options)
        assert (answer.status, answer.is_problem) == (409, True)
        assert "not enabled" in answer.body["detail"]
    await system.toggle(tenant, skipHistoricalSync=True)
    await system.toggle(tenant, on=False)
    assert (await system.sync(tenant)).status == 409


async def test_while_a_sync_runs_another_is_refused_with_the_running_job(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(servers, templates, workers=()) as system:
        _, tenant = await system.founded()
        running_job = (await system.toggle(tenant)).body["historicalSync"]["job"]["id"]

        answer = await system.sync(tenant)
        still = await system.call("POST", f"{history(tenant)}?wait=0.05", {"dryRun": True})

        assert (answer.status, answer.is_problem) == (409, True)
        assert answer.body["job"]["id"] == running_job
        assert still.status == 200
        assert (await system.toggle(tenant, on=False)).status == 200


async def test_what_is_waited_for_in_vain_answers_with_the_job_as_it_stands(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(servers, templates, workers=()) as system:
        _, tenant = await system.founded()
        await system.toggle(tenant, skipHistoricalSync=True)

        answer = await system.sync(tenant, wait=0.3)

        assert (answer.status, answer.body["job"]["finished"]) == (202, False)
        assert (await system.toggle(tenant, on=False)).status == 200


# Status


async def test_the_status_has_the_counts_of_the_seed_and_is_needed_until_a_clean_comparison(
    system: Running, tenant: str
) -> None:
    before = (await system.status(tenant)).body
    await system.toggle(tenant, skipHistoricalSync=True)
    skipped = (await system.status(tenant)).body
    await system.sync(tenant, wait=30)
    after = (await system.status(tenant)).body

    for body in (before, skipped, after):
        counts = (body["activeAllocations"], body["totalOrganizations"], body["totalMemberships"])
        assert (body["tenantId"], body["appCode"], counts) == (tenant, "crm", (1, 5, 10))
    assert (before["needsSync"], skipped["needsSync"], after["needsSync"]) == (True, True, False)
    assert (skipped["syncState"], after["syncState"], after["reason"]) == ("differs", "clean", "")
    assert "organizations" in skipped["reason"]
    subjects = {one["subject"]: one for one in after["subjects"]}
    first, more = {"organizations": 5, "users": 10, "roles": 3}, {"role_assignments": 10, "assignments": 10}
    found = {name: one["sourceCount"] for name, one in subjects.items()}
    assert found == {**first, **more, "credits": 1}
    assert all(one["appliedCount"] == one["sourceCount"] for one in subjects.values())
    assert all(one["bucketsDiffering"] == 0 and one["lastCleanPass"] for one in subjects.values())
    assert after["job"]["state"] == "verified"
    assert after["group"]["livingConsumers"] == 1
    assert after["group"]["lastApply"]
    assert (after["group"]["lag"], after["group"]["deadLetters"]) == (0, 0)


async def test_a_key_for_some_tenants_learns_how_old_the_lag_is_and_not_how_much_others_do(
    system: Running, tenant: str
) -> None:
    path = f"/admin/organizations/{ELSEWHERE}/applications/crm/sync-status"
    await system.source.execute(
        "INSERT INTO tenants (tenant_id, company_name, subdomain, admin_email) VALUES ($1, 'E', 'e', 'e@e')",
        ELSEWHERE,
    )

    answer = await system.call("GET", path, key=KEYS["foreign"])
    assert answer.status == 200, answer

    group = answer.body["group"]
    assert (group["lag"], group["pending"], group["deadLetters"]) == (None, None, 0)
    assert group["lagSeconds"] >= 0
    assert group["livingConsumers"] == 1


async def test_an_application_that_is_not_enabled_is_unknown_even_where_both_sides_agree(
    system: Running, tenant: str
) -> None:
    await system.enabled(tenant)
    await system.toggle(tenant, on=False)

    status = (await system.status(tenant)).body

    assert (status["needsSync"], status["syncState"]) == (True, "unknown")
    assert "not enabled" in status["reason"]
