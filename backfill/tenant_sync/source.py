"""Where a sync reads: one small protocol, whether behind it is a database or an API.

Always holds: what a reading's pages gave once they ended without an error is all that the source has of a
collection. So what is not among them is gone there, and a page that fails says nothing about what is gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from headwater.event import Event
from schemas.assignments import ASSIGNMENTS
from schemas.credits import CONFIGS, CREDITS
from schemas.organizations import ORGANIZATIONS
from schemas.roles import ROLE_ASSIGNMENTS, ROLES
from schemas.tenants import TENANTS
from schemas.users import USERS


class Collection(NamedTuple):
    """One kind of rows of a tenant."""

    name: str
    """As statuses and statistics call it."""
    subject: str
    path: str
    """Behind `/tenants/{tenant}` in the wrapper's API."""


TENANT = Collection("tenants", TENANTS.name, "")
ORGANIZATION = Collection("organizations", ORGANIZATIONS.name, "organizations")
ROLE = Collection("roles", ROLES.name, "roles")
USER = Collection("users", USERS.name, "users")
ROLE_ASSIGNMENT = Collection("roleAssignments", ROLE_ASSIGNMENTS.name, "role-assignments")
EMPLOYEE_ASSIGNMENT = Collection("employeeAssignments", ASSIGNMENTS.name, "employee-assignments")
CREDIT_CONFIG = Collection("creditConfigs", CONFIGS.name, "credit-configs")
ENTITY_CREDIT = Collection("entityCredits", CREDITS.name, "entity-credits")

ESSENTIAL = (TENANT, ORGANIZATION, ROLE, USER)
"""What a login needs, in the order in which it is stored."""
AFTER = (ROLE_ASSIGNMENT,)
"""What is stored before the caller goes on, and whose failure does not stop it."""
BACKGROUND = (EMPLOYEE_ASSIGNMENT, CREDIT_CONFIG, ENTITY_CREDIT)
COLLECTIONS = (*ESSENTIAL, *AFTER, *BACKGROUND)


class Fact(NamedTuple):
    """One row that the source gave, as the event that states it."""

    event: Event
    version: int


class Page(msgspec.Struct, frozen=True):
    """Some rows of a collection."""

    facts: list[Fact]
    refused: dict[str, str] = {}
    """Rows that can not be said, with the reason: by key, or by place where the key is missing."""
    skipped: int = 0
    """What was given and is no row of this collection: defaults without an id, entities of other types."""


class Reading(Protocol):
    """One look at a tenant."""

    @property
    def steady(self) -> bool:
        """Whether all pages are of one moment: then what is not among them is gone."""
        ...

    def pages(self, collection: Collection) -> AsyncGenerator[Page, None]:
        """All of a collection, parents before what points to them. Close it. Raises a SyncError."""
        ...

    async def count(self, collection: Collection) -> int:
        """How many rows a collection has about now. Raises a SyncError, or what asking raises."""
        ...


class Source(Protocol):
    """Where the truth about tenants is."""

    def reading(self, tenant: str, correlation: str) -> AbstractAsyncContextManager[Reading]:
        """Look at a tenant; `correlation` names the run that looks."""
        ...
