"""Says what becomes of organizations: entities of type organization.

Industry and website belong to the tenant, so they are read in the caller's transaction, under a
lock that lets other organizations change and holds back a change of the tenant: both then say
the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from headwater.database import Tx, load
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationState,
    OrganizationUpdated,
)


class Organizations(Voice):
    """For rows of `entities`; rows of other types than organization are passed over."""

    async def created(self, tx: Tx, row: Row) -> Receipt | None:
        """An organization was founded. None for an entity of another type, here and below."""
        return await self._one(tx, OrganizationCreated, row)

    async def created_many(self, tx: Tx, founded: Sequence[Row]) -> list[Receipt]:
        """Organizations were founded, in this order."""
        return await self._say(tx, OrganizationCreated, founded)

    async def updated(self, tx: Tx, row: Row) -> Receipt | None:
        """An organization is now as its row says."""
        return await self._one(tx, OrganizationUpdated, row)

    async def deleted(self, tx: Tx, row: Row) -> Receipt | None:
        """An organization's row was deleted."""
        if row["entity_type"] != "organization":
            return None
        gone = OrganizationDeleted(organization_id=str(row["entity_id"]), org_code=row["entity_code"])
        return await self._deletion(tx, gone, row)

    async def restated(self, tx: Tx, tenant: str) -> list[Receipt]:
        """A tenant's industry or website changed in this transaction: all its organizations say so."""
        return await self._say(
            tx, OrganizationUpdated, await tx.fetch(load(__file__, "touch_organizations"), tenant)
        )

    async def _one(self, tx: Tx, kind: type[OrganizationState], row: Row) -> Receipt | None:
        receipts = await self._say(tx, kind, [row])
        return receipts[0] if receipts else None

    async def _say(self, tx: Tx, kind: type[OrganizationState], stated: Sequence[Row]) -> list[Receipt]:
        organizations = [row for row in stated if row["entity_type"] == "organization"]
        names = sorted({str(row["tenant_id"]) for row in organizations})
        found = await tx.fetch(load(__file__, "tenant_profiles"), names)
        tenants = {str(row["tenant_id"]): row for row in found}
        return await self._states(
            tx, [(rows.organization(kind, row, tenants[str(row["tenant_id"])]), row) for row in organizations]
        )
