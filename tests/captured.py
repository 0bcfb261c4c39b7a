"""What the existing systems really put on their streams, captured, and what it says in our words.

Values stand as the JavaScript writers had them; `g1`, `g2` and `crm_side` write them as each
generation of writers did.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from headwater.event import Event, Fields
from schemas.assignments import AssignmentCreated, AssignmentDeleted, AssignmentSwitched, AssignmentUpdated
from schemas.credits import CreditConfigUpdated, CreditConsumed, CreditIncremented
from schemas.organizations import OrganizationCreated
from schemas.roles import RoleAssigned, RoleCreated, RoleDeleted, RoleUnassigned, RoleUpdated
from schemas.users import UserCreated, UserDeactivated, UserDeleted

TENANT = "4f1d2c3b-5a69-4788-97a6-b5c4d3e2f101"
ENTITY = "cae02c60-1b2c-4d3e-8f40-516273849502"
USER = "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c03"
ADMIN = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e04"
ALLOCATION = "6d5e4f30-2b1a-4c9d-8e7f-605142332405"
MEMBERSHIP = "17283940-5a6b-4c7d-8e9f-0a1b2c3d4e06"
ROLE = "2839405a-6b7c-4d8e-9f0a-1b2c3d4e5f07"
CONFIG = "39405a6b-7c8d-4e9f-8a1b-2c3d4e5f6008"
SAID = "2026-11-22T06:56:09.100Z"
MILLISECONDS = 1795330569100
DAY_ONE = "2024-01-15T10:30:00.000Z"

_day_one = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
_said = datetime(2026, 11, 22, 6, 56, 9, 100_000, tzinfo=UTC)

Values = dict[str, Any]


class Captured(NamedTuple):
    """One entry and its meaning."""

    stream: str
    values: Values
    means: Event
    id: str
    target: str = "*"
    historical: bool = False
    version: int | None = MILLISECONDS


def _crm_sync(entity: str, stream: str, event_type: str, values: Values) -> Values:
    head = {"streamId": stream, "messageId": f"{MILLISECONDS}-u8k52fizb", "timestamp": SAID}
    middle = {"eventType": event_type, "entityType": entity, "tenantId": TENANT}
    return {**head, "sourceApp": "wrapper", **middle, **values}


def _metadata(**extra: Any) -> Values:
    return {"correlationId": f"x_{MILLISECONDS}", "version": "1.0", "retryCount": 0, **extra}


def _assignment(event_type: str, version: str, data: Values) -> Values:
    head = {"eventId": MEMBERSHIP, "eventType": event_type, "source": "wrapper-app", "version": version}
    return {**head, "timestamp": SAID, "tenantId": TENANT, "data": data}


_HISTORICAL_CREDIT = {
    "eventId": "evt_1795325769100_pfx3ks00y",
    "eventType": "credit.allocated",
    "tenantId": TENANT,
    "entityId": ENTITY,
    "amount": 1000.5,
    "timestamp": SAID,
    "source": "wrapper",
    "metadata": {
        "allocationId": ALLOCATION,
        "reason": "historical_sync",
        "entityType": "organization",
        "targetApplication": "crm",
        "allocatedBy": None,
        "availableCredits": 850,
        "isHistoricalSync": True,
        "originalAllocatedAt": DAY_ONE,
    },
}
_IDS = {"assignmentId": MEMBERSHIP, "userId": USER, "organizationId": ENTITY}
_FULL_ASSIGNMENT = {
    **_IDS,
    "organizationCode": "ORG_cae02c60",
    "assignmentType": "primary",
    "accessLevel": "standard",
    "isActive": True,
    "isPrimary": False,
    "assignedAt": DAY_ONE,
    "priority": 1,
    "assignedBy": ADMIN,
    "metadata": {"source": "organization-assignment-service", "version": "1.1"},
}
_PERSON = {
    "userId": USER,
    "email": "ada@acme.example",
    "firstName": "Ada",
    "lastName": "Byron",
    "name": "Ada Byron",
    "createdAt": DAY_ONE,
}
_PERSON_IS: dict[str, Any] = {
    "user_id": USER,
    "email": "ada@acme.example",
    "first_name": "Ada",
    "last_name": "Byron",
    "name": "Ada Byron",
    "created_at": _day_one,
}
_MESSAGE = f"{MILLISECONDS}-u8k52fizb"

CAPTURED: dict[str, Captured] = {
    "a historical credit": Captured(
        "credit-events",
        _HISTORICAL_CREDIT,
        CreditIncremented(
            allocation_id=ALLOCATION,
            source_entity_id=ENTITY,
            target_application="crm",
            amount=Decimal("1000.5"),
            cumulative=True,
            available_credits=Decimal(850),
            reason="historical_sync",
            allocated_at=_day_one,
        ),
        id="evt_1795325769100_pfx3ks00y",
        target="crm",
        historical=True,
        version=None,
    ),
    "a use of credits": Captured(
        "credit-events",
        {
            "eventId": "evt_1795325769101_aa1bb2cc3",
            "eventType": "credit.consumed",
            "tenantId": TENANT,
            "entityId": ENTITY,
            "userId": USER,
            "amount": 50,
            "operationType": "crm.leads.create",
            "operationId": "op-1",
            "timestamp": SAID,
            "source": "crm",
            "metadata": {"resourceType": "lead", "resourceId": "l1"},
        },
        CreditConsumed(
            operation_id="op-1",
            source_entity_id=ENTITY,
            user_id=USER,
            amount=Decimal(50),
            operation_type="crm.leads.create",
            resource_type="lead",
            resource_id="l1",
            consumed_at=_said,
        ),
        id="evt_1795325769101_aa1bb2cc3",
        version=None,
    ),
    "a historical organization": Captured(
        "crm:sync:organization:org_created",
        _crm_sync(
            "organization",
            "crm:sync:organization:org_created",
            "org_created",
            {
                "entityId": "ORG_cae02c60",
                "action": "created",
                "data": {
                    "organizationId": ENTITY,
                    "orgCode": "ORG_cae02c60",
                    "orgName": "Acme",
                    "description": None,
                    "createdAt": DAY_ONE,
                },
                "metadata": _metadata(isHistoricalSync=True, originalCreatedAt=DAY_ONE),
            },
        ),
        OrganizationCreated(
            organization_id=ENTITY, org_code="ORG_cae02c60", org_name="Acme", created_at=_day_one
        ),
        id=_MESSAGE,
        historical=True,
    ),
    "a live organization": Captured(
        "crm:sync:organization:org_created",
        _crm_sync(
            "organization",
            "crm:sync:organization:org_created",
            "org_created",
            {
                "entityId": ENTITY,
                "action": "created",
                "data": {
                    "orgCode": ENTITY,
                    "orgName": "Acme",
                    "orgType": "organization",
                    "organizationType": "business_unit",
                    "description": "Works",
                    "parentId": None,
                    "entityLevel": 1,
                    "isActive": True,
                    "createdBy": ADMIN,
                    "createdAt": DAY_ONE,
                },
                "metadata": _metadata(),
            },
        ),
        OrganizationCreated(
            organization_id=ENTITY,
            org_name="Acme",
            description="Works",
            organization_type="business_unit",
            created_by=ADMIN,
            created_at=_day_one,
        ),
        id=_MESSAGE,
    ),
    "a historical assignment": Captured(
        "crm:sync:organization:org_assignment_created",
        _crm_sync(
            "organization",
            "crm:sync:organization:org_assignment_created",
            "org_assignment_created",
            {
                "entityId": ENTITY,
                "action": "assignment_created",
                "data": {**_IDS, "roleId": None, "isPrimary": True, "createdAt": DAY_ONE},
                "metadata": _metadata(isHistoricalSync=True),
            },
        ),
        AssignmentCreated(
            assignment_id=MEMBERSHIP,
            user_id=USER,
            organization_id=ENTITY,
            is_primary=True,
            created_at=_day_one,
            assigned_at=_day_one,
        ),
        id=_MESSAGE,
        historical=True,
    ),
    "an assignment": Captured(
        "crm:organization-assignments",
        _assignment("organization.assignment.created", "1.1", _FULL_ASSIGNMENT),
        AssignmentCreated(
            assignment_id=MEMBERSHIP,
            user_id=USER,
            organization_id=ENTITY,
            organization_code="ORG_cae02c60",
            assignment_type="primary",
            access_level="standard",
            priority=1,
            assigned_by=ADMIN,
            assigned_at=_day_one,
            created_at=_day_one,
        ),
        id=MEMBERSHIP,
    ),
    "an updated assignment": Captured(
        "crm:organization-assignments",
        _assignment(
            "organization.assignment.updated",
            "1.1",
            {**_FULL_ASSIGNMENT, "updatedBy": ADMIN, "changes": {"priority": 2}, "updatedAt": SAID},
        ),
        AssignmentUpdated(
            assignment_id=MEMBERSHIP,
            user_id=USER,
            organization_id=ENTITY,
            organization_code="ORG_cae02c60",
            assignment_type="primary",
            access_level="standard",
            priority=2,
            assigned_by=ADMIN,
            assigned_at=_day_one,
            created_at=_day_one,
            updated_at=_said,
            updated_by=ADMIN,
        ),
        id=MEMBERSHIP,
    ),
    "a deactivated assignment": Captured(
        "crm:organization-assignments",
        _assignment(
            "organization.assignment.deactivated",
            "1.0",
            {**_IDS, "deactivatedBy": ADMIN, "reason": "user_request"},
        ),
        AssignmentSwitched(
            assignment_id=MEMBERSHIP,
            user_id=USER,
            organization_id=ENTITY,
            is_active=False,
            changed_by=ADMIN,
            reason="user_request",
        ),
        id=MEMBERSHIP,
    ),
    "an activated assignment": Captured(
        "crm:organization-assignments",
        _assignment("organization.assignment.activated", "1.0", {**_IDS, "activatedBy": ADMIN}),
        AssignmentSwitched(
            assignment_id=MEMBERSHIP, user_id=USER, organization_id=ENTITY, is_active=True, changed_by=ADMIN
        ),
        id=MEMBERSHIP,
    ),
    "a deleted assignment": Captured(
        "crm:organization-assignments",
        _assignment(
            "organization.assignment.deleted",
            "1.0",
            {**_IDS, "deletedBy": ADMIN, "reason": "permanent_removal"},
        ),
        AssignmentDeleted(
            assignment_id=MEMBERSHIP,
            user_id=USER,
            organization_id=ENTITY,
            deleted_by=ADMIN,
            reason="permanent_removal",
        ),
        id=MEMBERSHIP,
    ),
    "a purchase of credits, announced a second time": Captured(
        "crm:sync:credits:credit_allocated",
        _crm_sync(
            "credit",
            "crm:sync:credits:credit_allocated",
            "credit_allocated",
            {
                "entityId": f"credit_{MILLISECONDS}",
                "action": "allocated",
                "data": {
                    "entityId": ENTITY,
                    "entityType": "organization",
                    "allocatedCredits": 1000,
                    "previousBalance": 0,
                    "newBalance": 1000,
                    "source": "purchase",
                    "sourceId": "pay_1",
                    "description": "Credits",
                    "allocatedBy": ADMIN,
                    "allocatedAt": DAY_ONE,
                },
                "metadata": _metadata(),
            },
        ),
        CreditIncremented(
            source_entity_id=ENTITY, amount=Decimal(1000), allocated_by=ADMIN, allocated_at=_day_one
        ),
        id=_MESSAGE,
        version=None,
    ),
    "a price": Captured(
        "crm:sync:credits:credit_config_updated",
        _crm_sync(
            "credit",
            "crm:sync:credits:credit_config_updated",
            "credit_config_updated",
            {
                "entityId": CONFIG,
                "action": "config_updated",
                "data": {
                    "configId": CONFIG,
                    "operationCode": "crm.leads.create",
                    "creditCost": "1.5000",
                    "unit": "operation",
                    "unitMultiplier": 1,
                    "freeAllowance": 10,
                    "isActive": True,
                    "updatedBy": ADMIN,
                    "updatedAt": SAID,
                    "changeType": "updated",
                    "previousConfig": None,
                },
                "metadata": _metadata(),
            },
        ),
        CreditConfigUpdated(
            config_id=CONFIG,
            operation_code="crm.leads.create",
            credit_cost=Decimal("1.5"),
            unit="operation",
            unit_multiplier=Decimal(1),
            free_allowance=Decimal(10),
            updated_by=ADMIN,
            updated_at=_said,
        ),
        id=_MESSAGE,
    ),
    "a new user": Captured(
        "crm:sync:user:user_created",
        _crm_sync(
            "user",
            "crm:sync:user:user_created",
            "user_created",
            {
                "entityId": USER,
                "action": "created",
                "data": {**_PERSON, "isActive": True},
                "metadata": _metadata(),
            },
        ),
        UserCreated(**_PERSON_IS),
        id=_MESSAGE,
    ),
    "a deactivated user": Captured(
        "crm:sync:user:user_deactivated",
        _crm_sync(
            "user",
            "crm:sync:user:user_deactivated",
            "user_deactivated",
            {
                "entityId": USER,
                "action": "deactivated",
                "data": {
                    **_PERSON,
                    "isActive": False,
                    "deactivatedAt": SAID,
                    "deactivatedBy": ADMIN,
                    "reason": "manual_deactivation",
                },
                "metadata": _metadata(),
            },
        ),
        UserDeactivated(
            **_PERSON_IS, deactivated_at=_said, deactivated_by=ADMIN, reason="manual_deactivation"
        ),
        id=_MESSAGE,
    ),
    "a deleted user": Captured(
        "crm:sync:user:user_deleted",
        _crm_sync(
            "user",
            "crm:sync:user:user_deleted",
            "user_deleted",
            {
                "entityId": USER,
                "action": "deleted",
                "data": {
                    **_PERSON,
                    "deletedAt": SAID,
                    "deletedBy": ADMIN,
                    "reason": "user_removed_from_tenant",
                },
                "metadata": _metadata(),
            },
        ),
        UserDeleted(user_id=USER, deleted_at=_said, deleted_by=ADMIN, reason="user_removed_from_tenant"),
        id=_MESSAGE,
    ),
    "a role given": Captured(
        "crm:sync:permissions:role_assigned",
        _crm_sync(
            "role_assignment",
            "crm:sync:permissions:role_assigned",
            "role_assigned",
            {
                "entityId": MEMBERSHIP,
                "action": "assigned",
                "data": {
                    "assignmentId": MEMBERSHIP,
                    "userId": USER,
                    "roleId": ROLE,
                    "assignedAt": DAY_ONE,
                    "assignedBy": ADMIN,
                    "expiresAt": None,
                },
                "metadata": _metadata(),
            },
        ),
        RoleAssigned(
            assignment_id=MEMBERSHIP, user_id=USER, role_id=ROLE, assigned_at=_day_one, assigned_by=ADMIN
        ),
        id=_MESSAGE,
    ),
    "a role taken": Captured(
        "crm:sync:permissions:role_unassigned",
        _crm_sync(
            "role_assignment",
            "crm:sync:permissions:role_unassigned",
            "role_unassigned",
            {
                "entityId": MEMBERSHIP,
                "action": "unassigned",
                "data": {
                    "assignmentId": MEMBERSHIP,
                    "userId": USER,
                    "roleId": ROLE,
                    "unassignedAt": SAID,
                    "unassignedBy": ADMIN,
                    "reason": "manual",
                },
                "metadata": _metadata(),
            },
        ),
        RoleUnassigned(
            assignment_id=MEMBERSHIP,
            user_id=USER,
            role_id=ROLE,
            unassigned_at=_said,
            unassigned_by=ADMIN,
            reason="manual",
        ),
        id=_MESSAGE,
    ),
    "a changed role": Captured(
        "crm:sync:permissions:role_updated",
        _crm_sync(
            "role",
            "crm:sync:permissions:role_updated",
            "role_updated",
            {
                "entityId": ROLE,
                "action": "updated",
                "data": {
                    "roleId": ROLE,
                    "roleName": "Sales",
                    "description": "Sells",
                    "permissions": {"crm": {"leads": ["read", "create"], "deals": ["read"]}},
                    "restrictions": {"regions": ["north"]},
                    "updatedBy": ADMIN,
                    "updatedAt": SAID,
                },
                "metadata": _metadata(),
            },
        ),
        RoleUpdated(
            role_id=ROLE,
            role_name="Sales",
            description="Sells",
            permissions=("crm.deals.read", "crm.leads.create", "crm.leads.read"),
            restrictions={"regions": ["north"]},
            updated_by=ADMIN,
            updated_at=_said,
        ),
        id=_MESSAGE,
    ),
    "a new role": Captured(
        "affiliateConnect:sync:role:role_created",
        {
            "eventId": f"affiliateConnect_{MILLISECONDS}_k3j2h1g0f",
            "timestamp": SAID,
            "eventType": "role.created",
            "tenantId": TENANT,
            "entityType": "role",
            "entityId": ROLE,
            "data": {
                "roleId": ROLE,
                "roleName": "Sales",
                "description": None,
                "permissions": {"affiliateConnect": {"partners": ["read"]}},
                "restrictions": {},
                "metadata": {"isTemplate": False},
                "createdBy": ADMIN,
                "createdAt": DAY_ONE,
            },
            "publishedBy": ADMIN,
        },
        RoleCreated(
            role_id=ROLE,
            role_name="Sales",
            permissions=("affiliateConnect.partners.read",),
            restrictions={},
            created_by=ADMIN,
            created_at=_day_one,
        ),
        id=f"affiliateConnect_{MILLISECONDS}_k3j2h1g0f",
    ),
    "a deleted role": Captured(
        "hr:sync:role:role_deleted",
        {
            "eventId": f"hr_{MILLISECONDS}_k3j2h1g0f",
            "timestamp": SAID,
            "eventType": "role.deleted",
            "tenantId": TENANT,
            "entityType": "role",
            "entityId": ROLE,
            "data": {
                "roleId": ROLE,
                "roleName": "Sales",
                "transferredToRoleId": None,
                "affectedUsersCount": 3,
            },
            "publishedBy": ADMIN,
        },
        RoleDeleted(role_id=ROLE, role_name="Sales", affected_users_count=3),
        id=f"hr_{MILLISECONDS}_k3j2h1g0f",
    ),
}

NO_FACTS: dict[str, Values] = {
    "an event between applications": {
        "eventId": f"inter_{MILLISECONDS}_a1b2c3d4e",
        "eventType": "user.created",
        "sourceApplication": "crm",
        "targetApplication": "hr",
        "tenantId": TENANT,
        "entityId": USER,
        "timestamp": SAID,
        "eventData": {"userId": USER},
        "publishedBy": "system",
    },
    "a receipt": {
        "acknowledgmentId": f"ack_{MILLISECONDS}_a1b2c3d4e",
        "originalEventId": MEMBERSHIP,
        "status": "processed",
        "timestamp": SAID,
        "source": "crm",
        "acknowledgmentData": {"ok": True},
    },
    "a validator's complaint": {
        "eventId": MEMBERSHIP,
        "eventType": "event.validation_failed",
        "tenantId": TENANT,
        "data": {},
    },
}
"""Entries of other streams, which say nothing about the source's state."""


def g1(values: Values) -> Fields:
    """Until December 2025: every value stringified, the metadata of credits twice."""
    credit = str(values.get("eventType")) in {"credit.allocated", "credit.consumed"}
    twice = {name: _stringify(value) for name, value in values.items() if credit and name == "metadata"}
    return {name.encode(): _stringify(value).encode() for name, value in {**values, **twice}.items()}


def g2(values: Values) -> Fields:
    """Since then: strings raw, everything else stringified."""
    return {
        name.encode(): (value if isinstance(value, str) else _stringify(value)).encode()
        for name, value in values.items()
    }


def crm_side(values: Values) -> Fields:
    """The CRM's own writers: `String(v)`, objects stringified, and `undefined` spelled out."""
    return {**g2(values), b"workflowId": b"undefined", b"userAgent": b"undefined"}


def _stringify(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


GENERATIONS: dict[str, Callable[[Values], Fields]] = {"G1": g1, "G2": g2, "CRM side": crm_side}
