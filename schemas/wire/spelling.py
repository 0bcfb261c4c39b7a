"""Both vocabularies: how the existing systems spell what we say."""

from __future__ import annotations

from headwater.errors import EventError
from schemas.declared import registry

APPLICATIONS = {"affiliateconnect": "affiliate"}
"""Other names of applications, in lower case."""

CLOCKED = frozenset(
    ["organizations", "assignments", "users", "roles", "role_assignments", "credit_configs", "tenants"]
)
"""Subjects whose old producers send no version: theirs is the event's time in milliseconds, which is
smaller than any version drawn from a sequence."""

OWN_ONLY = frozenset(["account.changed", "account.deleted", "customer.changed", "customer.deleted"])
"""Types that no older system ever said."""


def _spellings(event_type: str) -> set[str]:
    names = {event_type}
    if event_type.startswith("org."):
        names.add("organization" + event_type.removeprefix("org"))
    return names | {name.replace(".", "_") for name in names}


TYPES: dict[str, str] = {
    **{
        spelling: event.type
        for event in registry
        if not event.read_only and event.type not in OWN_ONLY
        for spelling in _spellings(event.type)
    },
    "role_permissions_changed": "role.updated",
    "role.permissions_changed": "role.updated",
}
"""Our type for every spelling of it, our own included."""


def _written(event_type: str) -> str:
    head, _, rest = event_type.partition(".")
    if event_type.startswith("org.assignment."):
        return "organization." + rest
    dotted = event_type in {"credit.allocated", "credit.consumed"} or head in {"tenant", "application"}
    return (
        event_type
        if dotted or (rest in {"created", "updated", "deleted"} and head == "role")
        else (event_type.replace(".", "_"))
    )


WRITTEN: dict[str, str] = {ours: _written(ours) for ours in sorted(set(TYPES.values()))}
"""The spelling that older consumers expect, by our type."""


def our_type(spelling: str) -> str:
    """Our name of an event type. Raises EventError `unknown_event`."""
    try:
        return TYPES[spelling.strip().lower()]
    except KeyError:
        raise EventError("unknown_event", f"unknown event {spelling[:80]!r}") from None


def our_application(name: str) -> str:
    """Our code of an application."""
    return APPLICATIONS.get(name.lower(), name.lower())
