"""The switch of applications over HTTP, and whom all endpoints of historical sync refuse (HS1)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from headwater.testing import RunningServers, until
from tests.system.running import ELSEWHERE, KEYS, Answer, Running, running, together

SUBSCRIPTION = {
    *("id", "tenantId", "appId", "isEnabled", "enabledModules", "customPermissions", "licenseCount"),
    *("maxUsers", "subscriptionTier", "expiresAt", "createdAt", "updatedAt"),
}
LISTED = {
    *("id", "appId", "appCode", "appName", "description", "icon", "baseUrl", "isEnabled"),
    *("enabledModules", "subscriptionTier", "licenseCount", "maxUsers", "expiresAt"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system; every test has a tenant of its own."""
    async with running(servers, templates) as system:
        yield system


@pytest_asyncio.fixture
async def tenant(system: Running) -> str:
    """A tenant after its first day: it has HR, and not the CRM."""
    _, tenant = await system.founded()
    return tenant


def toggle(tenant: str, app: str = "crm", mount: str = "/admin") -> str:
    """A path."""
    return f"{mount}/organizations/{tenant}/applications/{app}/toggle"


def history(tenant: str, app: str = "crm") -> str:
    """A path."""
    return f"/admin/organizations/{tenant}/applications/{app}/sync-historical"


async def app_id(system: Running, code: str = "crm") -> str:
    """An application's UUID."""
    query = "SELECT app_id::text FROM applications WHERE app_code = $1"
    found: str = await system.source.fetchval(query, code)
    return found


# Toggle


@pytest.mark.parametrize("mount", ["/admin", "/api/suite/admin"])
async def test_the_first_enable_answers_as_documented_and_starts_a_sync_by_itself(
    mount: str, system: Running, tenant: str
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)

    answer = await system.call("POST", toggle(tenant, mount=mount), {"isEnabled": True})

    assert answer.status == 200
    assert set(answer.body) == {"success", "organizationApplication", "historicalSync"}
    row, sync = answer.body["organizationApplication"], answer.body["historicalSync"]
    assert answer.body["success"] is True
    assert set(row) == SUBSCRIPTION
    assert (row["tenantId"], row["appId"], row["isEnabled"]) == (tenant, await app_id(system), True)
    assert (row["subscriptionTier"], row["enabledModules"], row["maxUsers"]) == ("basic", [], None)
    assert before < datetime.fromisoformat(row["createdAt"]) < datetime.now(UTC) + timedelta(seconds=1)
    assert (sync["started"], sync["reason"]) == (True, "application enabled")
    assert (sync["job"]["tenantId"], sync["job"]["appCode"]) == (tenant, "crm")
    job = await system.ended(sync["job"]["id"])
    assert (job.state, job.asked_by, job.parts[0].published) == ("verified", "all", 5)


async def test_an_application_is_named_by_its_uuid_in_any_case_or_by_its_code(
    system: Running, tenant: str
) -> None:
    by_id = await system.toggle(tenant, (await app_id(system)).upper())
    again = await system.toggle(tenant, "crm")

    assert (by_id.status, again.status) == (200, 200)
    assert by_id.body["organizationApplication"]["id"] == again.body["organizationApplication"]["id"]
    assert by_id.body["historicalSync"]["job"]["appCode"] == "crm"


async def test_enabling_what_is_enabled_starts_nothing_and_says_so(system: Running, tenant: str) -> None:
    await system.enabled(tenant)

    answer = await system.toggle(tenant, subscriptionTier="premium")

    assert answer.body["historicalSync"] == {
        "started": False,
        "reason": "already enabled: nothing to catch up",
        "job": None,
    }
    assert answer.body["organizationApplication"]["subscriptionTier"] == "premium"
    assert await system.source.fetchval("SELECT count(*) FROM headwater.job WHERE tenant = $1", tenant) == 1


