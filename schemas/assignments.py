"""Assignments: which user belongs to which organization (a membership of the source).

An application sees active ones only: a deactivated assignment leaves its sight like a deleted one.
"""

from __future__ import annotations

from typing import Any, ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import ORGANIZATION, USER, Code, Id, Instant, Small, at

ASSIGNMENTS = Subject("assignments")


class AssignmentState(Event, frozen=True, kw_only=True):
    """What is known of an assignment."""

    subject: ClassVar[Subject] = ASSIGNMENTS

    assignment_id: Id
    user_id: Id
    organization_id: Id
    organization_code: Code | None = None
    assignment_type: Code | None = None
    """`primary` and the like."""
    access_level: Code | None = None
    role_id: Id | None = None
    is_active: bool = True
    is_primary: bool = False
    priority: Small | None = None
    assigned_by: Id | None = None
    assigned_at: Instant | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None

    @property
    def key(self) -> str:
        """The assignment."""
        return self.assignment_id

    @property
    def op(self) -> Operation:
        """Gone from sight once it is inactive, whatever the event is called."""
        return "u" if self.is_active else "d"

    def original_time(self) -> tuple[str, Any] | None:
        """When the assignment was made."""
        return "originalCreatedAt", self.created_at


class AssignmentCreated(AssignmentState, frozen=True, kw_only=True):
    """A user was assigned to an organization."""

    type: ClassVar[str] = "org.assignment.created"


class AssignmentUpdated(AssignmentState, frozen=True, kw_only=True):
    """An assignment is now as stated."""

    type: ClassVar[str] = "org.assignment.updated"

    updated_by: Id | None = None


class AssignmentActivated(AssignmentState, frozen=True, kw_only=True):
    """An assignment is in force again, as stated."""

    type: ClassVar[str] = "org.assignment.activated"

    activated_by: Id | None = None


class AssignmentDeactivated(Event, frozen=True, kw_only=True):
    """An assignment is no longer in force and leaves the applications' sight."""

    type: ClassVar[str] = "org.assignment.deactivated"
    subject: ClassVar[Subject] = ASSIGNMENTS
    operation: ClassVar[Operation] = "d"

    assignment_id: Id
    user_id: Id | None = None
    organization_id: Id | None = None
    organization_code: Code | None = None
    assignment_type: Code | None = None
    access_level: Code | None = None
    role_id: Id | None = None
    is_active: bool = False
    is_primary: bool = False
    priority: Small | None = None
    assigned_by: Id | None = None
    assigned_at: Instant | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    deactivated_by: Id | None = None
    deactivated_at: Instant | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """The assignment."""
        return self.assignment_id


class AssignmentDeleted(Event, frozen=True, kw_only=True):
    """An assignment is gone from the source."""

    type: ClassVar[str] = "org.assignment.deleted"
    subject: ClassVar[Subject] = ASSIGNMENTS
    operation: ClassVar[Operation] = "d"

    assignment_id: Id
    user_id: Id | None = None
    organization_id: Id | None = None
    deleted_by: Id | None = None
    deleted_at: Instant | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """The assignment."""
        return self.assignment_id


class AssignmentSwitched(Event, frozen=True, kw_only=True):
    """An older producer switched an assignment on or off and says nothing else about it.

    Part of a state: whoever applies it changes `is_active` of a row it has, and nothing if it has none.
    """

    type: ClassVar[str] = "org.assignment.switched"
    subject: ClassVar[Subject] = ASSIGNMENTS
    read_only: ClassVar[bool] = True

    assignment_id: Id
    user_id: Id | None = None
    organization_id: Id | None = None
    is_active: bool
    changed_by: Id | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """The assignment."""
        return self.assignment_id


_ASSIGNMENT = "b7c1d2e3-f405-4617-8829-3a4b5c6d7e06"

EXAMPLES: tuple[Event, ...] = (
    AssignmentCreated(
        assignment_id=_ASSIGNMENT,
        user_id=USER,
        organization_id=ORGANIZATION,
        organization_code="ORG_cae02c60",
        assignment_type="primary",
        access_level="standard",
        priority=1,
        assigned_at=at("2024-02-03T09:00:00Z"),
        created_at=at("2024-02-03T09:00:00Z"),
    ),
    AssignmentUpdated(
        assignment_id=_ASSIGNMENT, user_id=USER, organization_id=ORGANIZATION, priority=2, updated_by=USER
    ),
    AssignmentActivated(
        assignment_id=_ASSIGNMENT, user_id=USER, organization_id=ORGANIZATION, activated_by=USER
    ),
    AssignmentDeactivated(
        assignment_id=_ASSIGNMENT,
        user_id=USER,
        organization_id=ORGANIZATION,
        deactivated_by=USER,
        reason="user_request",
    ),
    AssignmentDeleted(assignment_id=_ASSIGNMENT, deleted_by=USER, reason="permanent_removal"),
    AssignmentSwitched(
        assignment_id=_ASSIGNMENT, user_id=USER, organization_id=ORGANIZATION, is_active=False
    ),
)
"""One example an event."""
