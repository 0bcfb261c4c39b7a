"""A stop ends a worker in time and leaves nothing under its name, whatever it was doing."""

from __future__ import annotations

import asyncio

from headwater.broker import Broker
from headwater.clock import monotonic
from headwater.database import Database, Tx
from headwater.delivery import Context, Limits, Pace
from headwater.delivery import letters as dead_letters
from headwater.testing import FaultProxy, until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import applied, letters, put, sale, sold_by, started, take
from tests.failure.children import Children

DRAIN = 2.0
IN_TIME = DRAIN + 20.0
"""On a busy machine; what must not happen lasts for ever."""
PACE = Pace(block=0.2, min_idle=0.6, heartbeat=0.2, drain=DRAIN)


async def nothing_under(shop: Shop, name: str) -> None:
    for key in shop.catalogue.keys_of("shelf"):
        assert await shop.broker.held_by("shelf-group", name, key) == set()


async def test_a_stop_while_the_database_answers_nothing_ends_in_time_and_gives_everything_back(
    shop: Shop,
) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        sink = await Database.open(proxy.url)
        worker = await started(shop, shop.worker(sink=sink, name="leaving", pace=PACE))
        proxy.black_hole()
        await put(shop, *(sale(shop, f"s{n}") for n in range(5)))
        await until(lambda: worker.statistics()["in_hand"] == 5)
        since = monotonic()

        await shop.stop(worker)

        assert monotonic() - since < IN_TIME
        await nothing_under(shop, "leaving")
        assert worker.statistics()["given_back"] == 5
        shop.start(shop.worker(name="staying"))
        await applied(shop, *(f"s{n}" for n in range(5)))
        await proxy.heal()
        await sink.close()


async def test_a_stop_while_redis_answers_nothing_ends_in_time(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=5.0)
        worker = await started(shop, shop.worker(broker=broker, pace=PACE))
        proxy.black_hole()
        since = monotonic()

        await shop.stop(worker)

        assert monotonic() - since < IN_TIME
        await proxy.heal()
        await broker.close()


async def test_a_handler_that_never_ends_is_given_up_with_its_entry_and_the_rest_is_finished(
    shop: Shop,
) -> None:
    async def stuck(event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == "stuck":
            await asyncio.Event().wait()
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    worker = await started(shop, shop.worker(sold_by(stuck), name="leaving", pace=PACE))
    await put(shop, sale(shop, "stuck"))
    await until(lambda: worker.statistics()["in_hand"] == 1)
    await put(shop, sale(shop, "s1"))
    await applied(shop, "s1", pending=1)
    since = monotonic()

    await shop.stop(worker)

    assert monotonic() - since < IN_TIME
    await nothing_under(shop, "leaving")


async def test_a_stop_while_entries_are_taken_up_again_leaves_none_under_the_name(shop: Shop) -> None:
    begun = asyncio.Event()

    async def stuck(event: GoodSold, tx: Tx, context: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    await put(shop, *(sale(shop, f"s{n}") for n in range(3)))
    await take(shop, "dead")
    worker = shop.start(shop.worker(sold_by(stuck), name="leaving", pace=PACE))
    await begun.wait()
    since = monotonic()

    await shop.stop(worker)

    assert monotonic() - since < IN_TIME
    await nothing_under(shop, "leaving")


async def test_a_stop_while_dead_letters_are_replayed_leaves_them_to_the_next_worker(shop: Shop) -> None:
    first = await started(shop, shop.worker(name="first", limits=Limits(attempts=1)))
    await put(shop, sale(shop, "s1", behave="reject"))
    await until(lambda: letters(shop))
    await shop.stop(first)
    begun = asyncio.Event()

    async def stuck(event: GoodSold, tx: Tx, context: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    worker = await started(shop, shop.worker(sold_by(stuck), name="leaving", pace=PACE))
    ids = [row["id"] for row in await shop.sink.fetch("SELECT id FROM headwater.dead_letter")]
    assert await dead_letters.replay(shop.sink, "shelf", ids) == ids
    await begun.wait()
    since = monotonic()

    await shop.stop(worker)

    assert monotonic() - since < IN_TIME
    assert await shop.sink.fetchval("SELECT state FROM headwater.dead_letter") == "replaying"
    await nothing_under(shop, "leaving")


async def test_a_process_under_load_ends_in_time_and_leaves_nothing_under_its_name(
    shop: Shop, children: Children
) -> None:
    names = [f"s{count:03}" for count in range(400)]
    process = await children.start("worker", name="leaving")
    await put(shop, *(sale(shop, name) for name in names), sale(shop, "late", behave="crash"))
    await until(shop.sales)
    since = monotonic()

    process.terminate()

    assert await process.wait() == 0
    assert monotonic() - since < IN_TIME
    await nothing_under(shop, "leaving")
    shop.start(shop.worker(name="staying"))
    await applied(shop, *names)
