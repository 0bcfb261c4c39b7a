"""The tenants themselves: what a sync writes, and nobody else; and who asks for one.

`tenant.updated` is said to every application. What it says of tenants that never signed in to the CRM is not
the CRM's to know, so their rows come with a sync, as the rest of a tenant does.
"""

from __future__ import annotations

from consumers.crm.app import crm
from headwater.database import Tx, load
from headwater.delivery import Context
from headwater.delivery.consumer import Upsert
from schemas.tenants import TENANTS, TenantSyncRequired

tenants = Upsert(
    subject=TENANTS.name,
    table="crm.tenants",
    key="id",
    columns=("company_name", "subdomain", "industry", "website", "is_active", "created_at", "updated_at"),
    retire=None,
    live=None,
)
"""Rows of `crm.tenants`."""


@crm.on(TenantSyncRequired)
async def on_tenant_sync_required(event: TenantSyncRequired, tx: Tx, context: Context) -> None:
    """Write down that a sync is asked for; `headwater sync tenants` makes it.

    What is said to every application counts for the CRM only where it knows the tenant already.
    """
    named = event.target_application is not None
    await tx.execute(load(__file__, "request_sync"), context.tenant, event.requested_by or "stream", named)
