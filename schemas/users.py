"""Users: the people of a tenant, as the wrapper knows them."""

from __future__ import annotations

from typing import Any, ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import ORGANIZATION, USER, Id, Instant, at

USERS = Subject("users")


class UserState(Event, frozen=True, kw_only=True):
    """What is known of a user."""

    subject: ClassVar[Subject] = USERS

    user_id: Id
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    name: str | None = None
    """As displayed."""
    avatar: str | None = None
    primary_organization_id: Id | None = None
    is_active: bool = True
    is_tenant_admin: bool = False
    is_responsible_person: bool = False
    created_at: Instant | None = None
    updated_at: Instant | None = None

    @property
    def key(self) -> str:
        """The user."""
        return self.user_id

    def original_time(self) -> tuple[str, Any] | None:
        """When the user came to be."""
        return "originalCreatedAt", self.created_at


class UserCreated(UserState, frozen=True, kw_only=True):
    """A person joined the tenant."""

    type: ClassVar[str] = "user.created"


class UserUpdated(UserState, frozen=True, kw_only=True):
    """A user is now as stated."""

    type: ClassVar[str] = "user.updated"


class UserDeactivated(UserState, frozen=True, kw_only=True):
    """A person may no longer sign in; their rows stay, since others point to them."""

    type: ClassVar[str] = "user.deactivated"

    is_active: bool = False
    deactivated_by: Id | None = None
    deactivated_at: Instant | None = None
    reason: str | None = None


class UserDeleted(Event, frozen=True, kw_only=True):
    """A user is gone from the source."""

    type: ClassVar[str] = "user.deleted"
    subject: ClassVar[Subject] = USERS
    operation: ClassVar[Operation] = "d"

    user_id: Id
    deleted_by: Id | None = None
    deleted_at: Instant | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """The user."""
        return self.user_id


EXAMPLES: tuple[Event, ...] = (
    UserCreated(
        user_id=USER,
        email="ada@acme.example",
        first_name="Ada",
        last_name="Byron",
        name="Ada Byron",
        primary_organization_id=ORGANIZATION,
        created_at=at("2024-01-03T09:00:00Z"),
    ),
    UserUpdated(user_id=USER, email="ada@acme.example", name="Ada Lovelace", is_tenant_admin=True),
    UserDeactivated(user_id=USER, email="ada@acme.example", reason="manual_deactivation"),
    UserDeleted(user_id=USER, reason="user_removed_from_tenant"),
)
"""One example an event."""
