"""From a row of the wrapper to the event that states it: the same for live and historical events.

Rows come as asyncpg returns them. The wrapper stores its times without a zone, in UTC; a table
that stores them with one is read as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import msgspec

from schemas.assignments import AssignmentDeactivated, AssignmentState
from schemas.credits import CreditAllocated, CreditConfigUpdated
from schemas.organizations import OrganizationState
from schemas.roles import RoleAssigned, RoleState
from schemas.tenants import ApplicationSwitch, TenantUpdated
from schemas.users import UserState
from schemas.wire.values import permissions


class Row(Protocol):
    """A row of a result: values by column name."""

    def __getitem__(self, name: str, /) -> Any:
        """The value of a column. Raises KeyError."""


O = TypeVar("O", bound=OrganizationState)  # noqa: E741
A = TypeVar("A", AssignmentState, AssignmentDeactivated)
U = TypeVar("U", bound=UserState)
R = TypeVar("R", bound=RoleState)
S = TypeVar("S", bound=ApplicationSwitch)


def utc(value: datetime | None) -> datetime | None:
    """A time of the wrapper with its zone."""
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def text(value: object | None) -> str | None:
    """An id as events carry it."""
    return None if value is None else str(value)


def credit(row: Row, *, amount: Decimal | None = None, reason: str | None = None) -> CreditAllocated:
    """The state of a row of `credit_allocations`; `amount` is what it changed by, by default all of it."""
    return CreditAllocated(
        allocation_id=str(row["allocation_id"]),
        source_entity_id=str(row["source_entity_id"]),
        target_application=row["target_application"],
        amount=row["allocated_credits"] if amount is None else amount,
        allocated_credits=row["allocated_credits"],
        used_credits=row["used_credits"],
        available_credits=row["available_credits"],
        credit_type=row["credit_type"],
        allocation_type=row["allocation_type"],
        purpose=row["allocation_purpose"],
        reason=reason,
        is_active=row["is_active"],
        allocated_by=text(row["allocated_by"]),
        allocated_at=utc(row["allocated_at"]),
        expires_at=utc(row["expires_at"]),
    )


def credit_gone(key: str) -> CreditAllocated:
    """An allocation that is none any more, or none of this application."""
    return CreditAllocated(allocation_id=key, is_active=False)


def credit_config(row: Row, change_type: str = "updated") -> CreditConfigUpdated:
    """The state of a row of `credit_configurations`."""
    return CreditConfigUpdated(
        config_id=str(row["config_id"]),
        operation_code=row["operation_code"],
        credit_cost=row["credit_cost"],
        unit=row["unit"],
        unit_multiplier=row["unit_multiplier"],
        free_allowance=None if row["free_allowance"] is None else Decimal(row["free_allowance"]),
        is_global=row["is_global"],
        is_active=row["is_active"],
        change_type=change_type,
        updated_at=utc(row["updated_at"]),
    )


def organization(kind: type[O], row: Row, tenant: Row) -> O:
    """The state of a row of `entities` with industry and website of its row of `tenants`."""
    return kind(
        organization_id=str(row["entity_id"]),
        org_code=row["entity_code"],
        org_name=row["entity_name"],
        description=row["description"],
        industry=tenant["industry"],
        website=tenant["website"],
        organization_type=row["organization_type"],
        parent_id=text(row["parent_entity_id"]),
        entity_level=row["entity_level"],
        is_active=row["is_active"],
        created_by=text(row["created_by"]),
        created_at=utc(row["created_at"]),
        updated_at=utc(row["updated_at"]),
    )


def assignment(kind: type[A], row: Row, organization_code: str | None, **more: Any) -> A:
    """The state of a row of `organization_memberships`; its primary one comes first."""
    return kind(
        assignment_id=str(row["membership_id"]),
        user_id=str(row["user_id"]),
        organization_id=str(row["entity_id"]),
        organization_code=organization_code,
        assignment_type="primary" if row["is_primary"] else "secondary",
        access_level=row["access_level"],
        role_id=text(row["role_id"]),
        is_active=row["membership_status"] == "active",
        is_primary=row["is_primary"],
        priority=1 if row["is_primary"] else 2,
        assigned_by=text(row["created_by"]),
        assigned_at=utc(row["created_at"]),
        created_at=utc(row["created_at"]),
        updated_at=utc(row["updated_at"]),
        **more,
    )


def user(kind: type[U], row: Row, **more: Any) -> U:
    """The state of a row of `tenant_users`."""
    return kind(
        user_id=str(row["user_id"]),
        email=row["email"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        name=row["name"],
        avatar=row["avatar"],
        primary_organization_id=text(row["primary_organization_id"]),
        is_active=row["is_active"],
        is_tenant_admin=row["is_tenant_admin"],
        is_responsible_person=row["is_responsible_person"],
        created_at=utc(row["created_at"]),
        updated_at=utc(row["updated_at"]),
        **more,
    )


def role(kind: type[R], row: Row, updated_by: str | None = None) -> R:
    """The state of a row of `custom_roles`."""
    restrictions = _json(row["restrictions"])
    return kind(
        role_id=str(row["role_id"]),
        role_name=row["role_name"],
        description=row["description"],
        permissions=tuple(permissions(row["permissions"])),
        restrictions=restrictions if isinstance(restrictions, dict) else None,
        priority=row["priority"],
        is_system_role=row["is_system_role"],
        created_by=text(row["created_by"]),
        created_at=utc(row["created_at"]),
        updated_by=updated_by,
        updated_at=utc(row["updated_at"]),
    )


def role_assignment(row: Row) -> RoleAssigned:
    """The state of a row of `user_role_assignments`."""
    return RoleAssigned(
        assignment_id=str(row["id"]),
        user_id=str(row["user_id"]),
        role_id=str(row["role_id"]),
        organization_id=text(row["organization_id"]),
        scope=row["scope"],
        is_active=row["is_active"],
        assigned_by=text(row["assigned_by"]),
        assigned_at=utc(row["assigned_at"]),
        expires_at=utc(row["expires_at"]),
    )


def tenant(row: Row) -> TenantUpdated:
    """The state of a row of `tenants`."""
    return TenantUpdated(
        tenant=str(row["tenant_id"]),
        company_name=row["company_name"],
        subdomain=row["subdomain"],
        industry=row["industry"],
        website=row["website"],
        is_active=row["is_active"],
        created_at=utc(row["created_at"]),
        updated_at=utc(row["updated_at"]),
    )


def application(kind: type[S], row: Row, app: str, changed_by: str | None) -> S:
    """What a row of `organization_applications` says about an application's use."""
    modules = _json(row["enabled_modules"])
    return kind(
        application=app,
        subscription_tier=row["subscription_tier"],
        enabled_modules=tuple(str(one) for one in modules) if isinstance(modules, list) else (),
        max_users=row["max_users"],
        changed_by=changed_by,
        changed_at=utc(row["updated_at"]),
    )


def _json(stored: object) -> Any:
    # asyncpg hands jsonb over as text, and the wrapper often put JSON text into it once more.
    while isinstance(stored, str):
        stored = msgspec.json.decode(stored)
    return stored
