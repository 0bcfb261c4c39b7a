"""Every stream of the system, under the keys that the existing systems use.

Events that only older systems say stand on the stream where they occur.
"""

from __future__ import annotations

from headwater.topology import Catalogue, Stream
from schemas.accounts import AccountChanged, AccountDeleted
from schemas.assignments import (
    AssignmentActivated,
    AssignmentCreated,
    AssignmentDeactivated,
    AssignmentDeleted,
    AssignmentSwitched,
    AssignmentUpdated,
)
from schemas.credits import CreditAllocated, CreditConfigUpdated, CreditConsumed, CreditIncremented
from schemas.customers import CustomerChanged, CustomerDeleted
from schemas.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationNamed,
    OrganizationUpdated,
)
from schemas.roles import RoleAssigned, RoleCreated, RoleDeleted, RoleUnassigned, RoleUpdated
from schemas.tenants import ApplicationDisabled, ApplicationEnabled, TenantSyncRequired, TenantUpdated
from schemas.users import UserCreated, UserDeactivated, UserDeleted, UserUpdated
from streams.groups import AUTH, CHAT, CUSTOMER, GROUPS

ASSIGNMENTS = (
    AssignmentCreated,
    AssignmentUpdated,
    AssignmentActivated,
    AssignmentDeactivated,
    AssignmentDeleted,
    AssignmentSwitched,
)
TENANTS = (TenantUpdated, TenantSyncRequired, ApplicationEnabled, ApplicationDisabled)
ONE_EVENT = {
    "{app}:sync:organization:org_created": (OrganizationCreated, OrganizationNamed),
    "{app}:sync:organization:org_updated": (OrganizationUpdated,),
    "{app}:sync:organization:org_deleted": (OrganizationDeleted,),
    "{app}:sync:user:user_created": (UserCreated,),
    "{app}:sync:user:user_updated": (UserUpdated,),
    "{app}:sync:user:user_deactivated": (UserDeactivated,),
    "{app}:sync:user:user_deleted": (UserDeleted,),
    "{app}:sync:role:role_created": (RoleCreated,),
    "{app}:sync:role:role_updated": (RoleUpdated,),
    "{app}:sync:role:role_deleted": (RoleDeleted,),
    "{app}:sync:permissions:role_assigned": (RoleAssigned,),
    "{app}:sync:permissions:role_unassigned": (RoleUnassigned,),
}
"""Streams of an application that carry one kind of event each."""


def declare(*, retention: float | None = None, credit_retention: float | None = None) -> Catalogue:
    """The catalogue. `retention` and `credit_retention` (of `credit-events`) are seconds kept at least.

    Without them the settings `STREAM_RETENTION_DAYS` and `CREDIT_EVENTS_RETENTION_DAYS` say how long.
    """
    credit_events = (CreditAllocated, CreditIncremented, CreditConsumed, CreditConfigUpdated)
    return Catalogue(
        [
            Stream(
                name="credit-events",
                events=credit_events,
                retention=credit_retention,
                kept_as="credit_events",
            ),
            *(Stream(name=name, events=events, retention=retention) for name, events in ONE_EVENT.items()),
            Stream(name="{app}:organization-assignments", events=ASSIGNMENTS, retention=retention),
            Stream(name="tenant-sync", events=TENANTS, retention=retention),
            *_of_users(retention),
            *_of_customers(retention),
        ],
        GROUPS,
    )


def declare_users(*, retention: float | None = None) -> Catalogue:
    """What flows from the database of users: a system beside that of the wrapper, on the same Redis."""
    return Catalogue(_of_users(retention), (CHAT,))


def declare_customers(*, retention: float | None = None) -> Catalogue:
    """What flows between auth service and customer service: each reads what the other says."""
    return Catalogue(_of_customers(retention), (AUTH, CUSTOMER))


def _of_customers(retention: float | None) -> list[Stream]:
    return [Stream(name="customers", events=(CustomerChanged, CustomerDeleted), retention=retention)]


def _of_users(retention: float | None) -> list[Stream]:
    return [Stream(name="user-accounts", events=(AccountChanged, AccountDeleted), retention=retention)]
