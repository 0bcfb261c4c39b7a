"""Says what becomes of tenants and of the applications they use."""

from __future__ import annotations

from headwater.database import Tx
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.tenants import ApplicationDisabled, ApplicationEnabled, ApplicationSwitch, TenantSyncRequired


class Tenants(Voice):
    """For rows of `tenants` and `organization_applications`."""

    async def updated(self, tx: Tx, row: Row) -> Receipt:
        """A tenant is now as its row says. After a change of industry or website: `organizations.restated` too."""
        return await self._state(tx, rows.tenant(row), row)

    async def sync_required(
        self, tx: Tx, tenant: str, *, app: str | None = None, reason: str | None = None, by: str | None = None
    ) -> Receipt:
        """Somebody wants the copy of an application, by default of all, brought up to date."""
        event = TenantSyncRequired(tenant=tenant, target_application=app, reason=reason, requested_by=by)
        return await self._producer.publish(tx, event, tenant=tenant)

    async def enabled(self, tx: Tx, row: Row, app: str, *, by: str | None = None) -> Receipt:
        """A tenant uses an application from now on; `row` of `organization_applications`."""
        return await self._switch(tx, rows.application(ApplicationEnabled, row, app, by), row)

    async def disabled(self, tx: Tx, row: Row, app: str, *, by: str | None = None) -> Receipt:
        """A tenant no longer uses an application."""
        return await self._switch(tx, rows.application(ApplicationDisabled, row, app, by), row)

    async def _switch(self, tx: Tx, event: ApplicationSwitch, row: Row) -> Receipt:
        return await self._producer.publish(tx, event, tenant=str(row["tenant_id"]))
