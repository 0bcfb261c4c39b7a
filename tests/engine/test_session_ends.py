"""Sessions that end in the middle of their work: by a handler's doing, or by somebody else's."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from headwater.database import Tx
from headwater.delivery import Consumer, Context, Limits
from headwater.delivery.blaming import LOSSES, patience
from headwater.testing import until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import letters, put, sale, settled, sold_by

FEW = Limits(attempts=2, first=0.05, longest=0.2)


class Leaving:
    """A handler that ends its own session for one sale, while it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.leaves = True

    async def __call__(self, event: GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == "hard":
            self.asked += 1
            if self.leaves:
                await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    def consumer(self) -> Consumer:
        return sold_by(self)


@pytest.mark.parametrize("neighbours", [0, 20])
async def test_an_entry_whose_handler_ends_its_session_is_parked_and_holds_up_nobody(
    shop: Shop, neighbours: int
) -> None:
    hard = Leaving()
    others = [f"s{number:02}" for number in range(neighbours)]
    await put(shop, *(sale(shop, name) for name in [*others[:7], "hard", *others[7:]]))
    worker = shop.start(shop.worker(hard.consumer(), limits=FEW))

    async def parked() -> bool:
        return await letters(shop) == {"hard": "exhausted"}

    await until(parked)
    await until(lambda: settled(shop))
    assert await shop.sales() == others
    assert hard.asked > LOSSES, "it was found out at the first loss"
    assert worker.ready

    hard.leaves = False
    await shop.sink.execute("UPDATE headwater.dead_letter SET state = 'replaying'")
    await until(lambda: sold(shop, "hard"))


async def test_a_replayed_letter_that_ends_its_session_waits_again_and_keeps_no_other_waiting(
    shop: Shop,
) -> None:
    hard = Leaving()
    await put(shop, sale(shop, "hard"))
    shop.start(shop.worker(hard.consumer(), limits=FEW))
    await until(lambda: is_parked(shop))
    asked = hard.asked

    await shop.sink.execute("UPDATE headwater.dead_letter SET state = 'replaying'")

    await until(lambda: hard.asked > asked)
    await until(lambda: is_parked(shop))


async def test_sessions_that_an_administrator_ends_again_and_again_count_against_no_entry(
    shop: Shop,
) -> None:
    chance, names = random.Random(5), [f"s{number:03}" for number in range(300)]
    await put(shop, *(sale(shop, name) for name in names))
    shop.start(shop.worker(sold_by(slow), limits=Limits(attempts=3, first=0.05, longest=0.1)))
    ended = 0
    administrator = await asyncpg.connect(shop.source.url)
    try:
        while not await settled(shop):
            ended += await administrator.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1",
                shop.sink.url.rpartition("/")[2],
            )
            await asyncio.sleep(chance.uniform(0.2, 0.6))
    finally:
        await administrator.close()

    assert ended > 5, "hardly any session was ended"
    assert await shop.sales() == names
    assert await letters(shop) == {}


async def slow(event: GoodSold, tx: Tx, context: Context) -> None:
    await tx.execute("SELECT pg_sleep(0.003)")
    await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)


async def is_parked(shop: Shop) -> bool:
    states = await shop.sink.fetch("SELECT state FROM headwater.dead_letter")
    return [row["state"] for row in states] == ["parked"]


async def sold(shop: Shop, name: str) -> bool:
    return name in await shop.sales()


def test_who_loses_its_session_is_looked_into_sooner_the_more_is_known_of_it() -> None:
    assert patience([0, 0], doubted=False) == LOSSES
    assert patience([0, 0], doubted=True) == 1
    assert patience([0], doubted=True) == LOSSES
    assert patience([2], doubted=False) == 1
