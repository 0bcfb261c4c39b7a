"""Outages and losses cost time and nothing else: a worker comes back by itself, and records what is gone."""

from __future__ import annotations

from headwater.broker import Broker
from headwater.clock import monotonic
from headwater.config import DatabaseSettings
from headwater.database import Database, Tx
from headwater.delivery import Context, Pace
from headwater.testing import FaultProxy, until
from headwater.testing.controls import GoodChanged, GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import (
    GOODS,
    SALES,
    applied,
    fields,
    gaps,
    letters,
    put,
    sale,
    sold_by,
    started,
    take,
)

PATIENT = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0)
"""Takes nothing over from others within a test."""


async def test_entries_of_a_lost_read_are_found_again_without_waiting_for_a_take_over(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=1.0)
        worker = await started(shop, shop.worker(broker=broker, pace=PATIENT))
        proxy.lose_reply(to=b"XREADGROUP")
        await until(lambda: not proxy.armed)
        await put(shop, sale(shop, "s1"))

        await applied(shop, "s1")
        assert proxy.lost == 1
        await shop.stop(worker)
        await broker.close()


async def test_entries_of_a_lost_read_are_not_forgotten_when_the_database_is_away_too(shop: Shop) -> None:
    async with (
        FaultProxy.before(shop.redis_url) as redis,
        FaultProxy.before(shop.sink.url) as postgres,
    ):
        broker, sink = Broker(redis.url, timeout=1.0), await Database.open(postgres.url)
        worker = await started(shop, shop.worker(broker=broker, sink=sink, pace=PATIENT))
        redis.lose_reply(to=b"XREADGROUP")
        await until(lambda: not redis.armed)
        await postgres.refuse()
        await put(shop, sale(shop, "s1"))
        await until(lambda: redis.lost and not worker.broker_ok)
        await until(lambda: worker.broker_ok)  # it has looked, found the entry, and no database
        assert not worker.ready

        await postgres.heal()

        await applied(shop, "s1")
        await shop.stop(worker)
        await broker.close()
        await sink.close()


async def test_a_lost_acknowledgement_leaves_nothing_pending_and_applies_nothing_twice(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=1.0)
        worker = await started(shop, shop.worker(broker=broker, pace=PATIENT))
        proxy.lose_reply(to=b"XACK")
        await put(shop, sale(shop, "s1"))

        await applied(shop, "s1")
        await until(lambda: proxy.lost == 1)
        await shop.stop(worker)
        await broker.close()


async def test_a_database_that_goes_away_costs_nothing_but_time(shop: Shop) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        sink = await Database.open(proxy.url)
        worker = await started(shop, shop.worker(sink=sink))
        await proxy.refuse()
        await put(shop, *(sale(shop, f"s{n}") for n in range(5)))
        await until(lambda: not worker.ready)
        assert worker.last_error

        await proxy.heal()

        await applied(shop, *(f"s{n}" for n in range(5)))
        await until(lambda: worker.ready)
        assert await letters(shop) == {}
        assert await shop.sink.fetchval("SELECT count(*) FROM headwater.failure") == 0
        await shop.stop(worker)
        await sink.close()


async def test_a_redis_that_goes_away_costs_nothing_but_time(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=0.5)
        worker = await started(shop, shop.worker(broker=broker))
        await proxy.refuse()
        await put(shop, sale(shop, "s1"))
        await until(lambda: not worker.ready)

        await proxy.heal()

        await applied(shop, "s1")
        await until(lambda: worker.ready)
        proxy.black_hole()
        await until(lambda: not worker.ready)
        await proxy.heal()
        await put(shop, sale(shop, "s2"))
        await applied(shop, "s1", "s2")
        await shop.stop(worker)
        await broker.close()


