"""Reconcile on the running system: after a story everything agrees, its content too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest_asyncio

from headwater.replay.reconcile import Report, Wish
from headwater.testing import RunningServers
from tests.system.running import Running, running

LEVEL_2 = Wish(level=2, patience=30.0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system; every test has tenants of its own."""
    async with running(servers, templates) as system:
        yield system


async def reconciled(system: Running, tenant: str, app: str = "crm", wish: Wish = LEVEL_2) -> Report:
    return await (await system.wiring.reconciler()).reconcile(tenant, app, wish)


async def test_after_history_and_live_changes_every_subject_agrees_to_its_content(system: Running) -> None:
    story, tenant = await system.founded()
    await system.enabled(tenant)
    await story.change(150)
    await system.quiet()

    report = await reconciled(system, tenant)

    differ = {one.subject: (one.reason, one.found.keys) for one in report.outcomes if one.state != "agreed"}
    assert differ == {}
    assert {one.subject for one in report.outcomes} == {
        *("organizations", "users", "roles", "role_assignments", "assignments", "credits")
    }
    assert sum(one.found.content_compared for one in report.outcomes) > 20


async def test_what_somebody_did_to_the_application_by_hand_is_mended(system: Running) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    await system.crm.execute("UPDATE crm.users SET last_name = 'Wrong' WHERE tenant_id = $1", UUID(tenant))
    await system.crm.execute("DELETE FROM crm.organizations WHERE tenant_id = $1", UUID(tenant))

    report = await reconciled(system, tenant, wish=Wish(level=2, fix=True, patience=30.0))

    found = {one.subject: one.found.kinds for one in report.outcomes if one.found.kinds}
    assert found == {"organizations": {"missing": 5}, "users": {"corrupt": 10}}
    assert report.agreed
    assert await system.count("crm.organizations", tenant) == 5
    assert await system.count("crm.users", tenant, "last_name = 'Wrong'") == 0


async def test_what_never_expires_at_the_source_never_expires_in_the_application(system: Running) -> None:
    _, tenant = await system.founded()
    await system.source.execute(
        "UPDATE credit_allocations SET expires_at = 'infinity' WHERE tenant_id = $1", UUID(tenant)
    )
    await system.enabled(tenant)

    report = await reconciled(system, tenant, wish=Wish(level=2, patience=30.0))

    assert {one.subject: one.reason for one in report.outcomes if one.state != "agreed"} == {}
    assert await system.count("crm.credits", tenant, "expires_at = 'infinity'") == 1
