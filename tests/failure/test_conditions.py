"""The conditions of the promise, each broken: what happens then, and what brings it up again."""

from __future__ import annotations

from headwater.broker import provision
from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.errors import Retry
from headwater.replay import History
from headwater.testing import until
from headwater.testing.controls import GoodSold
from tests.engine.again import again
from tests.engine.conftest import Shop


async def backfilled(shop: Shop) -> str:
    """Run a backfill to its end; the state it ends in."""
    history: History = shop.history()
    async with shop.source.transaction() as tx:
        about = {"asked_by": "test", "reason": "something was lost"}
        job = await history.start(tx, shop.tenant, "shelf", {}, about)
    runner = shop.start(shop.runner())

    async def ended() -> bool:
        found = await history.jobs.get(job.id)
        return found is not None and found.finished

    await until(ended)
    await shop.stop(runner)
    found = await history.jobs.get(job.id)
    assert found is not None
    return found.state


async def holds(shop: Shop, goods: dict[str, str], sales: list[str]) -> None:
    """Wait until the application holds exactly this."""

    async def equal() -> bool:
        return await shop.goods() == goods and await shop.sales() == sales

    await until(equal)


async def test_what_a_handler_does_outside_its_transaction_happens_again(shop: Shop) -> None:
    careless = Consumer("shelf")
    outside: list[str] = []

    @careless.on(GoodSold)
    async def on_good_sold(event: GoodSold, tx: Tx, context: Context) -> None:
        outside.append(event.sale_id)
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)
        if len(outside) < 3:
            raise Retry(after=0.01)

    shop.start(shop.relay())
    shop.start(shop.worker(careless))

    await shop.sell("s1")

    await holds(shop, {}, ["s1"])
    assert outside == ["s1"] * 3


async def test_a_redis_that_lost_everything_is_filled_again_from_the_source(shop: Shop) -> None:
    """States by a backfill, log events by saying outbox rows again, as docs/operations.md tells."""
    await shop.enable()
    await provision.apply(shop.broker, shop.catalogue)
    relay = shop.start(shop.relay())
    good = await shop.put("tea")
    await shop.sell("s1")

    async def moved() -> bool:
        rows = await shop.source.fetch("SELECT FROM headwater.outbox WHERE entries IS NULL")
        return not rows

    await until(moved)
    await shop.stop(relay)
    await shop.broker.execute("DEL", *shop.catalogue.keys_of("shelf"))

    shop.start(shop.worker())
    shop.start(shop.relay())
    assert await backfilled(shop) == "verified"
    run = await again(shop)

    assert run.progress.rows == 2
    await holds(shop, {good: "tea"}, ["s1"])


async def test_an_application_rolled_back_to_nothing_is_brought_up_by_a_backfill(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    goods = {await shop.put(name): name for name in ("tea", "cup", "pot")}
    await holds(shop, goods, [])
    await shop.sink.execute("TRUNCATE goods, headwater.ledger, headwater.inbox, headwater.position")
    assert (await shop.history().status(shop.tenant, "shelf")).state == "differs"

    assert await backfilled(shop) == "verified"

    assert await shop.goods() == goods
    assert (await shop.history().status(shop.tenant, "shelf")).state == "clean"


async def test_a_source_that_went_back_in_time_is_dropped_until_its_epoch_is_raised(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    worker = shop.start(shop.worker())
    good = await shop.put("leaves")
    for name in ("black tea", "tea"):
        await shop.put(name, good)
    await holds(shop, {good: "tea"}, [])

    await shop.source.execute("SELECT setval('headwater.version_seq', 1, false)")
    await shop.put("never seen", good)
    await until(lambda: worker.statistics()["acknowledged"] == 4)
    assert await shop.goods() == {good: "tea"}
    await shop.source.execute("UPDATE headwater.meta SET epoch = epoch + 1")
    await shop.put("green tea", good)

    await holds(shop, {good: "green tea"}, [])
