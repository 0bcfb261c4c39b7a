"""What the entries of older writers say, as our events. One function a kind of fact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headwater.errors import EventError
from headwater.event import Event
from schemas.assignments import AssignmentCreated, AssignmentDeleted, AssignmentSwitched, AssignmentUpdated
from schemas.credits import CreditConfigUpdated, CreditConsumed, CreditIncremented
from schemas.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationNamed,
    OrganizationUpdated,
)
from schemas.roles import RoleAssigned, RoleCreated, RoleDeleted, RoleUnassigned, RoleUpdated
from schemas.tenants import ApplicationDisabled, ApplicationEnabled, TenantSyncRequired, TenantUpdated
from schemas.users import UserCreated, UserDeactivated, UserDeleted, UserUpdated
from schemas.wire.entry import Entry
from schemas.wire.spelling import our_application
from schemas.wire.values import UUID, fit, permissions

Reader = Callable[[Entry], Event]


def _allocated(entry: Entry) -> Event:
    granted = entry.find("reason") == "application_allocation" and "eventType" not in entry.head
    amount = entry.find("availableCredits" if granted else "amount")
    said = {
        "allocationId": entry.find("allocationId"),
        "sourceEntityId": entry.find("entityId"),
        "sourceEntityType": entry.find("entityType"),
        "targetApplication": None if entry.target == "*" else entry.target,
        "amount": entry.find("allocatedCredits") if amount is None else amount,
        "cumulative": entry.historical,
        "availableCredits": entry.find("availableCredits"),
        "reason": entry.find("reason"),
        "allocatedBy": entry.find("allocatedBy"),
        "allocatedAt": entry.find("originalAllocatedAt", "allocatedAt"),
        "expiresAt": entry.find("expiresAt"),
    }
    return fit(CreditIncremented, said)


def _consumed(entry: Entry, identity: str) -> Event:
    said = {
        **entry.metadata,
        **entry.values,
        "operationId": entry.find("operationId") or identity,
        "sourceEntityId": entry.find("entityId"),
        "consumedAt": entry.moment,
    }
    return fit(CreditConsumed, said)


def _uuid(*candidates: Any) -> str | None:
    return next((one for one in candidates if isinstance(one, str) and UUID.fullmatch(one)), None)


def _organization(state: type[Event]) -> Reader:
    """The UUID may stand in `organizationId`, or in `orgCode` where the code should be, or nowhere."""

    def read(entry: Entry) -> Event:
        places = [entry.find(name) for name in ("organizationId", "orgId", "orgCode", "entityId")]
        names = [entry.find(name) for name in ("organizationCode", "entityCode", "orgCode", "entityId")]
        known = _uuid(*places)
        code = next((one for one in names if isinstance(one, str) and not UUID.fullmatch(one)), None)
        said = {**entry.values, "organizationId": known, "orgCode": code}
        if known is None and code:
            return fit(OrganizationNamed, {**said, "change": entry.type.removeprefix("org.")})
        return fit(state, said)

    return read


def _assignment(state: type[Event]) -> Reader:
    def read(entry: Entry) -> Event:
        changes = entry.data.get("changes")
        said = {**entry.values, **(changes if isinstance(changes, dict) else {})}
        organization = said.get("organizationId")
        if isinstance(organization, str) and organization and not UUID.fullmatch(organization):
            raise EventError(
                "malformed",
                f"an assignment gives no UUID of its organization ({organization[:64]!r})",
                hint="publish it again from a system that knows the UUID, or run a backfill",
            )
        said["createdAt"] = said.get("createdAt") or said.get("assignedAt")
        said["assignedAt"] = said.get("assignedAt") or said.get("createdAt")
        return fit(state, said)

    return read


def _switched(is_active: bool, by: str) -> Reader:
    def read(entry: Entry) -> Event:
        said = {**entry.values, "isActive": is_active, "changedBy": entry.find(by)}
        return fit(AssignmentSwitched, said)

    return read


def _keyed(state: type[Event], name: str) -> Reader:
    """Facts whose `data` is as ours; the key may stand in `entityId` alone."""

    def read(entry: Entry) -> Event:
        return fit(state, {**entry.values, name: entry.find(name, "entityId")})

    return read


def _role(state: type[Event]) -> Reader:
    def read(entry: Entry) -> Event:
        said = {**entry.values, "roleId": entry.find("roleId", "entityId")}
        return fit(state, {**said, "permissions": permissions(said.get("permissions"))})

    return read


def _tenant(entry: Entry) -> Event:
    name = entry.find("companyName", "tenantName")
    return fit(TenantUpdated, {**entry.values, "tenant": entry.tenant, "companyName": name})


def _sync_required(entry: Entry) -> Event:
    target = None if entry.target == "*" else entry.target
    return fit(TenantSyncRequired, {**entry.values, "tenant": entry.tenant, "targetApplication": target})


def _application(state: type[Event]) -> Reader:
    def read(entry: Entry) -> Event:
        code = entry.find("application", "appCode", "entityId")
        return fit(state, {**entry.values, "application": our_application(str(code)) if code else None})

    return read


READERS: dict[str, Reader] = {
    "credit.allocated": _allocated,
    "credit.config_updated": _keyed(CreditConfigUpdated, "configId"),
    "org.created": _organization(OrganizationCreated),
    "org.updated": _organization(OrganizationUpdated),
    "org.deleted": _organization(OrganizationDeleted),
    "org.assignment.created": _assignment(AssignmentCreated),
    "org.assignment.updated": _assignment(AssignmentUpdated),
    "org.assignment.activated": _switched(True, "activatedBy"),
    "org.assignment.deactivated": _switched(False, "deactivatedBy"),
    "org.assignment.deleted": _assignment(AssignmentDeleted),
    "user.created": _keyed(UserCreated, "userId"),
    "user.updated": _keyed(UserUpdated, "userId"),
    "user.deactivated": _keyed(UserDeactivated, "userId"),
    "user.deleted": _keyed(UserDeleted, "userId"),
    "role.created": _role(RoleCreated),
    "role.updated": _role(RoleUpdated),
    "role.deleted": _keyed(RoleDeleted, "roleId"),
    "role.assigned": _keyed(RoleAssigned, "assignmentId"),
    "role.unassigned": _keyed(RoleUnassigned, "assignmentId"),
    "tenant.updated": _tenant,
    "tenant.sync.required": _sync_required,
    "application.enabled": _application(ApplicationEnabled),
    "application.disabled": _application(ApplicationDisabled),
}
"""How each type is read, apart from uses of credits, which may need the entry's own identity."""


def read_fact(entry: Entry, identity: str) -> Event:
    """The event of an entry; `identity` stands in where a use of credits names no operation."""
    return _consumed(entry, identity) if entry.type == "credit.consumed" else READERS[entry.type](entry)
