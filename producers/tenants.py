"""Says what becomes of tenants and of the applications they use."""

from __future__ import annotations

from headwater.database import Tx
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.tenants import ApplicationDisabled, ApplicationEnabled, TenantSyncRequired


class Tenants(Voice):
    """For rows of `tenants` and `organization_applications`."""

    async def updated(self, tx: Tx, row: Row) -> Receipt:
        """A tenant is now as its row says; see `organizations.restated` for what those say of it."""
        return await self._state(tx, rows.tenant(row), row)

    async def sync_required(
        self, tx: Tx, tenant: str, *, app: str | None = None, reason: str | None = None, by: str | None = None
    ) -> Receipt:
        """Somebody wants the copy of an application, by default of all, brought up to date."""
        event = TenantSyncRequired(tenant=tenant, target_application=app, reason=reason, requested_by=by)
        return await self._producer.publish(tx, event, tenant=tenant)

    async def application_enabled(
        self, tx: Tx, tenant: str, app: str, row: Row, *, changed_by: str | None = None
    ) -> Receipt:
        """A tenant uses an application from now on; `row` of `organization_applications`."""
        event = rows.application(ApplicationEnabled, row, app, changed_by)
        return await self._producer.publish(tx, event, tenant=tenant)

    async def application_disabled(
        self, tx: Tx, tenant: str, app: str, row: Row, *, changed_by: str | None = None
    ) -> Receipt:
        """A tenant no longer uses an application."""
        event = rows.application(ApplicationDisabled, row, app, changed_by)
        return await self._producer.publish(tx, event, tenant=tenant)
