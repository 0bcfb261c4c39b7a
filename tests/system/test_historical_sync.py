"""Historical sync on a running system: what differs is repaired, what is gone stays gone (HS3, HS6)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio

from headwater.testing import RunningServers, until
from producers import Producers
from tests.system.running import Running, running

SUBJECTS = ("organizations", "users", "roles", "role_assignments", "assignments", "credits")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system; every test has tenants of its own."""
    async with running(servers, templates) as system:
        yield system


async def status(system: Running, tenant: str, app: str = "crm") -> dict[str, Any]:
    """What sync-status says."""
    found: dict[str, Any] = (await system.status(tenant, app)).body
    return found


async def some(system: Running, query: str, tenant: str) -> Any:
    """One value of the source, of a tenant's."""
    return await system.source.fetchval(query, UUID(tenant))


async def test_a_sync_moves_one_tenants_data_only(system: Running) -> None:
    _, ours = await system.founded()
    _, theirs = await system.founded()

    await system.enabled(ours)

    for table in SUBJECTS:
        assert await system.count(f"crm.{table}", ours) > 0
        assert await system.count(f"crm.{table}", theirs) == 0
    own = [one for one in await system.all_entries(theirs, "crm") if (one.fields or {})[b"hist"] == b"1"]
    assert own == []
    foreign = "SELECT count(*) FROM headwater.ledger WHERE app = 'crm' AND tenant = $1"
    assert await system.crm.fetchval(foreign, theirs) == 0
    assert (await status(system, theirs))["job"] is None


async def test_what_others_point_to_is_said_first_and_parents_before_their_children(system: Running) -> None:
    _, tenant = await system.founded(organizations=30)
    await system.enabled(tenant)

    organizations = await system.entries("crm:sync:organization:org_created", tenant)

    decoded: list[Any] = [system.project.codec.decode(one.fields or {}).event for one in organizations]
    seen: set[str] = set()
    for event in decoded:
        assert event.parent_id is None or event.parent_id in seen
        seen.add(event.organization_id)
    order = (
        *("crm:sync:organization:org_created", "crm:sync:user:user_created", "crm:sync:role:role_created"),
        *("crm:sync:permissions:role_assigned", "crm:organization-assignments", "credit-events"),
    )
    ends = []
    for stream in order:
        past = [one for one in await system.entries(stream, tenant) if (one.fields or {})[b"hist"] == b"1"]
        ends.append((milliseconds(past[0].id), milliseconds(past[-1].id)))
    assert all(last <= first for (_, last), (first, _) in itertools.pairwise(ends))


def milliseconds(entry: str) -> int:
    """When an entry was appended."""
    return int(entry.partition("-")[0])


async def test_rows_that_somebody_removed_from_the_application_are_seen_and_brought_back(
    system: Running,
) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    await system.crm.execute("DELETE FROM crm.organizations WHERE tenant_id = $1", UUID(tenant))
    await system.crm.execute(
        "DELETE FROM crm.credits WHERE (tenant_id, allocation_id) IN "
        "(SELECT tenant_id, allocation_id FROM crm.credits WHERE tenant_id = $1 LIMIT 1)",
        UUID(tenant),
    )

    before = await status(system, tenant)
    repaired = await system.sync(tenant, wait=30)
    after = await status(system, tenant)

    assert (before["needsSync"], before["syncState"]) == (True, "differs")
    assert before["reason"] == "source and application differ: organizations, credits"
    different = {one["subject"]: one for one in before["subjects"] if one["bucketsDiffering"]}
    assert {name: (one["sourceCount"], one["appliedCount"]) for name, one in different.items()} == {
        "organizations": (5, 0),
        "credits": (1, 0),
    }
    assert repaired.body["job"]["state"] == "verified"
    assert (after["needsSync"], after["syncState"]) == (False, "clean")
    assert await system.count("crm.organizations", tenant) == 5


async def test_versions_that_fell_behind_and_rows_that_are_left_over_are_seen_and_repaired(
    system: Running,
) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    await system.crm.execute(
        "UPDATE headwater.ledger SET version = version - 1 WHERE tenant = $1 AND subject = 'users'", tenant
    )
    await system.crm.execute(
        "UPDATE crm.users SET last_name = 'Wrong', is_active = false WHERE tenant_id = $1", UUID(tenant)
    )
    await system.crm.execute(
        "INSERT INTO crm.roles (tenant_id, role_id, role_name, permissions, is_system_role) "
        "VALUES ($1, $1, 'left over', '[]', false)",
        UUID(tenant),
    )
    await system.crm.execute(
        "INSERT INTO headwater.ledger (app, tenant, subject, key, version, deleted) "
        "VALUES ('crm', $1, 'roles', $1, 1, false)",
        tenant,
    )

    before = await status(system, tenant)
    repaired = await system.sync(tenant, wait=30)

    assert before["reason"] == "source and application differ: users, roles"
    assert repaired.body["job"]["state"] == "verified"
    assert (await status(system, tenant))["needsSync"] is False
    assert await system.count("crm.users", tenant, "last_name = 'Wrong'") == 0
    assert await system.count("crm.roles", tenant) == 3


