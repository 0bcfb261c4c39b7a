"""What the CRM makes of each event, ours and those of older systems, whatever the order."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from headwater import clock
from headwater.delivery.outcome import Ack, Park, RetryAfter
from headwater.event import Envelope, Event, Fields
from headwater.publish import Said
from schemas import examples
from schemas.assignments import AssignmentCreated, AssignmentDeactivated, AssignmentDeleted
from schemas.credits import CreditAllocated, CreditConfigUpdated, CreditConsumed
from schemas.organizations import OrganizationCreated, OrganizationDeleted, OrganizationUpdated
from schemas.roles import RoleAssigned, RoleCreated, RoleUnassigned
from schemas.users import UserCreated, UserDeactivated, UserDeleted
from tests.system.conftest import Application

TENANT = "7d0c3a52-4b0e-4c37-9a55-2f3f8c1f7a10"
ORGANIZATION = "cae02c60-77b2-4a0c-8d0e-0c3b1f1d2a01"
USER = "5b1f7c88-2f51-4d1b-9a34-6f0a7f2b9c02"
ALLOCATION = "3e0b6a44-9d1f-4f0a-b1c2-5a6b7c8d9e04"
SEQUENCE = 1 << 48
"""Versions of rows are above every version that is made of a time."""
NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)


def state(event: Event, version: int | None = 1, **about: Any) -> Envelope:
    """An envelope of ours."""
    sequence = None if version is None else SEQUENCE + version
    return Said(event, TENANT, sequence, **about).envelope("wrapper")


def credit(version: int, allocated: int, *, active: bool = True) -> Envelope:
    """The state of the allocation."""
    return state(
        CreditAllocated(
            allocation_id=ALLOCATION,
            source_entity_id=ORGANIZATION,
            target_application="crm",
            allocated_credits=Decimal(allocated),
            available_credits=Decimal(allocated),
            is_active=active,
        ),
        version,
    )


def old(event_type: str, data: dict[str, Any] | None = None, **fields: Any) -> Fields:
    """An entry as the older systems write it: JSON in every field that is no text."""
    said: dict[str, Any] = {
        "eventType": event_type,
        "tenantId": TENANT,
        "timestamp": clock.stamp(NOON),
        "source": "wrapper",
    }
    said |= fields
    if data is not None:
        said["data"] = data
    return {
        name.encode(): (value if isinstance(value, str) else json.dumps(value)).encode()
        for name, value in said.items()
    }


def increment(
    amount: float, minutes: int = 0, *, historical: bool = False, allocation: str = ALLOCATION
) -> Fields:
    """An old producer's `credit.allocated`, said some minutes after noon."""
    metadata = {"allocationId": allocation, "targetApplication": "crm", "isHistoricalSync": historical}
    return old(
        "credit.allocated",
        eventId=f"evt_{uuid.uuid4().hex[:9]}",
        entityId=ORGANIZATION,
        amount=amount,
        timestamp=clock.stamp(NOON + timedelta(minutes=minutes)),
        metadata=metadata,
    )


async def balance(crm: Application) -> list[Decimal]:
    """Credits of every allocation."""
    return [row["allocated_credits"] for row in await crm.rows("crm.credits")]


async def counted(crm: Application) -> list[tuple[float, bool]]:
    """What old producers said, and whether it counted."""
    rows = await crm.rows("crm.credit_increments", "said_at")
    return [(float(row["amount"]), row["counted"]) for row in rows]


async def test_every_example_of_an_event_for_the_crm_is_applied(crm: Application) -> None:
    ours = [state(event, number) for number, event in enumerate(examples.values()) if not event.read_only]

    outcomes = await crm.take(*ours)

    assert outcomes
    assert set(map(type, outcomes)) == {Ack}


async def test_an_organization_is_kept_as_last_stated_whatever_the_order(crm: Application) -> None:
    new = OrganizationUpdated(organization_id=ORGANIZATION, org_name="New", industry="Retail")
    old_name = OrganizationCreated(organization_id=ORGANIZATION, org_name="Old")

    await crm.take(state(new, 2))
    await crm.take(state(old_name, 1), state(new, 2))

    [row] = await crm.rows("crm.organizations")
    assert (row["org_name"], row["industry"]) == ("New", "Retail")


