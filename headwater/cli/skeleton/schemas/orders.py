"""Orders: each event carries the whole order as it is now."""

from decimal import Decimal
from typing import ClassVar

from headwater import Event, Subject

ORDERS = Subject("orders")


class OrderChanged(Event, frozen=True, kw_only=True):
    """An order is now as stated."""

    type: ClassVar[str] = "order.changed"
    subject: ClassVar[Subject] = ORDERS

    order_id: str
    customer: str
    total: Decimal

    @property
    def key(self) -> str:
        """The order's id."""
        return self.order_id


class OrderDeleted(Event, frozen=True, kw_only=True):
    """An order is gone."""

    type: ClassVar[str] = "order.deleted"
    subject: ClassVar[Subject] = ORDERS
    operation: ClassVar = "d"

    order_id: str

    @property
    def key(self) -> str:
        """The order's id."""
        return self.order_id
