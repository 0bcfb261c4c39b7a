"""A worker takes no more than it can hold, and what is live before what is history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from headwater.broker import Broker, Entry, provision
from headwater.clock import monotonic
from headwater.database import Tx
from headwater.delivery import Context, Limits, Pace
from headwater.delivery.appetite import AROUND, size_of
from headwater.event import Fields
from headwater.testing import FaultProxy, until
from headwater.testing.controls import GoodChanged, GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, SALES, applied, fields, put, sale, settled, sold_by, started
from tests.failure.children import Children

BUDGET = 8 * 1_048_576
LARGE = 200_000
FLOOD = 400
"""Entries of a flood: ten times the budget."""


def good(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def large(shop: Shop, number: int) -> Fields:
    return fields(shop, GoodChanged(good_id=good(number), name=f"g{number}", note="x" * LARGE), 1)


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


async def flood(shop: Shop) -> None:
    for start in range(0, FLOOD, 20):
        await put(shop, *(large(shop, number) for number in range(start, start + 20)), stream=GOODS)


async def test_memory_stays_within_bounds_while_the_database_answers_nothing_and_large_entries_pour_in(
    shop: Shop, children: Children
) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        children.settings = {"SHOP_SINK": proxy.url, "SHOP_HAND": str(BUDGET)}
        process = await children.start("worker")
        await put(shop, *(sale(shop, f"s{number:03}") for number in range(300)))
        await applied(shop, *(f"s{number:03}" for number in range(300)))
        before = resident(process.pid)
        proxy.black_hole()
        await flood(shop)

        async def holds() -> int:
            return len(await shop.broker.held_by("shelf-group", "w1", shop.key(GOODS)))

        await until(holds)
        sizes, since = [before], monotonic()

        def watched() -> bool:
            sizes.append(resident(process.pid))
            return monotonic() > since + 3

        await until(watched)
        most = max(sizes)
        assert await holds() * LARGE < 3 * BUDGET  # else nothing held it back
        assert most - before < 6 * BUDGET < FLOOD * LARGE

        await proxy.heal()

        async def complete() -> bool:
            return len(await shop.goods()) == FLOOD and await shop.pending() == 0

        await until(complete, within=30.0)


class Weighing(Broker):
    """Notes how many bytes each read brought."""

    heaviest = 0

    async def read(self, *where: Any, **how: Any) -> list[Entry]:
        found = await super().read(*where, **how)
        self.heaviest = max(self.heaviest, sum(size_of(one.fields or {}) for one in found))
        return found


async def test_the_first_reads_are_small_where_nothing_is_known_of_the_entries(shop: Shop) -> None:
    broker = Weighing(shop.redis_url)
    assert not (await broker.features()).bounded_read  # else the server bounds its answers
    big = fields(shop, GoodChanged(good_id=good(1), name="g"), 1) | {b"extra": b"x" * (BUDGET // 8)}
    await put(shop, *[big] * 20, stream=GOODS)

    pace = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0, hand=BUDGET)
    worker = await started(shop, shop.worker(broker=broker, pace=pace))

    await until(lambda: settled(shop))
    assert BUDGET / 8 < broker.heaviest <= BUDGET
    await shop.stop(worker)
    await broker.close()


async def test_entries_that_wait_for_another_attempt_let_go_of_their_bodies_and_are_applied_in_the_end(
    shop: Shop,
) -> None:
    away = True

    async def elsewhere(event: GoodSold, tx: Tx, context: Context) -> None:
        if away:
            raise ConnectionError("not our database")
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    pace = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0, hand=400_000)
    limits = Limits(attempts=100, first=0.2, longest=0.4)
    worker = await started(shop, shop.worker(sold_by(elsewhere), pace=pace, limits=limits))
    names = [f"s{number:03}" for number in range(300)]
    await put(shop, *(sale(shop, name) for name in names))
    await until(lambda: worker.statistics()["retried"] >= 2 * len(names), within=120.0)

    assert worker.statistics()["in_hand"] == len(names)
    assert worker.statistics()["bytes_in_hand"] < len(names) * AROUND < pace.hand
    away = False

    await applied(shop, *names)
    assert worker.statistics()["bytes_in_hand"] == 0


async def test_an_entry_that_is_deleted_while_it_waits_without_its_body_is_recorded(shop: Shop) -> None:
    pace = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0, hand=1)
    worker = await started(shop, shop.worker(pace=pace, limits=Limits(attempts=100, first=1.0)))
    (entry,) = await put(shop, sale(shop, "s1", behave="crash"))
    await until(lambda: worker.statistics()["waiting"] == 1)

    await shop.broker.execute("XDEL", shop.key(SALES), entry)

    await until(lambda: worker.statistics()["lost"] == 1)
    await until(lambda: worker.statistics()["in_hand"] == 0)


async def test_live_events_do_not_wait_behind_history_that_was_read_before_them(shop: Shop) -> None:
    order: list[str] = []
    go_on = asyncio.Event()

    async def slow_for_history(event: GoodSold, tx: Tx, context: Context) -> None:
        if context.historical:
            await go_on.wait()
        order.append(event.sale_id)

    past = [
        fields(shop, GoodSold(sale_id=f"past{n}", good_id="g", amount=1), target="shelf", job="j")
        for n in range(90)
    ]
    await put(shop, *past)
    pace = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0, count=100)
    worker = await started(shop, shop.worker(sold_by(slow_for_history), pace=pace))
    await until(lambda: worker.statistics()["in_hand"])

    await put(shop, sale(shop, "live"))

    await until(lambda: order == ["live"])
    go_on.set()
    await until(lambda: worker.statistics()["acknowledged"] == 91)


async def test_one_busy_stream_does_not_keep_the_entries_of_another_waiting(shop: Shop) -> None:
    await provision.apply(shop.broker, shop.catalogue)
    backlog = [
        fields(shop, GoodChanged(good_id=good(number % 50), name=f"g{number}"), number + 1)
        for number in range(5_000)
    ]
    await put(shop, *backlog, stream=GOODS)
    await put(shop, sale(shop, "s1"))
    worker = shop.start(shop.worker(pace=Pace(block=0.2, count=100, drain=5.0)))

    await until(shop.sales, every=0.005)

    assert worker.statistics()["read"] < 2_000
    await until(lambda: worker.statistics()["acknowledged"] == 5_001)
