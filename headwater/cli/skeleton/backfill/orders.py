"""Orders of a tenant, said again."""

from headwater import Backfill
from headwater.database import load

from schemas.orders import ORDERS, OrderChanged, OrderDeleted

orders = Backfill(
    subject=ORDERS.name,
    scope=load(__file__, "orders"),
    order=("order_id",),
    key_column="order_id",
    say=lambda row: OrderChanged(order_id=row["order_id"], customer=row["customer"], total=row["total"]),
    gone=lambda key: OrderDeleted(order_id=key),
    option="syncOrders",
)