async def test_a_worker_starts_before_its_servers_do(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        await proxy.refuse()
        broker = Broker(proxy.url, timeout=0.5)
        worker = shop.start(shop.worker(broker=broker))
        await until(lambda: worker.last_error)
        assert not worker.ready

        await proxy.heal()
        await until(lambda: worker.ready)
        await put(shop, sale(shop, "s1"))

        await applied(shop, "s1")
        await shop.stop(worker)
        await broker.close()


async def test_a_stream_deleted_under_a_waiting_worker_is_made_again_from_its_start_and_recorded(
    shop: Shop,
) -> None:
    worker = await started(shop, shop.worker())
    await put(shop, sale(shop, "s1"))
    await applied(shop, "s1")

    await shop.broker.execute("DEL", *shop.catalogue.keys_of("shelf"))
    await shop.broker.append([(shop.key(SALES), sale(shop, "s2"))])

    await applied(shop, "s1", "s2")
    found = await gaps(shop)
    assert {kind for kind, _ in found} == {"group_missing"}
    assert worker.statistics()["lost"] == len(found)


async def test_a_stream_that_can_not_be_read_makes_no_hot_loop(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=1.0)
        worker = await started(shop, shop.worker(broker=broker, pace=PATIENT))
        await shop.broker.execute("DEL", shop.key(SALES))
        await shop.broker.execute("SET", shop.key(SALES), "not a stream")
        await until(lambda: "WRONGTYPE" in worker.last_error)
        since, asked = monotonic(), proxy.requests
        await until(lambda: monotonic() > since + 1.0)

        assert proxy.requests - asked <= 15
        assert not worker.ready
        await shop.broker.execute("DEL", shop.key(SALES))
        await put(shop, sale(shop, "s1"))
        await applied(shop, "s1")
        await shop.stop(worker)
        await broker.close()


async def test_an_entry_deleted_while_it_was_pending_is_recorded_and_no_handler_sees_it(shop: Shop) -> None:
    seen: list[str] = []

    async def look(event: GoodSold, tx: Tx, context: Context) -> None:
        seen.append(event.sale_id)

    own, other = await put(shop, sale(shop, "own")), await put(shop, sale(shop, "kept"))
    await take(shop, "w1")
    foreign = await put(shop, sale(shop, "foreign"))
    await take(shop, "dead")
    await shop.broker.execute("XDEL", shop.key(SALES), *own, *foreign)

    shop.start(shop.worker(sold_by(look), name="w1"))

    async def settled() -> bool:
        return await shop.pending() == 0 and len(await gaps(shop)) == 2

    await until(settled)
    assert seen == ["kept"]
    assert other
    assert sorted(await gaps(shop)) == sorted(("deleted_while_pending", one) for one in (*own, *foreign))


async def test_a_loss_that_is_found_while_the_database_is_away_is_recorded_when_it_is_back(
    shop: Shop,
) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        sink = await Database.open(proxy.url)
        worker = await started(shop, shop.worker(sink=sink))
        await proxy.refuse()
        await shop.broker.execute("DEL", *shop.catalogue.keys_of("shelf"))
        await until(lambda: not worker.ready)

        await proxy.heal()

        async def recorded() -> bool:
            return bool(await gaps(shop))

        await until(recorded)
        await until(lambda: worker.statistics()["lost"])
        await shop.stop(worker)
        await sink.close()


async def test_a_database_that_forgets_commits_is_refused_until_it_is_mended(shop: Shop) -> None:
    name = shop.sink.url.rpartition("/")[2]
    await shop.sink.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    sink = await Database.open(shop.sink.url)
    worker = shop.start(shop.worker(sink=sink))
    await put(shop, sale(shop, "s1"))
    await until(lambda: "synchronous_commit" in worker.last_error)
    assert not worker.ready
    assert await shop.sales() == []

    await shop.sink.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
    await shop.sink.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    await applied(shop, "s1")
    await shop.stop(worker)
    await sink.close()


async def test_a_table_that_does_not_fit_parks_nothing_and_is_waited_for(shop: Shop) -> None:
    worker = await started(shop, shop.worker())
    await shop.sink.execute("ALTER TABLE sales RENAME TO sold; ALTER TABLE goods DROP COLUMN note")
    key = "00000000-0000-4000-8000-000000000abc"
    await put(shop, sale(shop, "s1"))
    await put(shop, fields(shop, GoodChanged(good_id=key, name="tea"), 1), stream=GOODS)
    await until(lambda: not worker.ready)
    assert worker.last_error

    await shop.sink.execute("ALTER TABLE sold RENAME TO sales; ALTER TABLE goods ADD COLUMN note text")

    await applied(shop, "s1")
    assert await shop.goods() == {key: "tea"}
    assert await letters(shop) == {}
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.failure") == 0
    await until(lambda: worker.ready)


async def test_a_worker_whose_own_tables_are_missing_waits_for_the_migration(shop: Shop) -> None:
    await shop.sink.execute("ALTER TABLE headwater.generation RENAME TO moved")
    worker = shop.start(shop.worker())
    await until(lambda: "headwater" in worker.last_error)

    await shop.sink.execute("ALTER TABLE headwater.moved RENAME TO generation")

    await until(lambda: worker.ready)


async def test_a_lock_on_our_own_tables_stops_no_worker(shop: Shop) -> None:
    sink = await Database.open(shop.sink.url, limits=DatabaseSettings(lock_timeout=0.1))
    worker = await started(shop, shop.worker(sink=sink))
    async with shop.sink.transaction() as tx:
        await tx.execute("LOCK TABLE headwater.dead_letter IN ACCESS EXCLUSIVE MODE")
        await put(shop, sale(shop, "bad", behave="reject"))
        await until(lambda: not worker.ready)

    async def parked() -> bool:
        return await letters(shop) == {"bad": "rejected"} and await shop.pending() == 0

    await until(parked)
    await shop.stop(worker)
    await sink.close()


async def test_a_worker_that_lost_its_session_in_a_transaction_applies_it_again(shop: Shop) -> None:
    tries: list[str] = []

    async def cut_off(event: GoodSold, tx: Tx, context: Context) -> None:
        tries.append(event.sale_id)
        if len(tries) == 1:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    shop.start(shop.worker(sold_by(cut_off)))
    await put(shop, sale(shop, "s1"))

    await applied(shop, "s1")
    assert tries == ["s1", "s1"]
    assert await letters(shop) == {}
