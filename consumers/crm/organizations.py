"""Organizations of a tenant, as accounts see them.

An older producer speaks of an organization by its code alone. The code leads to the organization
that has it; what is unknown of that one is filled, what a state said stays.
"""

from __future__ import annotations

from datetime import datetime

from consumers.crm.app import crm
from headwater.database import Tx, load
from headwater.delivery import Context
from headwater.errors import Retry
from schemas.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationNamed,
    OrganizationUpdated,
)


@crm.upsert(
    OrganizationCreated,
    OrganizationUpdated,
    gone=(OrganizationDeleted,),
    table="crm.organizations",
    key="organization_id",
)
class Organization:
    """A row of `crm.organizations`."""

    org_code: str | None
    org_name: str
    description: str | None
    industry: str | None
    website: str | None
    organization_type: str | None
    parent_id: str | None
    entity_level: int
    is_active: bool
    created_at: datetime | None
    updated_at: datetime | None


@crm.on(OrganizationNamed)
async def on_organization_named(event: OrganizationNamed, tx: Tx, context: Context) -> None:
    """Find the organization behind a code; until it comes, the delivery waits and then parks."""
    if event.change == "deleted":  # a code that nobody has any more is what was asked for
        return
    about = (event.description, event.organization_type, event.created_at)
    if await tx.fetchval(load(__file__, "fill_organization"), context.tenant, event.org_code, *about) is None:
        raise Retry(f"no organization has the code {event.org_code!r} yet", after=2.0)
