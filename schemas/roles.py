"""Roles of a tenant, and which user has which: two subjects.

Permissions are one sorted tuple of `application.module.operation`, whatever shape they came in.
"""

from __future__ import annotations

from typing import Any, ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import ORGANIZATION, ROLE, USER, Count, Id, Instant, Small, at, plain

ROLES = Subject("roles")
ROLE_ASSIGNMENTS = Subject("role_assignments")


class RoleState(Event, frozen=True, kw_only=True):
    """What is known of a role."""

    subject: ClassVar[Subject] = ROLES

    role_id: Id
    role_name: str
    description: str | None = None
    permissions: tuple[str, ...] = ()
    restrictions: dict[str, Any] | None = None
    priority: Small | None = None
    is_system_role: bool = False
    created_by: Id | None = None
    created_at: Instant | None = None
    updated_by: Id | None = None
    updated_at: Instant | None = None

    def __post_init__(self) -> None:
        plain(self.restrictions)

    @property
    def key(self) -> str:
        """The role."""
        return self.role_id

    def original_time(self) -> tuple[str, Any] | None:
        """When the role came to be."""
        return "originalCreatedAt", self.created_at


class RoleCreated(RoleState, frozen=True, kw_only=True):
    """A role came to be, as stated."""

    type: ClassVar[str] = "role.created"


class RoleUpdated(RoleState, frozen=True, kw_only=True):
    """A role is now as stated."""

    type: ClassVar[str] = "role.updated"


class RoleDeleted(Event, frozen=True, kw_only=True):
    """A role is gone from the source."""

    type: ClassVar[str] = "role.deleted"
    subject: ClassVar[Subject] = ROLES
    operation: ClassVar[Operation] = "d"

    role_id: Id
    role_name: str | None = None
    transferred_to_role_id: Id | None = None
    """The role its users were given instead."""
    affected_users_count: Count | None = None
    deleted_by: Id | None = None
    deleted_at: Instant | None = None

    @property
    def key(self) -> str:
        """The role."""
        return self.role_id


class RoleAssigned(Event, frozen=True, kw_only=True):
    """A user has a role, as stated."""

    type: ClassVar[str] = "role.assigned"
    subject: ClassVar[Subject] = ROLE_ASSIGNMENTS

    assignment_id: Id
    user_id: Id
    role_id: Id
    organization_id: Id | None = None
    """Where it holds; None for the whole tenant."""
    scope: str | None = None
    is_active: bool = True
    assigned_by: Id | None = None
    assigned_at: Instant | None = None
    expires_at: Instant | None = None

    @property
    def key(self) -> str:
        """The assignment."""
        return self.assignment_id

    @property
    def op(self) -> Operation:
        """Gone once it is inactive."""
        return "u" if self.is_active else "d"

    def original_time(self) -> tuple[str, Any] | None:
        """When it was assigned."""
        return "originalCreatedAt", self.assigned_at


class RoleUnassigned(Event, frozen=True, kw_only=True):
    """A user no longer has a role."""

    type: ClassVar[str] = "role.unassigned"
    subject: ClassVar[Subject] = ROLE_ASSIGNMENTS
    operation: ClassVar[Operation] = "d"

    assignment_id: Id
    user_id: Id | None = None
    role_id: Id | None = None
    unassigned_by: Id | None = None
    unassigned_at: Instant | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """The assignment."""
        return self.assignment_id


_ROLE_ASSIGNMENT = "c8d2e3f4-0516-4728-993a-4b5c6d7e8f07"

EXAMPLES: tuple[Event, ...] = (
    RoleCreated(
        role_id=ROLE,
        role_name="Sales",
        permissions=("crm.leads.create", "crm.leads.read"),
        restrictions={"regions": ["north"]},
        created_by=USER,
        created_at=at("2024-01-04T09:00:00Z"),
    ),
    RoleUpdated(role_id=ROLE, role_name="Sales", permissions=("crm.leads.read",), updated_by=USER),
    RoleDeleted(role_id=ROLE, role_name="Sales", affected_users_count=3),
    RoleAssigned(
        assignment_id=_ROLE_ASSIGNMENT,
        user_id=USER,
        role_id=ROLE,
        organization_id=ORGANIZATION,
        assigned_by=USER,
        assigned_at=at("2024-01-05T09:00:00Z"),
    ),
    RoleUnassigned(assignment_id=_ROLE_ASSIGNMENT, user_id=USER, role_id=ROLE, reason="manual_removal"),
)
"""One example an event."""
