"""Ordered things while workers are killed, stopped for a while, and follow one another."""

from __future__ import annotations

import signal

from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import put
from tests.engine.test_ordered import told
from tests.failure.children import Children

KEYS, LENGTH = "abcd", 60


async def done(shop: Shop) -> int:
    return int(await shop.sink.fetchval("SELECT count(*) FROM sales"))


async def say_all(shop: Shop) -> None:
    await put(shop, *(told(shop, key, number) for number in range(LENGTH) for key in KEYS))


async def grown(shop: Shop, by: int) -> None:
    """Wait until so many more are written, or all."""
    goal = min(await done(shop) + by, LENGTH * len(KEYS))

    async def reached() -> bool:
        return await done(shop) >= goal

    await until(reached, within=60)


async def all_in_order(shop: Shop) -> None:
    await grown(shop, LENGTH * len(KEYS))
    names = {row["sale_id"] for row in await shop.sink.fetch("SELECT sale_id FROM sales")}
    assert names == {f"{key}-{number}" for key in KEYS for number in range(LENGTH)}


async def epoch(shop: Shop) -> int:
    return int(await shop.sink.fetchval("SELECT epoch FROM headwater.turn"))


async def taken_over(shop: Shop, before: int) -> bool:
    return await epoch(shop) > before


async def test_order_holds_while_workers_are_killed_and_their_things_fail(
    shop: Shop, children: Children
) -> None:
    children.settings = {"SHOP_ORDERED": "1", "SHOP_ATTEMPTS": "1000", "SHOP_COUNT": "10"}
    await say_all(shop)
    workers = [await children.start("worker", name=f"w{number}") for number in range(2)]
    for _ in range(4):
        await grown(shop, 15)
        assert await done(shop) < LENGTH * len(KEYS), "everything was written before the kill"
        before = await epoch(shop)
        holder = await shop.sink.fetchval("SELECT left(holder, 2) FROM headwater.turn")
        place = int(holder[1])
        workers[place].kill()
        assert await workers[place].wait() == -signal.SIGKILL
        workers[place] = await children.start("worker", name=f"w{place}")
        await until(lambda before=before: taken_over(shop, before))

    await all_in_order(shop)
    states = await shop.sink.fetch("SELECT DISTINCT state FROM headwater.dead_letter")
    assert [row["state"] for row in states] == ["replayed"]


async def test_a_worker_that_wakes_up_after_another_took_its_turn_changes_nothing(
    shop: Shop, children: Children
) -> None:
    children.settings = {"SHOP_ORDERED": "1", "SHOP_ATTEMPTS": "1000", "SHOP_COUNT": "10"}
    await say_all(shop)
    sleeper = await children.start("worker", name="w0")
    await grown(shop, 15)
    sleeper.send_signal(signal.SIGSTOP)
    before = await done(shop)
    await children.start("worker", name="w1")
    await grown(shop, 30)
    assert await done(shop) >= before + 30, "the other one took nothing over"
    assert await epoch(shop) >= 2
    sleeper.send_signal(signal.SIGCONT)

    await all_in_order(shop)
