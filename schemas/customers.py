"""Customers: one record kept by two services, `client_auth` and `customers`. They belong to no tenant.

Each side counts its own edits; the two counts together are the version vector, and their sum the
`sync_version` that older peers see. The vector decides at the row, so for the engine this is a
log. E-mail travels sealed under the transport key, never in the clear.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from headwater.event import Event, Operation, Subject
from schemas.shared import Code, Instant, at

CUSTOMERS = Subject("customers", state=False, tenanted=False)

Number = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number of edits, as far as the columns of both services count."""


class CustomerChange(Event, frozen=True, kw_only=True):
    """What is known when a customer's record changes."""

    subject: ClassVar[Subject] = CUSTOMERS
    operation: ClassVar[Operation] = "x"

    customer_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    side: Code
    """Who says it: `auth` or `customer`."""
    auth_edits: Number = 0
    customer_edits: Number = 0
    email_sealed: str | None = None
    """Encrypted under the transport key; None when there is no e-mail."""
    name_side: Code | None = None
    name_number: Number = 0
    """By which edit of which side the name came to be."""
    email_side: Code | None = None
    email_number: Number = 0
    gone_auth: Number = 0
    gone_customer: Number = 0
    """Of each side, the edits that somebody deleted."""

    @property
    def key(self) -> str:
        """The customer."""
        return self.customer_id


class CustomerChanged(CustomerChange, frozen=True, kw_only=True):
    """A customer's record was edited on one side and is now as stated there."""

    type: ClassVar[str] = "customer.changed"

    name: str
    created_at: Instant | None = None
    updated_at: Instant | None = None


class CustomerDeleted(CustomerChange, frozen=True, kw_only=True):
    """A customer's record was deleted on one side."""

    type: ClassVar[str] = "customer.deleted"

    name: str = ""
    """The last one: an edit made elsewhere meanwhile keeps the record alive, with it."""
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
        name_side="auth",
        name_number=2,
        email_side="customer",
        email_number=1,
        updated_at=at("2026-01-07T09:00:00Z"),
    ),
    CustomerDeleted(customer_id=_CUSTOMER, side="customer", auth_edits=2, customer_edits=2),
)
"""One example an event."""
