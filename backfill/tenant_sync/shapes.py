"""From an item of the wrapper's API to the event that states it. Pure.

Items carry no version. One that tells when its row changed is versioned by that time in milliseconds, any
other by when it was read: both are smaller than any version of the source's own, so that what a sync over
the API stores never overtakes what the source said by itself. An item may carry `headwaterVersion`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from backfill.tenant_sync.source import Collection, Fact, Page
from headwater.errors import EventError
from headwater.event import Event
from schemas.assignments import ASSIGNMENTS, AssignmentCreated
from schemas.credits import CONFIGS, CREDITS, CreditAllocated, CreditConfigUpdated
from schemas.organizations import ORGANIZATIONS, OrganizationCreated, OrganizationState
from schemas.roles import ROLE_ASSIGNMENTS, ROLES, RoleAssigned, RoleCreated
from schemas.tenants import TENANTS, TenantUpdated
from schemas.users import USERS, UserCreated
from schemas.wire.values import permissions

Item = Mapping[str, Any]


class Seen(NamedTuple):
    """What is known beside an item."""

    tenant: str
    at: int
    """When it was read: milliseconds after 1970."""
    root: str | None = None
    """The tenant's root organization, where it has exactly one."""


class Skip(Exception):
    """The item is no row of its collection."""


def page(collection: Collection, items: Sequence[Any], seen: Seen) -> Page:
    """Items as facts; an item that can not be said is refused, and stops no other."""
    facts: list[Fact] = []
    refused: dict[str, str] = {}
    skipped = 0
    for place, item in enumerate(items):
        try:
            facts.append(_fact(collection, item, seen))
        except Skip:
            skipped += 1
        except (EventError, ValueError, TypeError, LookupError, AttributeError, InvalidOperation) as error:
            refused[_name(collection, item, place)] = f"{type(error).__name__}: {error}"[:300]
    return Page(facts, refused, skipped)


def _fact(collection: Collection, item: Any, seen: Seen) -> Fact:
    made = _MADE[collection.subject](item, seen)
    # The constructor believes what it is given; only decoding looks at types, lengths and ranges.
    event = msgspec.convert(msgspec.to_builtins(made), type(made))
    version = item.get("headwaterVersion")
    if version is None:
        changed = time(item.get("updatedAt"))
        version = seen.at if changed is None else int(changed.timestamp() * 1000)
    return Fact(event, int(version))


def names(collection: Collection, items: Sequence[Any], first: int = 0) -> list[str]:
    """What tells items apart: their key, or their place where they have none, counted from `first`."""
    return [_name(collection, item, place) for place, item in enumerate(items, first)]


def _name(collection: Collection, item: Any, place: int) -> str:
    key = item.get(_KEYS[collection.subject]) if isinstance(item, Mapping) else None
    return identity(str(key))[:128] if key else f"#{place}"


def is_root(event: Event) -> bool:
    """Whether an organization has no parent."""
    return isinstance(event, OrganizationState) and event.parent_id is None


