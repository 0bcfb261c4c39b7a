"""Active memberships of a tenant, said again."""

from headwater.database import load
from headwater.replay import Backfill
from producers import rows
from schemas.assignments import ASSIGNMENTS, AssignmentCreated, AssignmentDeleted

assignments = Backfill(
    subject=ASSIGNMENTS.name,
    scope=load(__file__, "assignments"),
    order=("membership_id",),
    key_column="membership_id",
    say=lambda row: rows.assignment(AssignmentCreated, row, row["entity_code"]),
    gone=lambda key: AssignmentDeleted(assignment_id=key),
    option="syncAssignments",
    unversioned=("updated_at",),
    detail=lambda row: {"membershipId": row["key"]},
)
