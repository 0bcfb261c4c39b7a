"""Accounts: the source's `users` table, which becomes the chat's `users`. They belong to no tenant.

The event carries the row as it stands, so that the chat's rules (names, phones, roles, metadata)
live in one place, the consumer. Never a password: only whether there is one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import Code, Count, Id, Instant, amounts, at, plain

ACCOUNTS = Subject("accounts", tenanted=False)


class AccountChanged(Event, frozen=True, kw_only=True):
    """An account is now as stated."""

    type: ClassVar[str] = "account.changed"
    subject: ClassVar[Subject] = ACCOUNTS

    account_id: Id
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    email_verified: bool = False
    phone: str | None = None
    phone_verified: bool = False
    has_password: bool = False
    google_id: str | None = None
    facebook_id: str | None = None
    profile_picture: str | None = None
    auth_provider: Code | None = None
    role: Code | None = None
    status: Code
    """`active` ones belong into the chat, all others do not."""
    account_status: Code | None = None
    terms_and_conditions: bool = False
    is_verified: bool = False
    is_featured: bool = False
    search_boost: Decimal | None = None
    ratings_average: Decimal | None = None
    ratings_total: Count | None = None
    total_hires: Count | None = None
    total_views: Count | None = None
    last_hired_at: Instant | None = None
    bio: str | None = None
    notification_via_app: bool = True
    notification_via_email: bool = True
    notification_via_sms: bool = False
    customer_preferences: Any = None
    notification_preference: Any = None
    security_settings: Any = None
    privacy_settings: Any = None
    preferred_job_types: Any = None
    job_budget: Any = None
    created_at: Instant | None = None
    updated_at: Instant | None = None

    def __post_init__(self) -> None:
        amounts(self.search_boost, self.ratings_average)
        plain([self.customer_preferences, self.notification_preference, self.security_settings])
        plain([self.privacy_settings, self.preferred_job_types, self.job_budget])

    @property
    def key(self) -> str:
        """The account."""
        return self.account_id

    @property
    def op(self) -> Operation:
        """An account that is not active leaves the chat."""
        return "u" if self.status == "active" else "d"


class AccountDeleted(Event, frozen=True, kw_only=True):
    """An account is gone from the source."""

    type: ClassVar[str] = "account.deleted"
    subject: ClassVar[Subject] = ACCOUNTS
    operation: ClassVar[Operation] = "d"

    account_id: Id
    deleted_at: Instant | None = None

    @property
    def key(self) -> str:
        """The account."""
        return self.account_id


_ACCOUNT = "d9e3f405-1627-4839-aa4b-5c6d7e8f9008"

EXAMPLES: tuple[Event, ...] = (
    AccountChanged(
        account_id=_ACCOUNT,
        first_name="Ada",
        last_name="Byron",
        email="ada@acme.example",
        email_verified=True,
        phone="355691234567",
        auth_provider="email",
        role="customer",
        status="active",
        job_budget={"min": 0, "max": 500000, "currency": "ALL"},
        updated_at=at("2026-01-06T09:00:00Z"),
    ),
    AccountDeleted(account_id=_ACCOUNT),
)
"""One example an event."""