async def test_a_deleted_organization_is_not_brought_back_by_what_was_said_before(crm: Application) -> None:
    await crm.take(state(OrganizationDeleted(organization_id=ORGANIZATION), 3))
    await crm.take(state(OrganizationCreated(organization_id=ORGANIZATION, org_name="Acme"), 1))

    assert await crm.rows("crm.organizations") == []


async def test_a_user_who_may_not_sign_in_stays_and_a_deleted_one_goes(crm: Application) -> None:
    await crm.take(state(UserCreated(user_id=USER, name="Ada"), 1))
    await crm.take(state(UserDeactivated(user_id=USER, name="Ada"), 2))
    deactivated = await crm.rows("crm.users")
    await crm.take(state(UserDeleted(user_id=USER), 3))

    assert [row["is_active"] for row in deactivated] == [False]
    assert await crm.rows("crm.users") == []


async def test_roles_and_their_assignments_are_two_tables(crm: Application) -> None:
    role, assignment = str(uuid.uuid4()), str(uuid.uuid4())
    permissions = ("crm.leads.create", "crm.leads.read")

    await crm.take(
        state(RoleCreated(role_id=role, role_name="Sales", permissions=permissions), 1),
        state(RoleAssigned(assignment_id=assignment, user_id=USER, role_id=role), 2),
    )
    assigned = await crm.rows("crm.role_assignments")
    await crm.take(state(RoleUnassigned(assignment_id=assignment), 3))

    [row] = await crm.rows("crm.roles")
    assert json.loads(row["permissions"]) == list(permissions)
    assert [str(one["role_id"]) for one in assigned] == [role]
    assert await crm.rows("crm.role_assignments") == []


async def test_an_assignment_that_ended_stays_as_an_inactive_row_and_can_come_back(crm: Application) -> None:
    made = AssignmentCreated(assignment_id="a1", user_id=USER, organization_id=ORGANIZATION)
    active = []

    for version, event in enumerate(
        (made, AssignmentDeactivated(assignment_id="a1"), made, AssignmentDeleted(assignment_id="a1"))
    ):
        await crm.take(state(event, version))
        active += [row["is_active"] for row in await crm.rows("crm.assignments")]

    assert active == [True, False, True, False]


async def test_an_older_switch_changes_a_known_assignment_and_nothing_else(crm: Application) -> None:
    def assignment(event_type: str, minutes: int, **data: Any) -> Fields:
        said = {"assignmentId": "a1", "userId": USER, "organizationId": ORGANIZATION, **data}
        return old(
            event_type,
            said,
            eventId=str(uuid.uuid4()),
            version="1.0",
            timestamp=clock.stamp(NOON + timedelta(minutes=minutes)),
        )

    outcomes = await crm.take(assignment("organization.assignment.deactivated", 1))
    unknown = await crm.rows("crm.assignments")
    await crm.take(assignment("organization.assignment.created", 2, isPrimary=True, accessLevel="full"))
    await crm.take(assignment("organization.assignment.deactivated", 4))
    await crm.take(assignment("organization.assignment.activated", 3))

    [row] = await crm.rows("crm.assignments")
    assert outcomes == [Ack()]
    assert unknown == []
    assert (row["is_active"], row["is_primary"], row["access_level"]) == (False, True, "full")


async def test_an_older_switch_does_not_overtake_a_state_with_a_version(crm: Application) -> None:
    await crm.take(state(AssignmentCreated(assignment_id="a1", user_id=USER, organization_id=ORGANIZATION)))

    said = {"assignmentId": "a1", "userId": USER, "organizationId": ORGANIZATION}
    await crm.take(old("organization.assignment.deactivated", said, eventId="e1", version="1.0"))

    assert [row["is_active"] for row in await crm.rows("crm.assignments")] == [True]


async def test_credits_are_as_last_stated_and_leave_when_the_allocation_ends(crm: Application) -> None:
    await crm.take(credit(2, 1400))
    await crm.take(credit(1, 1000), credit(2, 1400))
    stated = await balance(crm)
    await crm.take(credit(3, 1400, active=False))

    assert stated == [1400]
    assert await balance(crm) == []


async def test_credits_for_another_application_are_none_of_the_crms(crm: Application) -> None:
    elsewhere = CreditAllocated(
        allocation_id=ALLOCATION, source_entity_id=ORGANIZATION, target_application="hr"
    )

    assert await crm.take(state(elsewhere)) == []
    assert await balance(crm) == []


