"""Bookkeeping: a copy of each order."""

from decimal import Decimal

from headwater import Consumer

from schemas.orders import OrderChanged, OrderDeleted

books = Consumer("books")


@books.upsert(OrderChanged, gone=(OrderDeleted,), table="orders", key="order_id")
class Order:
    """A row of `orders`."""

    customer: str
    total: Decimal


__all__ = ["books"]
