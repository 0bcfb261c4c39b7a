"""The tenants themselves: what a sync writes, and nobody else.

`tenant.updated` is said to every application. What it says of tenants that never signed in to the CRM is not
the CRM's to know, so their rows come with a sync, as the rest of a tenant does.
"""

from __future__ import annotations

from headwater.delivery.consumer import Upsert
from schemas.tenants import TENANTS

tenants = Upsert(
    subject=TENANTS.name,
    table="crm.tenants",
    key="id",
    columns=("company_name", "subdomain", "industry", "website", "is_active", "created_at", "updated_at"),
    retire=None,
    live=None,
)
"""Rows of `crm.tenants`."""
