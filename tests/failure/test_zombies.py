"""A worker that stood still and was given up: what it does when it wakes up changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from headwater import failpoints
from headwater.broker import Broker
from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.testing import FaultProxy, until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import SALES, applied, gaps, letters, put, sale, sold_by, started
from tests.failure.children import Children


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


async def holder(shop: Shop) -> str:
    """Whose name the pending entries of the sales stand under."""
    found = await shop.broker.consumers(shop.key(SALES), "shelf-group")
    return ",".join(one.name for one in found if one.pending)


async def test_a_worker_stopped_past_its_time_applies_nothing_twice_when_it_goes_on(
    shop: Shop, children: Children
) -> None:
    names = [f"s{number:02}" for number in range(20)]
    async with FaultProxy.before(shop.sink.url) as proxy:
        children.settings = {"SHOP_SINK": proxy.url}
        zombie = await children.start("worker", name="zombie")
        await put(shop, sale(shop, "first"))
        await applied(shop, "first")
        proxy.black_hole()
        await put(shop, *(sale(shop, name) for name in names))
        await until(lambda: holder(shop))
        zombie.send_signal(signal.SIGSTOP)
        await proxy.heal()
        assert await holder(shop) == "zombie"

        heir = shop.start(shop.worker(name="heir"))
        await applied(shop, "first", *names)
        assert heir.statistics()["applied"] >= 1
        zombie.send_signal(signal.SIGCONT)
        await put(shop, *(sale(shop, f"t{number:02}") for number in range(20)))

        await applied(shop, "first", *names, *(f"t{number:02}" for number in range(20)))
        zombie.terminate()
        assert await zombie.wait() == 0
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 41
    assert await letters(shop) == {}
    assert await gaps(shop) == []


async def test_a_worker_that_stood_still_lets_go_of_what_was_taken_over_and_counts_it(
    shop: Shop, children: Children
) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def slow(event: GoodSold, tx: Tx, context: Context) -> None:
        begun.append(event.sale_id)
        await go_on.wait()
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    zombie = await started(shop, shop.worker(sold_by(slow), name="zombie"))
    await put(shop, sale(shop, "s1"))
    await until(lambda: begun == ["s1"])
    await children.start("worker", name="heir")

    async def heir_is_there() -> bool:
        found = await shop.broker.consumers(shop.key(SALES), "shelf-group")
        return "heir" in {one.name for one in found}

    await until(heir_is_there)
    failpoints.arm("worker.heartbeat:hang(3)")

    await until(lambda: zombie.statistics()["taken_over"] == 1)
    go_on.set()

    await applied(shop, "s1")
    assert begun == ["s1"]
    assert await gaps(shop) == []


async def test_a_worker_that_was_cut_off_from_redis_takes_nothing_back_that_others_hold(shop: Shop) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    def slow(name: str) -> Consumer:
        async def on_sale(event: GoodSold, tx: Tx, context: Context) -> None:
            begun.append(name)
            await go_on.wait()
            await tx.execute(
                "INSERT INTO sales VALUES ($1, $2, 'g', 1) ON CONFLICT DO NOTHING",
                *(event.sale_id, context.tenant),
            )

        return sold_by(on_sale)

    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url)
        away = await started(shop, shop.worker(slow("away"), name="away", broker=broker))
        await put(shop, sale(shop, "s1"))
        await until(lambda: begun == ["away"])
        await proxy.refuse()
        shop.start(shop.worker(slow("heir"), name="heir"))
        await until(lambda: holds(shop, "heir"))
        await proxy.heal()

        await until(lambda: away.statistics()["taken_over"] == 1)
        assert await holder(shop) == "heir"
        go_on.set()
        await applied(shop, "s1")
        await shop.stop(away)
        await broker.close()
    assert await gaps(shop) == []


async def holds(shop: Shop, name: str) -> bool:
    return await holder(shop) == name
