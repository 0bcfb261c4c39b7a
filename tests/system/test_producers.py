"""Producers say each change of a wrapper's row with the row's own version, in the caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from headwater.database import Database, Row
from headwater.errors import EventError
from headwater.event import event_id
from producers import Producers
from schemas.credits import CreditConsumed
from schemas.organizations import OrganizationCreated
from schemas.wire.values import permissions
from tests.system.conftest import said

TENANT = uuid.UUID("7d0c3a52-4b0e-4c37-9a55-2f3f8c1f7a10")
ROOT = uuid.UUID("cae02c60-77b2-4a0c-8d0e-0c3b1f1d2a01")
USER = uuid.UUID("5b1f7c88-2f51-4d1b-9a34-6f0a7f2b9c02")


@pytest_asyncio.fixture
async def house(source: Database) -> AsyncIterator[Database]:
    """A tenant with one organization and one user, of whom nothing was said."""
    await source.execute(
        "INSERT INTO tenants (tenant_id, company_name, subdomain, admin_email, industry, website) "
        "VALUES ($1, 'Acme', 'acme', 'a@acme.example', 'Manufacturing', 'https://acme.example')",
        TENANT,
    )
    await source.execute(
        "INSERT INTO entities (entity_id, tenant_id, entity_type, entity_name, entity_code) "
        "VALUES ($1, $2, 'organization', 'Acme', 'ORG_cae02c60')",
        *(ROOT, TENANT),
    )
    await source.execute(
        "INSERT INTO tenant_users (user_id, tenant_id, email, name) "
        "VALUES ($1, $2, 'ada@acme.example', 'Ada')",
        *(USER, TENANT),
    )
    yield source


async def one(tx: Any, statement: str, *arguments: Any) -> Row:
    """The row that a statement returns."""
    rows: list[Row] = await tx.fetch(statement + " RETURNING *", *arguments)
    return rows[0]


async def allocation(tx: Any, app: str = "crm") -> Row:
    """A new allocation of 400."""
    return await one(
        tx,
        "INSERT INTO credit_allocations (allocation_id, tenant_id, source_entity_id, target_application, "
        "allocated_credits, available_credits) VALUES ($1, $2, $3, $4, 400, 400)",
        *(uuid.uuid4(), TENANT, ROOT, app),
    )


async def membership(tx: Any) -> Row:
    """A new membership of the user in the organization."""
    return await one(
        tx,
        "INSERT INTO organization_memberships (membership_id, user_id, tenant_id, entity_id) "
        "VALUES ($1, $2, $3, $4)",
        *(uuid.uuid4(), USER, TENANT, ROOT),
    )


async def test_what_is_said_carries_the_version_of_its_row(house: Database, producers: Producers) -> None:
    async with house.transaction() as tx:
        row = await one(tx, "UPDATE entities SET entity_name = 'Acme Works' WHERE entity_id = $1", ROOT)
        receipt = await producers.organizations.updated(tx, row)

    [envelope] = await said(house)
    version = await house.fetchval("SELECT headwater_version FROM entities")
    assert receipt is not None
    assert envelope.version == receipt.version == version
    assert envelope.id == receipt.event_id == event_id("org.updated", str(TENANT), str(ROOT), version)


async def test_a_rollback_takes_back_the_row_and_what_was_said_of_it(
    house: Database, producers: Producers
) -> None:
    async def fail() -> None:
        async with house.transaction() as tx:
            row = await one(tx, "UPDATE tenant_users SET name = 'Eve' WHERE user_id = $1", USER)
            await producers.users.updated(tx, row)
            await tx.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()

    assert await said(house) == []
    assert await house.fetchval("SELECT name FROM tenant_users") == "Ada"


async def test_an_organization_is_said_with_industry_and_website_of_its_tenant(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        await producers.organizations.created(
            tx, await one(tx, "UPDATE entities SET description = 'Head office' WHERE entity_id = $1", ROOT)
        )

    [envelope] = await said(house)
    assert isinstance(envelope.event, OrganizationCreated)
    assert envelope.event.industry == "Manufacturing"
    assert envelope.event.website == "https://acme.example"
    assert envelope.event.created_at is not None
    assert envelope.event.created_at.tzinfo is not None


async def test_a_department_is_no_organization_and_nothing_is_said_of_it(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        row = await one(
            tx,
            "INSERT INTO entities (entity_id, tenant_id, entity_type, entity_name) "
            "VALUES ($1, $2, 'department', 'Sales')",
            *(uuid.uuid4(), TENANT),
        )

        assert await producers.organizations.created(tx, row) is None
        assert await producers.organizations.deleted(tx, row) is None

    assert await said(house) == []


async def test_a_new_industry_is_said_of_the_tenant_and_of_all_its_organizations_with_new_versions(
    house: Database, producers: Producers
) -> None:
    before = await house.fetchval("SELECT headwater_version FROM entities")

    async with house.transaction() as tx:
        row = await one(tx, "UPDATE tenants SET industry = 'Retail' WHERE tenant_id = $1", TENANT)
        await producers.tenants.updated(tx, row)
        await producers.organizations.restated(tx, str(TENANT))

    tenant, organization = await said(house)
    assert tenant.type == "tenant.updated"
    assert organization.version is not None
    assert organization.version > before
    assert organization.version == await house.fetchval("SELECT headwater_version FROM entities")


async def test_a_deletion_has_the_version_of_its_tombstone_which_is_above_the_rows_last(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        row = await one(tx, "DELETE FROM tenant_users WHERE user_id = $1", USER)
        await producers.users.deleted(tx, row, reason="user_deleted_permanently")

    [envelope] = await said(house)
    assert (envelope.type, envelope.op) == ("user.deleted", "d")
    assert envelope.version == await house.fetchval("SELECT version FROM headwater.tombstone")
    assert envelope.version is not None
    assert envelope.version > row["headwater_version"]


async def test_a_key_that_comes_back_has_a_version_above_its_tombstone(
    house: Database, producers: Producers
) -> None:
    async def define() -> Row:
        async with house.transaction() as tx:
            row = await one(
                tx,
                "INSERT INTO custom_roles (role_id, tenant_id, role_name) VALUES ($1, $2, 'Sales')",
                *(USER, TENANT),
            )
            await producers.roles.created(tx, row)
            return row

    await define()
    async with house.transaction() as tx:
        await producers.roles.deleted(tx, await one(tx, "DELETE FROM custom_roles WHERE role_id = $1", USER))
    await define()

    first, gone, second = [envelope.version or 0 for envelope in await said(house)]
    assert first < gone < second


async def test_a_sign_in_draws_no_version(house: Database) -> None:
    before = await house.fetchval("SELECT headwater_version FROM tenant_users")

    await house.execute("UPDATE tenant_users SET last_login_at = now()")
    signed_in = await house.fetchval("SELECT headwater_version FROM tenant_users")
    await house.execute("UPDATE tenant_users SET name = 'Countess Ada'")

    assert signed_in == before
    assert await house.fetchval("SELECT headwater_version FROM tenant_users") > before


async def test_a_suspended_membership_leaves_the_applications_sight_with_its_rows_version(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        made = await membership(tx)
        await producers.assignments.created(tx, made)
        row = await one(
            tx,
            "UPDATE organization_memberships SET membership_status = 'suspended' WHERE membership_id = $1",
            made["membership_id"],
        )
        await producers.assignments.deactivated(tx, row, reason="user_request")

    created, deactivated = await said(house)
    assert [created.op, deactivated.op] == ["u", "d"]
    assert deactivated.version == row["headwater_version"]
    assert getattr(created.event, "organization_code", None) == "ORG_cae02c60"


async def test_a_change_of_a_membership_that_is_not_active_does_not_bring_it_into_sight(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        made = await membership(tx)
        row = await one(
            tx,
            "UPDATE organization_memberships SET membership_status = 'pending', access_level = 'full' "
            "WHERE membership_id = $1",
            made["membership_id"],
        )
        await producers.assignments.updated(tx, row)

    assert [envelope.op for envelope in await said(house)] == ["d"]


async def test_credits_are_said_as_a_whole_balance_to_the_one_application(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        made = await allocation(tx)
        row = await one(
            tx,
            "UPDATE credit_allocations SET allocated_credits = 500, available_credits = 450, "
            "used_credits = 50 WHERE allocation_id = $1",
            made["allocation_id"],
        )
        await producers.credits.allocated(tx, row, amount=Decimal(100), reason="top_up")

    [envelope] = await said(house)
    event: Any = envelope.event
    assert envelope.target == "crm"
    assert (event.amount, event.allocated_credits, event.available_credits) == (100, 500, 450)


async def test_an_allocation_that_moves_is_retired_at_one_application_and_stated_at_the_other(
    house: Database, producers: Producers
) -> None:
    async with house.transaction() as tx:
        made = await allocation(tx, "crm")
        row = await one(
            tx,
            "UPDATE credit_allocations SET target_application = 'hr' WHERE allocation_id = $1",
            made["allocation_id"],
        )
        await producers.credits.moved(tx, row)

    left, joined = await said(house)
    assert [(left.target, left.op), (joined.target, joined.op)] == [("crm", "d"), ("hr", "u")]
    assert left.version == joined.version == row["headwater_version"]
    assert left.id != joined.id


async def test_a_use_of_credits_said_twice_is_one_fact(house: Database, producers: Producers) -> None:
    use = CreditConsumed(operation_id="op-1", source_entity_id=str(ROOT), amount=Decimal(50))

    for _ in range(2):
        async with house.transaction() as tx:
            await producers.credits.consumed(tx, str(TENANT), use)

    first, second = await said(house)
    assert first.id == second.id


async def test_a_row_without_a_version_can_not_be_said(house: Database, producers: Producers) -> None:
    async with house.transaction() as tx:
        row = dict(await one(tx, "UPDATE tenant_users SET name = 'Ada B' WHERE user_id = $1", USER))

        with pytest.raises(EventError, match="needs the version of its row"):
            await producers.users.updated(tx, {**row, "headwater_version": None})


@pytest.mark.parametrize(
    "stored",
    [
        '{"crm": {"leads": ["read", "create"]}, "hr": {"people": ["read"]}}',
        '["hr.people.read", "crm.leads.create", "crm.leads.read", "crm.leads.read"]',
        '"{\\"crm\\": {\\"leads\\": [\\"create\\", \\"read\\"]}, \\"hr\\": {\\"people\\": [\\"read\\"]}}"',
    ],
)
def test_permissions_are_the_same_however_the_wrapper_stored_them(stored: str) -> None:
    assert permissions(stored) == ["crm.leads.create", "crm.leads.read", "hr.people.read"]
