"""Roles of a tenant, and who has which."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from consumers.crm.app import crm
from schemas.roles import RoleAssigned, RoleCreated, RoleDeleted, RoleUnassigned, RoleUpdated


@crm.upsert(RoleCreated, RoleUpdated, gone=(RoleDeleted,), table="crm.roles", key="role_id")
class Role:
    """A row of `crm.roles`."""

    role_name: str
    description: str | None
    permissions: tuple[str, ...]
    restrictions: dict[str, Any] | None
    priority: int | None
    is_system_role: bool
    updated_at: datetime | None


@crm.upsert(RoleAssigned, gone=(RoleUnassigned,), table="crm.role_assignments", key="assignment_id")
class RoleAssignment:
    """A row of `crm.role_assignments`."""

    user_id: str
    role_id: str
    organization_id: str | None
    scope: str | None
    assigned_at: datetime | None
    expires_at: datetime | None
