"""Organizations of a tenant, said again: parents first."""

from collections.abc import Mapping
from typing import Any

from headwater.database import load
from headwater.replay import Backfill
from producers import rows
from schemas.organizations import ORGANIZATIONS, OrganizationCreated, OrganizationDeleted


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"organizationId": row["key"], "orgCode": row["entity_code"]}


organizations = Backfill(
    subject=ORGANIZATIONS.name,
    scope=load(__file__, "organizations"),
    order=("entity_level", "entity_id"),
    key_column="entity_id",
    say=lambda row: rows.organization(OrganizationCreated, row, row),
    gone=lambda key: OrganizationDeleted(organization_id=key),
    option="syncOrganizations",
    unversioned=("updated_at",),
    detail=_detail,
)