def time(value: Any) -> datetime | None:
    """A time of the API, which is UTC where it has no zone. Raises ValueError."""
    if value is None:
        return None
    when = datetime.fromisoformat(value)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def identity(value: Any) -> str:
    """An id as events carry it: a UUID in its one spelling. Raises ValueError."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"no id ({value!r})")
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return value


def _maybe(value: Any) -> str | None:
    return None if value is None else identity(value)


def _amount(value: Any) -> Decimal:
    return Decimal(str(value))


def _tenant(item: Item, seen: Seen) -> Event:
    if identity(item["tenantId"]) != seen.tenant:
        raise ValueError(f"another tenant ({item['tenantId']})")
    return TenantUpdated(
        tenant=seen.tenant,
        company_name=item["tenantName"],
        is_active=item.get("status", "active") == "active",
        created_at=time(item.get("createdAt")),
        updated_at=time(item.get("updatedAt")),
    )


def _organization(item: Item, _: Seen) -> Event:
    more, tree = item.get("metadata") or {}, item.get("hierarchy") or {}
    if more.get("entityType", "organization") != "organization":
        raise Skip
    return OrganizationCreated(
        organization_id=identity(item["orgCode"]),
        org_code=more.get("entityCode"),
        org_name=item["orgName"],
        description=more.get("description"),
        industry=more.get("industry"),
        website=more.get("website"),
        organization_type=more.get("organizationType"),
        parent_id=_maybe(item.get("parentId")),
        entity_level=int(tree.get("level") or 1),
        is_active=item.get("status", "active") == "active",
        created_at=time(item.get("createdAt")),
        updated_at=time(item.get("updatedAt")),
    )


def _role(item: Item, _: Seen) -> Event:
    return RoleCreated(
        role_id=identity(item["roleId"]),
        role_name=item["roleName"],
        description=item.get("description"),
        permissions=tuple(permissions(item.get("permissions"))),
        priority=item.get("priority"),
        is_system_role=bool(item.get("isSystemRole", False)),
        created_at=time(item.get("createdAt")),
        updated_at=time(item.get("updatedAt")),
    )


def _user(item: Item, _: Seen) -> Event:
    person, status = item.get("personalInfo") or {}, item.get("status") or {}
    first, last = person.get("firstName"), person.get("lastName")
    where = item.get("organization")
    return UserCreated(
        user_id=identity(item["userId"]),
        email=person.get("email"),
        first_name=first,
        last_name=last,
        name=" ".join(one for one in (first, last) if one) or None,
        primary_organization_id=_maybe(where.get("orgCode") if isinstance(where, Mapping) else where),
        is_active=bool(status.get("isActive", True)),
        created_at=time(item.get("createdAt")),
        updated_at=time(item.get("updatedAt")),
    )


def _role_assignment(item: Item, seen: Seen) -> Event:
    where = _maybe(item.get("entityId"))
    return RoleAssigned(
        assignment_id=identity(item["assignmentId"]),
        user_id=identity(item["userId"]),
        role_id=identity(item["roleId"]),
        # The API says the tenant where none is named: its root organization is meant, never any other.
        organization_id=seen.root if where == seen.tenant else where,
        is_active=bool(item.get("isActive", True)),
        assigned_by=_maybe(item.get("assignedBy")),
        assigned_at=time(item.get("assignedAt")),
        expires_at=time(item.get("expiresAt")),
    )


def _assignment(item: Item, _: Seen) -> Event:
    more, priority = item.get("metadata") or {}, item.get("priority")
    primary = item.get("assignmentType") == "primary" or priority == 1
    return AssignmentCreated(
        assignment_id=identity(item["assignmentId"]),
        user_id=identity(item["userId"]),
        organization_id=identity(item["entityId"]),
        organization_code=more.get("organizationCode"),
        assignment_type="primary" if primary else "secondary",
        access_level=more.get("accessLevel"),
        is_active=bool(item.get("isActive", True)),
        is_primary=primary,
        priority=priority,
        assigned_by=_maybe(item.get("assignedBy")),
        assigned_at=time(item.get("assignedAt")),
        created_at=time(item.get("assignedAt")),
        updated_at=time(item.get("updatedAt")),
    )


def _credit_config(item: Item, _: Seen) -> Event:
    if item.get("configId") is None:  # a default of the wrapper's code, which is no row
        raise Skip
    free = item.get("freeAllowance")
    return CreditConfigUpdated(
        config_id=identity(item["configId"]),
        operation_code=item["operationCode"],
        credit_cost=_amount(item["creditCost"]),
        unit=item.get("unit"),
        unit_multiplier=None if item.get("unitMultiplier") is None else _amount(item["unitMultiplier"]),
        free_allowance=None if free is None else _amount(free),
        is_global=bool(item.get("isGlobal", False)),
        is_active=bool(item.get("isActive", True)),
        updated_at=time(item.get("updatedAt")),
    )


def _entity_credit(item: Item, _: Seen) -> Event:
    return CreditAllocated(
        # A balance without the allocation it is of would stand beside the one that events state: 0038.
        allocation_id=identity(item.get("allocationId")),
        source_entity_id=identity(item["entityId"]),
        target_application=item["targetApplication"],
        amount=_amount(item["allocatedCredits"]),
        allocated_credits=_amount(item["allocatedCredits"]),
        used_credits=_amount(item.get("usedCredits", 0)),
        available_credits=_amount(item["availableCredits"]),
        credit_type=item.get("creditType") or "free",
        allocation_type=item.get("allocationType") or "manual",
        purpose=item.get("allocationPurpose"),
        is_active=bool(item.get("isActive", True)),
        allocated_at=time(item.get("allocatedAt")),
        expires_at=time(item.get("expiresAt")),
    )


_MADE: Mapping[str, Callable[[Item, Seen], Event]] = {
    TENANTS.name: _tenant,
    ORGANIZATIONS.name: _organization,
    ROLES.name: _role,
    USERS.name: _user,
    ROLE_ASSIGNMENTS.name: _role_assignment,
    ASSIGNMENTS.name: _assignment,
    CONFIGS.name: _credit_config,
    CREDITS.name: _entity_credit,
}
_KEYS = {
    TENANTS.name: "tenantId",
    ORGANIZATIONS.name: "orgCode",
    ROLES.name: "roleId",
    USERS.name: "userId",
    ROLE_ASSIGNMENTS.name: "assignmentId",
    ASSIGNMENTS.name: "assignmentId",
    CONFIGS.name: "configId",
    CREDITS.name: "allocationId",
}
