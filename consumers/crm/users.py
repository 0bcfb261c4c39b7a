"""People of a tenant. One who may not sign in stays, since deals have owners."""

from __future__ import annotations

from datetime import datetime

from consumers.crm.app import crm
from schemas.users import UserCreated, UserDeactivated, UserDeleted, UserUpdated


@crm.upsert(UserCreated, UserUpdated, UserDeactivated, gone=(UserDeleted,), table="crm.users", key="user_id")
class User:
    """A row of `crm.users`."""

    email: str | None
    first_name: str | None
    last_name: str | None
    name: str | None
    avatar: str | None
    primary_organization_id: str | None
    is_active: bool
    is_tenant_admin: bool
    created_at: datetime | None
    updated_at: datetime | None
