"""Customers: one record kept by two services, `client_auth` and `customers`. They belong to no tenant.

Each side counts its own edits; the two counts together are the version vector, and their sum the
`sync_version` that older peers see. The vector decides at the row, so for the engine this is a
log. E-mail travels sealed under the transport key, never in the clear.
"""

from __future__ import annotations

from typing import ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import Code, Count, Id, Instant, at

CUSTOMERS = Subject("customers", state=False, tenanted=False)


class CustomerChange(Event, frozen=True, kw_only=True):
    """What is known when a customer's record changes."""

    subject: ClassVar[Subject] = CUSTOMERS
    operation: ClassVar[Operation] = "x"

    customer_id: Id
    side: Code
    """Where it was edited: `auth` or `customer`."""
    auth_edits: Count = 0
    customer_edits: Count = 0

    @property
    def key(self) -> str:
        """The customer."""
        return self.customer_id


class CustomerChanged(CustomerChange, frozen=True, kw_only=True):
    """A customer's record was edited on one side and is now as stated there."""

    type: ClassVar[str] = "customer.changed"

    name: str
    email_sealed: str | None = None
    """Encrypted under the transport key; None when there is no e-mail."""
    created_at: Instant | None = None
    updated_at: Instant | None = None


class CustomerDeleted(CustomerChange, frozen=True, kw_only=True):
    """A customer's record was deleted on one side."""

    type: ClassVar[str] = "customer.deleted"

    deleted_at: Instant | None = None


_CUSTOMER = "eaf40516-2738-494a-bb5c-6d7e8f900109"

EXAMPLES: tuple[Event, ...] = (
    CustomerChanged(
        customer_id=_CUSTOMER,
        side="auth",
        auth_edits=2,
        customer_edits=1,
        name="Ada Byron",
        email_sealed="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
        updated_at=at("2026-01-07T09:00:00Z"),
    ),
    CustomerDeleted(customer_id=_CUSTOMER, side="customer", auth_edits=2, customer_edits=2),
)
"""One example an event."""
