"""Who speaks: one producer a subject of the wrapper, all writing into the outbox of its database.

async with database.transaction() as tx:
    row = await tx.fetchrow("UPDATE entities SET entity_name = $2 WHERE entity_id = $1 RETURNING *", ...)
    await producers.organizations.updated(tx, row)
"""

from __future__ import annotations

from headwater.database import load
from headwater.database.attach import Attached, Moves
from headwater.publish import Producer
from producers import rows
from producers.assignments import Assignments
from producers.credits import Credits
from producers.organizations import Organizations
from producers.roles import Roles
from producers.tenants import Tenants
from producers.users import Users

wrapper_schema = load(__file__, "wrapper")
"""DDL of the wrapper's own tables, for the demo and for tests."""

enablement = load(__file__, "enablement")
"""Which applications tenants have enabled: `$1 text[] tenants -> rows (tenant, app)`."""

attached = (
    Attached(
        "tenants",
        "tenants",
        "tenant_id",
        "tenant_id",
        ("company_name", "subdomain", "industry", "website", "is_active"),
    ),
    Attached(
        "entities",
        "organizations",
        "tenant_id",
        "entity_id",
        (
            *("entity_type", "parent_entity_id", "entity_level", "entity_name", "entity_code", "description"),
            *("organization_type", "is_active"),
        ),
    ),
    Attached(
        "tenant_users",
        "users",
        "tenant_id",
        "user_id",
        (
            *("email", "name", "first_name", "last_name", "avatar", "primary_organization_id"),
            *("is_active", "is_tenant_admin", "is_responsible_person"),
        ),
    ),
    Attached(
        "custom_roles",
        "roles",
        "tenant_id",
        "role_id",
        ("role_name", "description", "permissions", "restrictions", "priority", "is_system_role"),
        recurring=True,
    ),
    Attached(
        "user_role_assignments",
        "role_assignments",
        "tenant_id",
        "id",
        ("user_id", "role_id", "organization_id", "scope", "expires_at", "is_active"),
    ),
    Attached(
        "organization_memberships",
        "assignments",
        "tenant_id",
        "membership_id",
        ("user_id", "entity_id", "role_id", "membership_status", "access_level", "is_primary"),
    ),
    Attached(
        "credit_allocations",
        "credits",
        "tenant_id",
        "allocation_id",
        (
            *(
                "source_entity_id",
                "target_application",
                "allocated_credits",
                "used_credits",
                "available_credits",
            ),
            *("credit_type", "allocation_type", "allocation_purpose", "is_active", "expires_at"),
        ),
        moves=Moves("target_application", rows.credit_gone),
    ),
    Attached(
        "credit_configurations",
        "credit_configs",
        "tenant_id",
        "config_id",
        (
            "operation_code",
            "credit_cost",
            "unit",
            "unit_multiplier",
            "free_allowance",
            "is_global",
            "is_active",
        ),
    ),
)
"""The tables that events speak of, and the columns they carry: a sign-in draws no version."""


class Producers:
    """Every producer of the wrapper."""

    def __init__(self, producer: Producer) -> None:
        self.credits = Credits(producer)
        self.organizations = Organizations(producer)
        self.assignments = Assignments(producer)
        self.users = Users(producer)
        self.roles = Roles(producer)
        self.tenants = Tenants(producer)


__all__ = [
    "Assignments",
    "Credits",
    "Organizations",
    "Producers",
    "Roles",
    "Tenants",
    "Users",
    "attached",
    "enablement",
    "wrapper_schema",
]
