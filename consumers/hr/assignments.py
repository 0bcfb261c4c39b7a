"""Who belongs to which organization. A person who left stays as an inactive row."""

from __future__ import annotations

from datetime import datetime

from consumers.hr.app import hr
from schemas.assignments import (
    AssignmentActivated,
    AssignmentCreated,
    AssignmentDeactivated,
    AssignmentDeleted,
    AssignmentUpdated,
)


@hr.upsert(
    AssignmentCreated,
    AssignmentUpdated,
    AssignmentActivated,
    gone=(AssignmentDeactivated, AssignmentDeleted),
    table="hr.assignments",
    key="assignment_id",
    retire="is_active",
)
class Assignment:
    """A row of `hr.assignments`."""

    user_id: str
    organization_id: str
    is_primary: bool
    is_active: bool
    assigned_at: datetime | None
    updated_at: datetime | None
