"""The tenants themselves."""

from __future__ import annotations

from datetime import datetime

from consumers.crm.app import crm
from schemas.tenants import TenantUpdated


@crm.upsert(TenantUpdated, table="crm.tenants", key="id")
class Tenant:
    """A row of `crm.tenants`."""

    company_name: str
    subdomain: str | None
    industry: str | None
    website: str | None
    is_active: bool
    created_at: datetime | None
    updated_at: datetime | None