async def test_an_application_that_is_ahead_of_the_source_is_not_overwritten_and_never_called_clean(
    system: Running,
) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    await system.crm.execute(
        "UPDATE headwater.ledger SET version = version + 1000000 WHERE tenant = $1 AND subject = 'users'",
        tenant,
    )

    repaired = await system.sync(tenant, wait=30)

    job = repaired.body["job"]
    assert (job["state"], job["error"]) == ("diverged", "source and application differ: users")
    assert repaired.body["summary"]["success"] is False
    answer = await system.call("GET", f"/admin/organizations/{tenant}/applications/crm/jobs/{job['id']}")
    [found] = [one["detail"] for one in answer.body["events"] if one["what"] == "repair"]
    assert found == "users: 10 ahead"
    assert (await status(system, tenant))["needsSync"] is True


async def test_that_no_consumer_runs_is_named_as_the_reason(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(servers, templates, workers=("hr",)) as system:
        _, tenant = await system.founded()
        await system.quiet("hr")
        await system.toggle(tenant)

        crm, hr = await status(system, tenant), await status(system, tenant, "hr")

        assert (crm["needsSync"], crm["syncState"]) == (True, "differs")
        assert crm["reason"].startswith("no consumer is running")
        assert (crm["group"]["livingConsumers"], crm["group"]["lastApply"]) == (0, None)
        assert (hr["syncState"], hr["group"]["livingConsumers"]) == ("clean", 1)
        await system.toggle(tenant, on=False)


async def test_a_consumer_that_starts_late_finishes_a_sync_that_waited_for_it(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(servers, templates, workers=()) as system:
        _, tenant = await system.founded()
        job = (await system.toggle(tenant)).body["historicalSync"]["job"]["id"]
        state = "SELECT state = 'catching_up' FROM headwater.job WHERE id = $1"
        await until(lambda: system.source.fetchval(state, UUID(job)))

        await system.hire("crm")

        assert (await system.ended(job)).state == "verified"


async def away(system: Running, tenant: str) -> dict[str, str]:
    """Rows deleted, suspended, retired and renamed while an application is disabled; their keys."""
    user = await some(system, "SELECT user_id FROM tenant_users WHERE tenant_id = $1 LIMIT 1", tenant)
    for table in ("user_role_assignments", "organization_memberships", "tenant_users"):
        await system.source.execute(f"DELETE FROM {table} WHERE user_id = $1", user)
    suspended = await some(
        system,
        "UPDATE organization_memberships SET membership_status = 'suspended' WHERE membership_id = "
        "(SELECT membership_id FROM organization_memberships WHERE tenant_id = $1 LIMIT 1) "
        "RETURNING membership_id::text",
        tenant,
    )
    retired = await some(
        system,
        "UPDATE credit_allocations SET is_active = false WHERE tenant_id = $1 AND target_application = 'crm' "
        "RETURNING allocation_id::text",
        tenant,
    )
    renamed = await some(
        system,
        "UPDATE entities SET entity_name = 'Renamed' WHERE tenant_id = $1 AND parent_entity_id IS NULL "
        "RETURNING entity_id::text",
        tenant,
    )
    return {"deleted": str(user), "suspended": suspended, "retired": retired, "renamed": renamed}


async def test_what_happened_while_the_application_was_disabled_is_there_when_it_is_enabled_again(
    system: Running,
) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    await system.toggle(tenant, on=False)
    keys = await away(system, tenant)
    assert await system.count("crm.users", tenant) == 10

    job = await system.enabled(tenant)

    assert (job.state, job.error) == ("verified", None)
    assert await system.count("crm.users", tenant, f"user_id = '{keys['deleted']}'") == 0
    assert await system.count("crm.role_assignments", tenant, f"user_id = '{keys['deleted']}'") == 0
    assert await system.count("crm.assignments", tenant, f"user_id = '{keys['deleted']}' AND is_active") == 0
    for inactive in (f"assignment_id = '{keys['suspended']}'", f"user_id = '{keys['deleted']}'"):
        assert await system.count("crm.assignments", tenant, f"{inactive} AND NOT is_active") == 1
    assert await system.count("crm.assignments", tenant, "is_active") == 8
    assert await system.count("crm.credits", tenant) == 0
    named = f"organization_id = '{keys['renamed']}' AND org_name = 'Renamed'"
    assert await system.count("crm.organizations", tenant, named) == 1
    assert (await status(system, tenant))["needsSync"] is False


async def test_a_row_that_comes_back_while_its_end_is_confirmed_is_not_lost(system: Running) -> None:
    """The version of the return was drawn before that of the end, and is committed after it."""
    _, tenant = await system.founded()
    await system.enabled(tenant)
    await system.toggle(tenant, on=False)
    suspended = (await away(system, tenant))["suspended"]
    producers = Producers(system.wiring.producer())

    async with system.source.transaction() as tx:
        row = await tx.fetchrow(
            "UPDATE organization_memberships SET membership_status = 'active' WHERE membership_id = $1 "
            "RETURNING *",
            UUID(suspended),
        )
        assert row is not None
        await producers.assignments.activated(tx, row)
        started = await system.toggle(tenant)
        job = started.body["historicalSync"]["job"]["id"]
        repairing = "SELECT EXISTS (SELECT FROM headwater.job_event WHERE job = $1 AND what = 'repair')"
        await until(lambda: system.source.fetchval(repairing, UUID(job)), within=60.0)
        lease = await system.source.fetchval("SELECT lease_until FROM headwater.job WHERE id = $1", UUID(job))
        further = "SELECT lease_until IS DISTINCT FROM $2 FROM headwater.job WHERE id = $1"
        await until(lambda: system.source.fetchval(further, UUID(job), lease))

    assert (await system.ended(job)).state == "verified"
    await system.quiet()
    assert await system.count("crm.assignments", tenant, f"assignment_id = '{suspended}' AND is_active") == 1
    assert (await status(system, tenant))["needsSync"] is False


async def test_toggled_again_and_again_under_live_changes_nothing_is_stale_and_nothing_comes_back(
    system: Running,
) -> None:
    story, tenant = await system.founded(organizations=20, users=60)
    stop = asyncio.Event()
    living = asyncio.create_task(story.live(stop, rate=80.0))
    job = await system.enabled(tenant)
    for _ in range(2):
        await system.toggle(tenant, on=False)
        await story.change(15)
        answer = await system.toggle(tenant)
        await story.change(5)
        job = await system.ended(answer.body["historicalSync"]["job"]["id"])
    stop.set()
    changes = await living
    await system.quiet()

    assert changes > 0
    assert job.state == "verified"
    for app in ("crm", "hr"):
        found = await status(system, tenant, app)
        assert (found["syncState"], found["reason"]) == ("clean", "")
    assert await differing_rows(system, tenant) == {}


async def differing_rows(system: Running, tenant: str) -> dict[str, Any]:
    """Values, not versions: what one side holds of people, places and credits and the other does not."""
    pairs = {
        "users": (
            "SELECT user_id::text, email, first_name, last_name, is_active FROM tenant_users",
            "SELECT user_id::text, email, first_name, last_name, is_active FROM crm.users",
        ),
        "organizations": (
            "SELECT entity_id::text, entity_name, is_active FROM entities",
            "SELECT organization_id::text, org_name, is_active FROM crm.organizations",
        ),
        "assignments": (
            "SELECT membership_id::text, user_id, access_level FROM organization_memberships "
            "WHERE membership_status = 'active'",
            "SELECT assignment_id::text, user_id, access_level FROM crm.assignments WHERE is_active",
        ),
        "credits": (
            "SELECT allocation_id::text, allocated_credits, used_credits FROM credit_allocations "
            "WHERE is_active AND target_application = 'crm'",
            "SELECT allocation_id, allocated_credits, used_credits FROM crm.credits",
        ),
    }
    found = {}
    for name, (here, there) in pairs.items():
        source = {tuple(row) for row in await system.source.fetch(one_tenants(here), UUID(tenant))}
        sink = {tuple(row) for row in await system.crm.fetch(one_tenants(there), UUID(tenant))}
        if source != sink:
            found[name] = source ^ sink
    return found


def one_tenants(query: str) -> str:
    """The query for one tenant."""
    return f"{query} {'AND' if 'WHERE' in query else 'WHERE'} tenant_id = $1"


async def test_many_tenants_are_synced_at_the_same_time(system: Running) -> None:
    tenants = [(await system.founded())[1] for _ in range(4)]

    jobs = await asyncio.gather(*(system.enabled(tenant) for tenant in tenants))

    assert [job.state for job in jobs] == ["verified"] * 4
    assert len({job.id for job in jobs}) == 4
    for tenant in tenants:
        assert await system.count("crm.users", tenant) == 10
