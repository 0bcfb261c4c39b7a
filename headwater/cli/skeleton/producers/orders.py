"""Writes orders and says them.

For a try: `python -m producers.orders "$HEADWATER_SOURCE_URL" TENANT ORDER TOTAL`.
"""

import asyncio
import sys
from decimal import Decimal

from headwater import Codec, Database, Producer, Receipt, Tx
from headwater.database import load

from schemas import registry
from schemas.orders import OrderChanged, OrderDeleted

producer = Producer(Codec(registry), source="shop")


async def put(tx: Tx, tenant: str, order: OrderChanged) -> Receipt:
    """Write an order, new or not, and say it."""
    version = await tx.fetchval(
        load(__file__, "put_order"), tenant, order.order_id, order.customer, order.total
    )
    return await producer.publish(tx, order, tenant=tenant, version=version)


async def delete(tx: Tx, tenant: str, order_id: str) -> Receipt:
    """Delete an order and say so, with the version that the deletion drew."""
    await tx.execute(load(__file__, "delete_order"), tenant, order_id)
    return await producer.publish(tx, OrderDeleted(order_id=order_id), tenant=tenant)


async def main(url: str, tenant: str, order_id: str, total: str) -> None:
    """One order, from the command line."""
    database = await Database.open(url, size=1)
    try:
        async with database.transaction() as tx:
            await put(tx, tenant, OrderChanged(order_id=order_id, customer="Ada", total=Decimal(total)))
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
