"""A worker with nothing to do costs next to nothing, and is there at once."""

from __future__ import annotations

import asyncio
import os

from headwater.broker import Broker
from headwater.clock import monotonic
from headwater.database import Tx
from headwater.delivery import Context, Pace, Worker
from headwater.testing import controls, until
from headwater.testing.controls import GoodSold
from headwater.topology import Catalogue, Group, Stream
from tests.engine.conftest import Shop
from tests.engine.entries import sale, sold_by

STREAMS = 14
"""As many as the largest application of the system reads."""
WATCHED = 12.0
AT_ONCE = 0.05


async def commands(broker: Broker) -> int:
    """How many the server was given by anybody since it started."""
    told = (await broker.execute("INFO", "stats")).decode()
    return int(told.partition("total_commands_processed:")[2].split()[0])


async def test_an_idle_worker_costs_little_and_is_there_at_once(shop: Shop) -> None:
    stream = Stream(name="sales", events=(GoodSold,), partitions=STREAMS)
    group = Group(app="shelf", name="shelf-group", streams=("sales",))
    catalogue = Catalogue([stream], [group]).with_prefix(shop.catalogue.keys.prefix)
    handled = asyncio.Event()

    async def handle(event: GoodSold, tx: Tx, context: Context) -> None:
        handled.set()

    worker = Worker(
        *(sold_by(handle), shop.broker, shop.sink, controls.CODEC, catalogue), name="w1", pace=Pace()
    )
    shop.start(worker)
    await until(lambda: worker.ready)
    keys = catalogue.keys_of("shelf")
    assert len(keys) == STREAMS

    asked, busy, since = await commands(shop.broker), sum(os.times()[:2]), monotonic()
    await until(lambda: monotonic() > since + WATCHED, within=WATCHED + 30, every=0.5)
    asked, busy = await commands(shop.broker) - asked - 1, sum(os.times()[:2]) - busy

    assert asked / WATCHED < 8  # two sweeps over all streams, and it fetches
    assert busy / WATCHED < 0.05  # all of this process, on a machine that others use; alone it is below 0.01
    delays = []
    for _ in range(10):
        handled.clear()
        began = monotonic()
        await shop.broker.append([(keys[-1], sale(shop, f"s{began}"))])
        await handled.wait()
        delays.append(monotonic() - began)
    assert sorted(delays)[2] < AT_ONCE  # the others may have waited for the machine
