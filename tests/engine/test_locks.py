"""A lock that somebody else holds: what needs it waits, nothing is counted, and the rest goes on."""

from __future__ import annotations

from headwater.config import DatabaseSettings
from headwater.database import Database
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import applied, letters, put, sale, settled

HASTY = DatabaseSettings(lock_timeout=0.05)


async def test_a_row_that_somebody_holds_locked_delays_only_its_own_entry(shop: Shop) -> None:
    sink = await Database.open(shop.sink.url, limits=HASTY)
    others = [f"s{number:02}" for number in range(20)]
    try:
        async with shop.sink.transaction() as tx:
            event_id = sale(shop, "held")[b"eventId"].decode()
            await tx.execute("INSERT INTO headwater.inbox SELECT 'shelf', $1", event_id)
            worker = shop.start(shop.worker(sink=sink))
            await put(shop, *(sale(shop, name) for name in (*others[:7], "held", *others[7:])))

            async def rest() -> bool:
                return await shop.sales() == others

            await until(rest)
            await until(lambda: worker.statistics()["retried"] >= 2)
            counted = await shop.sink.fetchval("SELECT max(failures) FROM headwater.failure")
            assert counted == 0
            await tx.execute("DELETE FROM headwater.inbox")

        await applied(shop, "held", *others)
        assert await letters(shop) == {}
        await shop.stop(worker)
    finally:
        await sink.close()


async def test_a_table_that_somebody_holds_locked_stops_the_worker_and_parks_nothing(shop: Shop) -> None:
    sink = await Database.open(shop.sink.url, limits=HASTY)
    names = [f"s{number:02}" for number in range(40)]
    try:
        async with shop.sink.transaction() as tx:
            await tx.execute("LOCK TABLE sales IN EXCLUSIVE MODE")
            worker = shop.start(shop.worker(sink=sink))
            await put(shop, *(sale(shop, name) for name in names))
            await until(lambda: "locked" in worker.last_error)
            assert not worker.ready

        await applied(shop, *names)
        await until(lambda: settled(shop))
        assert await letters(shop) == {}
        assert await shop.sink.fetchval("SELECT count(*) FROM headwater.failure") == 0
        await shop.stop(worker)
    finally:
        await sink.close()
