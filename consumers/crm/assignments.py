"""Who belongs to which organization. An assignment that ended stays as an inactive row."""

from __future__ import annotations

from datetime import datetime

from consumers.crm.app import crm
from headwater.database import Tx, load
from headwater.delivery import Context
from schemas.assignments import (
    AssignmentActivated,
    AssignmentCreated,
    AssignmentDeactivated,
    AssignmentDeleted,
    AssignmentSwitched,
    AssignmentUpdated,
)


@crm.upsert(
    AssignmentCreated,
    AssignmentUpdated,
    AssignmentActivated,
    gone=(AssignmentDeactivated, AssignmentDeleted),
    table="crm.assignments",
    key="assignment_id",
    retire="is_active",
)
class Assignment:
    """A row of `crm.assignments`."""

    user_id: str
    organization_id: str
    role_id: str | None
    assignment_type: str | None
    access_level: str | None
    priority: int | None
    is_primary: bool
    is_active: bool
    assigned_at: datetime | None
    updated_at: datetime | None


@crm.on(AssignmentSwitched)
async def on_assignment_switched(event: AssignmentSwitched, tx: Tx, context: Context) -> None:
    """Switch a known assignment; an older producer says nothing that an unknown one could be made of."""
    about = (context.tenant, event.assignment_id, event.is_active)
    await tx.execute(load(__file__, "switch_assignment"), *about)
