"""Orders reach the database of `books`, newest state last."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from headwater import Broker, Codec, Database, Outgoing, Relay, Worker
from headwater.database.attach import attach
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.testing import RunningServers, until

from consumers import migrations
from consumers.books import books
from producers import attached, enablement, orders, wrapper_schema
from schemas import registry
from schemas.orders import OrderChanged
from streams import catalogue


@asynccontextmanager
async def running(servers: RunningServers) -> AsyncIterator[tuple[Database, Database]]:
    """The shop's database and that of books, with a relay and a worker between them."""
    ours, codec = catalogue.with_prefix(f"test-{uuid.uuid4()}:"), Codec(registry)
    async with servers.fresh_database() as shop_url, servers.fresh_database() as books_url:
        await migrate(shop_url, [SOURCE])
        await migrate(books_url, [APP, ("books", migrations["books"])])
        shop, sink = await Database.open(shop_url), await Database.open(books_url)
        broker = Broker(servers.redis_url)
        await shop.execute(wrapper_schema)
        await attach(shop_url, attached)
        relay = Relay(shop_url, broker, Outgoing(codec, ours), enablement)
        worker = Worker(books, broker, sink, codec, ours, name="w1")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            tasks.create_task(worker.run())
            yield shop, sink
            relay.stop()
            worker.stop()
        for one in (broker, shop, sink):
            await one.close()


async def test_an_order_is_copied_as_it_is_now_until_it_is_deleted(
    servers: RunningServers,
) -> None:
    async with running(servers) as (shop, sink):
        await shop.execute("INSERT INTO enabled VALUES ('acme', 'books')")
        for total in ("12.50", "13"):
            async with shop.transaction() as tx:
                await orders.put(tx, "acme", OrderChanged(order_id="1", customer="Ada", total=Decimal(total)))

        async def copied() -> bool:
            rows = await sink.fetch("SELECT tenant_id, order_id, customer, total FROM orders")
            return [tuple(row) for row in rows] == [("acme", "1", "Ada", Decimal(13))]

        await until(copied, within=30)
        async with shop.transaction() as tx:
            await orders.delete(tx, "acme", "1")

        async def gone() -> bool:
            return not await sink.fetch("SELECT FROM orders")

        await until(gone, within=30)
