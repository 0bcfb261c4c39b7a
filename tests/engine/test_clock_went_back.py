"""After Postgres's clock went back, what the dead held seems held for long: nobody waits for that."""

from __future__ import annotations

from headwater.delivery import letters as dead_letters
from headwater.delivery.letters import Filter
from headwater.delivery.names import Lease
from headwater.delivery.turn import Turn
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import put, sale, settled, sold_by
from tests.engine.test_outcomes import Stubborn

LATER = "clock_timestamp() + interval '1 day'"
"""When a lease ends, seen by a clock that went back by that much since it was taken."""


async def test_a_turn_is_taken_over(shop: Shop) -> None:
    dead, living = (Turn(shop.sink, "shelf", name, 30.0) for name in ("dead", "living"))
    assert await dead.take()
    assert not await living.take()
    await shop.sink.execute(f"UPDATE headwater.turn SET until = {LATER}")

    assert await living.take()


async def test_a_name_is_taken_over(shop: Shop) -> None:
    await Lease(shop.sink, "shelf", wanted="one").take()
    await shop.sink.execute(f"UPDATE headwater.worker_name SET lease_until = {LATER}")

    assert await Lease(shop.sink, "shelf", wanted="one").take() == "one"


async def test_a_dead_letter_is_replayed(shop: Shop) -> None:
    hard = Stubborn(fail=3)
    shop.start(shop.worker(sold_by(hard)))
    await put(shop, sale(shop, "hard"))
    await until(lambda: settled(shop))
    (letter,) = await dead_letters.listed(shop.sink, "shelf", Filter())
    await shop.sink.execute(f"UPDATE headwater.dead_letter SET taken_until = {LATER}")
    await dead_letters.replay(shop.sink, "shelf", [letter.id])

    async def replayed() -> bool:
        return await shop.sales() == ["hard"]

    await until(replayed)
