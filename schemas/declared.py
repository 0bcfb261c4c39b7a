"""Every event of the system in one registry, with one example each."""

from __future__ import annotations

from headwater.event import Event, Registry
from schemas import accounts, assignments, credits, customers, organizations, roles, tenants, users  # noqa: A004

MODULES = (credits, organizations, assignments, users, roles, tenants, accounts, customers)

examples: dict[str, Event] = {event.type: event for module in MODULES for event in module.EXAMPLES}
"""An example by event type."""

registry = Registry(type(event) for event in examples.values())
"""Which events exist."""