async def test_increments_of_old_producers_add_up_once_each_while_no_state_is_known(crm: Application) -> None:
    first, second = increment(400), increment(100.5, minutes=1)

    await crm.take(first)
    await crm.take(second, first, second)

    assert await balance(crm) == [Decimal("500.5")]
    assert await counted(crm) == [(400, True), (100.5, True)]


async def test_a_total_of_an_old_backfill_takes_the_place_of_what_was_said_before_it_whatever_the_order(
    crm: Application,
) -> None:
    before, after = increment(400, minutes=0), increment(100, minutes=2)
    total = increment(900, minutes=1, historical=True)

    balances = []
    for entry in (after, total, before):
        await crm.take(entry)
        balances += await balance(crm)

    assert balances == [100, 1000, 1000]


async def test_the_first_state_takes_the_place_of_increments_and_later_ones_are_only_recorded(
    crm: Application,
) -> None:
    await crm.take(increment(400))
    await crm.take(credit(1, 1000))
    await crm.take(increment(50, minutes=1))

    assert await balance(crm) == [1000]
    assert await counted(crm) == [(400, True), (50, False)]


async def test_an_increment_does_not_bring_an_allocation_back_that_ended(crm: Application) -> None:
    await crm.take(credit(1, 1000, active=False))
    await crm.take(increment(50))

    assert await balance(crm) == []
    assert await counted(crm) == [(50, False)]


async def test_credits_bought_for_an_entity_are_recorded_and_given_to_no_application(
    crm: Application,
) -> None:
    bought = old(
        "credit_allocated",
        {"entityId": ORGANIZATION, "entityType": "organization", "allocatedCredits": 1000},
        streamId="crm:sync:credits:credit_allocated",
        messageId="1795325769100-u8k52fizb",
        entityType="credit",
        entityId="credit_1795325769100",
        action="allocated",
    )

    await crm.take(bought)

    assert await balance(crm) == []
    assert await counted(crm) == [(1000, False)]


async def test_a_use_of_credits_is_written_down_once_and_leaves_the_balance_to_the_state(
    crm: Application,
) -> None:
    use = CreditConsumed(operation_id="op-1", source_entity_id=ORGANIZATION, amount=Decimal(50))
    said_once, said_again = (state(use, None, operation_id=name) for name in ("op-1", "retry"))

    await crm.take(credit(1, 1000))
    await crm.take(said_once, said_once)
    await crm.take(said_again)

    assert [row["amount"] for row in await crm.rows("crm.credit_transactions")] == [50]
    assert await balance(crm) == [1000]


async def test_what_an_operation_costs_is_kept(crm: Application) -> None:
    config = CreditConfigUpdated(
        config_id="c1", operation_code="crm.leads.create", credit_cost=Decimal("1.5")
    )

    await crm.take(state(config))

    assert [row["credit_cost"] for row in await crm.rows("crm.credit_configs")] == [Decimal("1.5")]


def named(code: str, event_type: str = "org_created", **data: Any) -> Fields:
    """An old producer's organization that has a code and no UUID."""
    return old(event_type, {"orgCode": code, "orgName": "Acme", **data}, sourceApp="wrapper", entityId=code)


async def test_a_code_leads_to_the_organization_that_has_it_and_fills_what_is_unknown(
    crm: Application,
) -> None:
    known = OrganizationCreated(organization_id=ORGANIZATION, org_code="ORG_1", org_name="Acme Works")
    await crm.take(state(known))

    outcomes = await crm.take(named("ORG_1", description="Head office"))

    [row] = await crm.rows("crm.organizations")
    assert outcomes == [Ack()]
    assert (row["org_name"], row["description"]) == ("Acme Works", "Head office")


async def test_an_unknown_code_waits_for_its_organization_and_is_parked_in_the_end(crm: Application) -> None:
    [first] = await crm.take(named("ORG_1"))

    [last] = await crm.settle_again(2)

    assert isinstance(first, RetryAfter)
    assert isinstance(last, Park)
    assert "ORG_1" in last.error


async def test_a_uuid_in_the_place_of_a_code_is_the_organization_itself(crm: Application) -> None:
    await crm.take(named(ORGANIZATION))

    [row] = await crm.rows("crm.organizations")
    assert (str(row["organization_id"]), row["org_code"]) == (ORGANIZATION, None)