async def test_of_many_first_enables_at_once_one_starts_a_sync(system: Running, tenant: str) -> None:
    answers: list[Answer] = await together(*(system.toggle(tenant) for _ in range(6)))

    assert {answer.status for answer in answers} == {200}
    assert sum(answer.body["historicalSync"]["started"] for answer in answers) == 1
    said = "SELECT count(*) FROM headwater.outbox WHERE tenant = $1 AND type = 'application.enabled'"
    assert await system.source.fetchval(said, tenant) == 2  # HR's, on the first day, and this one


async def test_a_sync_is_skipped_when_asked_and_is_needed_then(system: Running, tenant: str) -> None:
    answer = await system.toggle(tenant, skipHistoricalSync=True)

    assert answer.body["historicalSync"] == {"started": False, "reason": "skipped, as asked", "job": None}
    assert (await system.status(tenant)).body["needsSync"] is True


async def test_tier_modules_and_users_are_written_and_stay_when_unsaid(system: Running, tenant: str) -> None:
    said: dict[str, Any] = {
        "subscriptionTier": "enterprise",
        "enabledModules": ["leads", "deals"],
        "maxUsers": 25,
    }

    first = (await system.toggle(tenant, **said)).body["organizationApplication"]
    second = (await system.toggle(tenant)).body["organizationApplication"]
    third = (await system.toggle(tenant, maxUsers=30)).body["organizationApplication"]

    assert {name: first[name] for name in said} == said
    assert {name: second[name] for name in said} == said
    assert {name: third[name] for name in said} == {**said, "maxUsers": 30}


async def test_a_toggle_that_does_not_say_whether_keeps_the_switch_as_it_is(
    system: Running, tenant: str
) -> None:
    first = await system.call("POST", toggle(tenant), {})
    await system.toggle(tenant, on=False)
    later = await system.call("POST", toggle(tenant), {"maxUsers": 5})

    assert first.body["organizationApplication"]["isEnabled"] is True
    assert later.body["organizationApplication"]["isEnabled"] is False
    assert later.body["historicalSync"]["started"] is False


async def test_disabling_stops_routing_and_ends_the_running_sync(system: Running, tenant: str) -> None:
    story, tenant = await system.founded(users=300)
    started = await system.toggle(tenant)

    answer = await system.toggle(tenant, on=False)

    assert answer.body["organizationApplication"]["isEnabled"] is False
    assert answer.body["historicalSync"]["reason"] == "disabled; the running sync ends"
    job = await system.ended(started.body["historicalSync"]["job"]["id"])
    assert job.state == "cancelled"
    await system.quiet()
    before = len(await system.all_entries(tenant, "crm"))
    await story.change(20)
    await system.quiet()
    shared = len(await system.entries("credit-events", tenant))
    assert len(await system.all_entries(tenant, "crm")) - before <= shared  # all of them on the shared stream
    assert (await system.toggle(tenant, on=False)).body["historicalSync"]["reason"] == "disabled"


async def test_enabled_again_while_the_cancelled_sync_winds_down_it_begins_again_and_ends_verified(
    system: Running,
) -> None:
    _, tenant = await system.founded(users=600)
    first = (await system.toggle(tenant)).body["historicalSync"]["job"]["id"]
    await until(
        lambda: system.source.fetchval("SELECT token > 0 FROM headwater.job WHERE id = $1", uuid.UUID(first))
    )

    await system.toggle(tenant, on=False)
    again = await system.toggle(tenant)

    assert again.body["historicalSync"]["started"] is True
    job = await system.ended(again.body["historicalSync"]["job"]["id"])
    assert job.state == "verified"
    assert (await system.status(tenant)).body["syncState"] == "clean"


async def test_a_sync_of_a_part_that_is_begun_again_by_enabling_brings_everything(system: Running) -> None:
    _, tenant = await system.founded(users=600)
    await system.toggle(tenant, skipHistoricalSync=True)
    since: dict[str, Any] = {"sinceDate": "2020-01-01T00:00:00Z", "syncCredits": False, "syncUsers": False}
    asked = await system.sync(tenant, **since)
    assert asked.status == 202

    await system.toggle(tenant, on=False)
    again = await system.toggle(tenant)

    job = await system.ended(again.body["historicalSync"]["job"]["id"])
    assert (job.state, job.since, len(job.parts)) == ("verified", None, 6)


