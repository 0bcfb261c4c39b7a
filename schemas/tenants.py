"""Tenants: what they are, when their data wants syncing, which applications they use."""

from __future__ import annotations

from typing import ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import TENANT, USER, Code, Id, Instant, Small, at

TENANTS = Subject("tenants")
TENANT_SYNCS = Subject("tenant_syncs", state=False)
APPLICATIONS = Subject("applications", state=False)


class TenantUpdated(Event, frozen=True, kw_only=True):
    """A tenant is now as stated."""

    type: ClassVar[str] = "tenant.updated"
    subject: ClassVar[Subject] = TENANTS

    tenant: Id
    company_name: str
    subdomain: str | None = None
    industry: str | None = None
    website: str | None = None
    is_active: bool = True
    created_at: Instant | None = None
    updated_at: Instant | None = None

    @property
    def key(self) -> str:
        """The tenant."""
        return self.tenant


class TenantSyncRequired(Event, frozen=True, kw_only=True):
    """Somebody wants an application's copy of a tenant brought up to date."""

    type: ClassVar[str] = "tenant.sync.required"
    subject: ClassVar[Subject] = TENANT_SYNCS
    operation: ClassVar[Operation] = "x"

    tenant: Id
    target_application: Code | None = None
    """None: every one the tenant uses."""
    reason: str | None = None
    requested_by: str | None = None

    @property
    def key(self) -> str:
        """The tenant."""
        return self.tenant

    @property
    def target(self) -> str:
        """The application to bring up to date."""
        return self.target_application or "*"


class ApplicationSwitch(Event, frozen=True, kw_only=True):
    """What is known when a tenant's use of an application changes."""

    subject: ClassVar[Subject] = APPLICATIONS
    operation: ClassVar[Operation] = "x"

    application: Code
    subscription_tier: Code | None = None
    enabled_modules: tuple[str, ...] = ()
    max_users: Small | None = None
    changed_by: str | None = None
    changed_at: Instant | None = None

    @property
    def key(self) -> str:
        """The application's code."""
        return self.application


class ApplicationEnabled(ApplicationSwitch, frozen=True, kw_only=True):
    """A tenant uses an application from now on."""

    type: ClassVar[str] = "application.enabled"


class ApplicationDisabled(ApplicationSwitch, frozen=True, kw_only=True):
    """A tenant no longer uses an application."""

    type: ClassVar[str] = "application.disabled"


EXAMPLES: tuple[Event, ...] = (
    TenantUpdated(
        tenant=TENANT, company_name="Acme Inc.", industry="Manufacturing", website="https://acme.example"
    ),
    TenantSyncRequired(tenant=TENANT, target_application="crm", reason="first_login"),
    ApplicationEnabled(
        application="crm",
        subscription_tier="basic",
        enabled_modules=("leads",),
        changed_by=USER,
        changed_at=at("2024-02-01T09:00:00Z"),
    ),
    ApplicationDisabled(application="crm", changed_by=USER, changed_at=at("2026-02-01T09:00:00Z")),
)
"""One example an event."""
