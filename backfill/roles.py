"""Roles of a tenant, and who has which, said again: two subjects, one switch."""

from headwater.database import load
from headwater.replay import Backfill
from producers import rows
from schemas.roles import ROLE_ASSIGNMENTS, ROLES, RoleCreated, RoleDeleted, RoleUnassigned

roles = Backfill(
    subject=ROLES.name,
    scope=load(__file__, "roles"),
    order=("role_id",),
    key_column="role_id",
    say=lambda row: rows.role(RoleCreated, row),
    gone=lambda key: RoleDeleted(role_id=key),
    option="syncRoles",
    unversioned=("updated_at",),
    detail=lambda row: {"roleId": row["key"]},
)

role_assignments = Backfill(
    subject=ROLE_ASSIGNMENTS.name,
    scope=load(__file__, "role_assignments"),
    order=("id",),
    key_column="id",
    say=rows.role_assignment,
    gone=lambda key: RoleUnassigned(assignment_id=key),
    option="syncRoles",
    detail=lambda row: {"assignmentId": row["key"]},
)
