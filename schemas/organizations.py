"""Organizations: the entities of type organization of a tenant, a tree by `parent_id`.

The key is the UUID, always. `org_code` is for display, may be missing and may change.
"""

from __future__ import annotations

from typing import Any, ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import ORGANIZATION, USER, Code, Id, Instant, Small, at

ORGANIZATIONS = Subject("organizations")
CODES = Subject("organization_codes", state=False)


class OrganizationState(Event, frozen=True, kw_only=True):
    """What is known of an organization; the same live and historical."""

    subject: ClassVar[Subject] = ORGANIZATIONS

    organization_id: Id
    org_code: Code | None = None
    """`ORG_…`, for people."""
    org_name: str
    description: str | None = None
    industry: str | None = None
    """Of the tenant: organizations have none of their own."""
    website: str | None = None
    """Of the tenant."""
    organization_type: Code | None = None
    parent_id: Id | None = None
    entity_level: Small = 1
    is_active: bool = True
    created_by: Id | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None

    @property
    def key(self) -> str:
        """The organization's UUID."""
        return self.organization_id

    def original_time(self) -> tuple[str, Any] | None:
        """When the organization came to be."""
        return "originalCreatedAt", self.created_at


class OrganizationCreated(OrganizationState, frozen=True, kw_only=True):
    """An organization came to be, as stated."""

    type: ClassVar[str] = "org.created"


class OrganizationUpdated(OrganizationState, frozen=True, kw_only=True):
    """An organization is now as stated."""

    type: ClassVar[str] = "org.updated"


class OrganizationDeleted(Event, frozen=True, kw_only=True):
    """An organization is gone from the source."""

    type: ClassVar[str] = "org.deleted"
    subject: ClassVar[Subject] = ORGANIZATIONS
    operation: ClassVar[Operation] = "d"

    organization_id: Id
    org_code: Code | None = None
    deleted_by: Id | None = None
    deleted_at: Instant | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """The organization's UUID."""
        return self.organization_id


class OrganizationNamed(Event, frozen=True, kw_only=True):
    """An older producer speaks of an organization by its code alone.

    Which organization that is, only the consumer's table can tell: it looks the code up and, when
    it finds the organization, fills what it does not know yet. It never orders anything: states
    of the organization itself always win.
    """

    type: ClassVar[str] = "org.named"
    subject: ClassVar[Subject] = CODES
    operation: ClassVar[Operation] = "x"
    read_only: ClassVar[bool] = True

    org_code: Code
    org_name: str | None = None
    description: str | None = None
    organization_type: Code | None = None
    is_active: bool | None = None
    created_at: Instant | None = None
    change: Code = "created"
    """What the producer said had happened: `created`, `updated` or `deleted`."""

    @property
    def key(self) -> str:
        """The code."""
        return self.org_code


EXAMPLES: tuple[Event, ...] = (
    OrganizationCreated(
        organization_id=ORGANIZATION,
        org_code="ORG_cae02c60",
        org_name="Acme",
        industry="Manufacturing",
        website="https://acme.example",
        organization_type="business_unit",
        created_by=USER,
        created_at=at("2024-01-02T09:00:00Z"),
        updated_at=at("2024-01-02T09:00:00Z"),
    ),
    OrganizationUpdated(
        organization_id=ORGANIZATION,
        org_code="ORG_cae02c60",
        org_name="Acme Works",
        created_at=at("2024-01-02T09:00:00Z"),
        updated_at=at("2026-03-04T10:00:00Z"),
    ),
    OrganizationDeleted(
        organization_id=ORGANIZATION, org_code="ORG_cae02c60", deleted_at=at("2026-05-06T11:00:00Z")
    ),
    OrganizationNamed(org_code="ORG_cae02c60", org_name="Acme"),
)
"""One example an event."""