async def test_switching_is_said_on_the_stream_of_tenants(system: Running, tenant: str) -> None:
    await system.toggle(tenant, enabledModules=["leads"], subscriptionTier="gold", maxUsers=3)
    await system.toggle(tenant, maxUsers=4)
    await system.toggle(tenant, on=False)
    await system.quiet()

    entries = [one.fields or {} for one in await system.entries("tenant-sync", tenant)]

    decoded = [system.project.codec.decode(fields).event for fields in entries]
    about = [(one.type, one) for one in decoded if getattr(one, "application", "") == "crm"]
    assert [name for name, _ in about] == ["application.enabled", "application.disabled"]
    enabled: Any = about[0][1]
    assert (enabled.subscription_tier, enabled.enabled_modules) == ("gold", ("leads",))
    assert (enabled.max_users, enabled.changed_by) == (3, "all")


async def test_a_sync_that_can_not_be_started_does_not_fail_the_toggle(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(servers, templates, workers=()) as system:
        _, tenant = await system.founded()
        await system.loops.stop()
        await system.source.execute("ALTER TABLE headwater.job ADD CHECK (app <> 'crm')")

        answer = await system.toggle(tenant)

        assert answer.status == 200
        assert answer.body["organizationApplication"]["isEnabled"] is True
        assert answer.body["historicalSync"]["started"] is False
        assert answer.body["historicalSync"]["reason"].startswith("not started: ")
        listed = await system.call("GET", f"/admin/organizations/{tenant}/applications")
        assert {one["appCode"]: one["isEnabled"] for one in listed.body["applications"]}["crm"] is True


async def test_an_application_without_consumers_is_enabled_and_has_no_sync(
    system: Running, tenant: str
) -> None:
    await system.source.execute(
        "INSERT INTO applications (app_code, app_name, base_url) VALUES ('affiliate', 'Affiliates', '') "
        "ON CONFLICT DO NOTHING"
    )

    answer = await system.toggle(tenant, "affiliate")

    assert (answer.status, answer.body["historicalSync"]["started"]) == (200, False)
    assert (await system.sync(tenant, "affiliate")).status == 404
    assert (await system.status(tenant, "affiliate")).status == 404


async def test_the_list_of_applications_has_the_documented_fields(system: Running, tenant: str) -> None:
    await system.toggle(tenant, skipHistoricalSync=True)

    answer = await system.call("GET", f"/api/suite/admin/organizations/{tenant}/applications")

    assert answer.body["success"] is True
    assert [set(one) for one in answer.body["applications"]] == [LISTED, LISTED]
    assert [one["appCode"] for one in answer.body["applications"]] == ["crm", "hr"]


# Who is refused, and what


async def test_tenants_and_applications_that_do_not_exist_are_not_found(system: Running, tenant: str) -> None:
    nobody = str(uuid.uuid4())
    for path in (
        *(toggle(one) for one in (nobody, "not-a-uuid", "%00", f"{tenant}x")),
        *(toggle(tenant, one) for one in ("nothing", str(uuid.uuid4()), "%00", "x" * 60, "%F0%90", "crm%20")),
        *(history(tenant, one) for one in ("nothing", str(uuid.uuid4()))),
        history(nobody),
    ):
        answer = await system.call("POST", path, {})
        assert (answer.status, answer.is_problem) == (404, True), path
    for one in (nobody, "not-a-uuid"):
        assert (await system.status(one)).status == 404
    assert (await system.status(tenant, "nothing")).status == 404


async def test_a_key_sees_its_own_tenants_only(system: Running, tenant: str) -> None:
    for method, path in (
        ("POST", toggle(tenant)),
        ("POST", history(tenant)),
        ("GET", f"/admin/organizations/{tenant}/applications/crm/sync-status"),
        ("GET", f"/admin/organizations/{tenant}/applications"),
    ):
        theirs = await system.call(method, path, key=KEYS["foreign"])
        none = await system.call(method, path.replace(tenant, ELSEWHERE), key=KEYS["foreign"])
        assert (theirs.status, theirs.is_problem) == (404, True)
        if not path.endswith("applications"):
            assert (none.status, none.is_problem) == (404, True)
    found = "SELECT count(*) FROM organization_applications WHERE tenant_id = $1::text::uuid"
    assert await system.source.fetchval(found, tenant) == 1


async def test_a_job_of_another_tenant_does_not_exist(system: Running, tenant: str) -> None:
    _, other = await system.founded()
    job = (await system.toggle(other)).body["historicalSync"]["job"]["id"]

    own = await system.call("GET", f"/admin/organizations/{other}/applications/crm/jobs/{job}")
    foreign = await system.call("GET", f"/admin/organizations/{tenant}/applications/crm/jobs/{job}")
    odd = await system.call("GET", f"/admin/organizations/{other}/applications/crm/jobs/none")

    assert (own.status, own.body["id"]) == (200, job)
    assert own.body["events"][0]["what"] == "queued"
    assert (foreign.status, odd.status) == (404, 404)


async def test_without_a_key_nothing_is_answered_and_a_reader_writes_nothing(
    system: Running, tenant: str
) -> None:
    for path in (toggle(tenant), history(tenant)):
        assert (await system.call("POST", path, {}, key=None)).status == 401
        assert (await system.call("POST", path, {}, key="hwk_all_wrong")).status == 401
        refused = await system.call("POST", path, {}, key=KEYS["reader"])
        assert (refused.status, refused.is_problem) == (403, True)
    status = f"/admin/organizations/{tenant}/applications/crm/sync-status"
    assert (await system.call("GET", status, key=KEYS["reader"])).status == 200
    assert (await system.call("GET", status, key=None)).status == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"isEnabled": "yes"}', "isEnabled"),
        (b'{"isEnabled": null}', "isEnabled"),
        (b'{"isEnabled": 1}', "isEnabled"),
        (b'{"skipHistoricalSync": null}', "skipHistoricalSync"),
        (b'{"maxUsers": -1}', "maxUsers"),
        (b'{"maxUsers": 3000000000}', "maxUsers"),
        (b'{"maxUsers": 1.5}', "maxUsers"),
        (b'{"subscriptionTier": ""}', "subscriptionTier"),
        (b'{"subscriptionTier": "%s"}' % (b"x" * 51), "subscriptionTier"),
        (b'{"subscriptionTier": "a\\u0000b"}', "subscriptionTier"),
        (b'{"enabledModules": "leads"}', "enabledModules"),
        (b'{"enabledModules": ["a", 2]}', "enabledModules[1]"),
        (b'{"enabledModules": ["\\u0000"]}', "enabledModules[0]"),
        (b'{"enabled": true}', None),
        (b'{"isEnabled": true, "isEnabled": false}', None),
        (b"[]", None),
        (b"null", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b'{"subscriptionTier": "\\ud800"}', None),
        (b'{"maxUsers": NaN}', None),
    ],
)
async def test_a_bad_body_is_refused_by_the_name_of_its_field_and_changes_nothing(
    body: bytes, field: str | None, system: Running, tenant: str
) -> None:
    answer = await system.call("POST", toggle(tenant), raw=body)

    assert (answer.status, answer.is_problem) == (400, True)
    assert answer.body["detail"]
    if field is not None:
        assert answer.body["field"] == field
    found = "SELECT count(*) FROM organization_applications WHERE tenant_id = $1::text::uuid"
    assert await system.source.fetchval(found, tenant) == 1


async def test_bodies_that_are_too_large_or_no_json_are_refused(system: Running, tenant: str) -> None:
    large = await system.call(
        "POST", toggle(tenant), raw=b'{"enabledModules": ["' + b"x" * 1_048_500 + b'"]}'
    )
    form = await system.call("POST", toggle(tenant), raw=b"a=1", headers={"Content-Type": "text/plain"})
    method = await system.call("GET", toggle(tenant))

    assert [one.status for one in (large, form, method)] == [413, 415, 405]
    assert all(one.is_problem for one in (large, form, method))
