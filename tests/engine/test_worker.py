"""A worker takes what is due, keeps what it holds, applies it once, and leaves in good order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headwater.broker import Broker, provision
from headwater.clock import monotonic
from headwater.database import Tx
from headwater.delivery import Consumer, Context, Pace
from headwater.errors import DeclarationError
from headwater.event import Fields
from headwater.testing import until
from headwater.testing.controls import GoodChanged, GoodSold
from tests.engine.conftest import QUICK, Shop
from tests.engine.entries import (
    GOODS,
    SALES,
    applied,
    calls,
    fields,
    letters,
    put,
    sale,
    sold_by,
    started,
    take,
)

PATIENT = Pace(block=0.2, min_idle=60.0, heartbeat=0.2, drain=5.0)
"""Takes nothing over from others within a test."""


async def test_what_a_crashed_worker_held_is_taken_up_at_its_restart(shop: Shop) -> None:
    await put(shop, sale(shop, "s1"), sale(shop, "s2"))
    await take(shop, "w1")

    shop.start(shop.worker(name="w1", pace=PATIENT))

    await applied(shop, "s1", "s2")


async def test_what_a_dead_worker_held_is_taken_over_also_when_nothing_new_comes(shop: Shop) -> None:
    await put(shop, sale(shop, "s1"))
    await take(shop, "dead")

    shop.start(shop.worker(name="living"))

    await applied(shop, "s1")


async def test_a_slow_handler_keeps_its_entry_from_other_workers(shop: Shop) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def slow(event: GoodSold, tx: Tx, context: Context) -> None:
        begun.append(event.sale_id)
        await go_on.wait()

    for name in ("w1", "w2"):
        shop.start(shop.worker(sold_by(slow), name=name))
    await put(shop, sale(shop, "s1"))
    await until(lambda: begun)
    # Longer than an entry may lie untouched, twice over: each worker has swept often.
    swept, since = await calls(shop.broker, "xautoclaim"), monotonic()

    async def others_have_looked() -> bool:
        return (
            await calls(shop.broker, "xautoclaim") >= swept + 8 and monotonic() > since + 2 * QUICK.min_idle
        )

    await until(others_have_looked)
    go_on.set()

    async def settled() -> bool:
        return await shop.pending() == 0

    await until(settled)
    assert begun == ["s1"]


async def test_workers_of_one_group_share_the_work_and_each_event_is_applied_once(shop: Shop) -> None:
    names = [f"s{number:03}" for number in range(200)]
    workers = [shop.start(shop.worker(name=f"w{n}", pace=Pace(block=0.2, count=10))) for n in range(3)]
    await put(shop, *(sale(shop, name) for name in names))

    await applied(shop, *names)

    assert sum(worker.statistics()["applied"] for worker in workers) == len(names)


async def test_a_stop_under_load_leaves_nothing_pending_under_that_name(shop: Shop) -> None:
    names = [f"s{number:03}" for number in range(300)]
    worker = await started(shop, shop.worker(name="leaving", pace=Pace(block=0.2, count=7, drain=5.0)))
    await put(shop, *(sale(shop, name) for name in names), sale(shop, "z", behave="crash"))
    await until(shop.sales)

    await shop.stop(worker)

    for key in shop.catalogue.keys_of("shelf"):
        found = {one.name: one.pending for one in await shop.broker.consumers(key, "shelf-group")}
        assert found.get("leaving", 0) == 0
    shop.start(shop.worker(name="staying"))
    await applied(shop, *names)


async def test_a_stop_does_not_wait_for_the_end_of_a_blocked_read(shop: Shop) -> None:
    broker = Broker(shop.redis_url, timeout=60.0)
    worker = shop.worker(broker=broker, pace=Pace(block=30.0, min_idle=60.0, drain=20.0))
    shop.start(worker)

    async def blocked() -> bool:
        return b"cmd=xreadgroup" in await shop.broker.execute("CLIENT", "LIST")

    await until(blocked)
    since = monotonic()
    await shop.stop(worker)

    assert monotonic() - since < 15.0
    await broker.close()


async def test_events_for_another_application_are_skipped_unread_and_acknowledged(shop: Shop) -> None:
    foreign = fields(shop, GoodSold(sale_id="s1", good_id="g", amount=1), target="till", job="j")
    await put(shop, {**foreign, b"data": b"\xff not JSON"}, sale(shop, "s2"))

    worker = await started(shop, shop.worker())

    await applied(shop, "s2")
    assert worker.statistics()["skipped"] == 1
    assert await letters(shop) == {}


async def test_events_that_the_application_does_nothing_with_are_acknowledged(shop: Shop) -> None:
    consumer = Consumer("shelf")
    await put(shop, sale(shop, "s1"))

    worker = await started(shop, shop.worker(consumer))

    await applied(shop)
    assert worker.statistics()["skipped"] == 1


async def test_older_states_and_doubled_entries_change_nothing(shop: Shop) -> None:
    key = "00000000-0000-4000-8000-000000000abc"
    new = fields(shop, GoodChanged(good_id=key, name="new"), 9)
    old = fields(shop, GoodChanged(good_id=key, name="old"), 8)
    await put(shop, new, stream=GOODS)
    worker = await started(shop, shop.worker())

    async def settled(name: str) -> bool:
        return await shop.goods() == {key: name} and await shop.pending() == 0

    await until(lambda: settled("new"))
    await put(shop, old, new, old, stream=GOODS)

    await until(lambda: worker.statistics()["acknowledged"] == 4)
    assert await shop.goods() == {key: "new"}
    assert worker.statistics()["stale"] == 3


async def test_a_declaration_that_fits_no_table_is_told_at_the_start(shop: Shop) -> None:
    consumer = Consumer("shelf")

    class Good:
        name: str

    consumer.upsert(GoodChanged, table="nowhere", key="good_id")(Good)

    with pytest.raises(DeclarationError, match="nowhere"):
        await shop.worker(consumer).run()


async def test_effects_run_once_beside_the_projection_and_not_for_history(shop: Shop) -> None:
    done: list[Any] = []
    consumer = Consumer("shelf")

    @consumer.on(GoodSold)
    async def project(event: GoodSold, tx: Tx, context: Context) -> None:
        done.append(("project", event.sale_id))

    @consumer.on(GoodSold, effect=True)
    async def mail(event: GoodSold, tx: Tx, context: Context) -> None:
        done.append(("mail", event.sale_id))

    @consumer.on(GoodSold, effect=True, historical=True)
    async def count(event: GoodSold, tx: Tx, context: Context) -> None:
        done.append(("count", event.sale_id))

    past = fields(shop, GoodSold(sale_id="past", good_id="g", amount=1), target="shelf", job="j")
    await put(shop, sale(shop, "now"), past, sale(shop, "now"))

    worker = await started(shop, shop.worker(consumer))
    await until(lambda: worker.statistics()["acknowledged"] == 3)

    assert sorted(done) == [
        ("count", "now"),
        ("count", "past"),
        ("mail", "now"),
        ("project", "now"),
        ("project", "past"),
    ]


async def test_a_position_is_written_with_what_was_applied(shop: Shop) -> None:
    (entry,) = await put(shop, sale(shop, "s1"))
    shop.start(shop.worker())
    await applied(shop, "s1")

    rows = await shop.sink.fetch("SELECT stream, entry FROM headwater.position")

    assert [(row["stream"], row["entry"]) for row in rows] == [(shop.key(SALES), entry)]


async def test_groups_are_created_by_whoever_comes_first(shop: Shop) -> None:
    await shop.broker.append([(shop.key(SALES), sale(shop, "early"))])

    shop.start(shop.worker())

    await applied(shop, "early")
    missing = [one for one in await provision.compare(shop.broker, shop.catalogue) if "till" not in one.group]
    assert missing == []


async def test_two_workers_changing_the_same_things_in_opposite_order_both_get_through(shop: Shop) -> None:
    keys = [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]
    for turn in range(1, 6):
        order = keys if turn % 2 else list(reversed(keys))
        entries = [fields(shop, GoodChanged(good_id=key, name=f"v{turn}"), turn) for key in order]
        await put(shop, *entries, stream=GOODS)

    pace = Pace(block=0.2, count=15, transactions=3)
    for name in ("w1", "w2"):
        shop.start(shop.worker(name=name, pace=pace))

    async def newest() -> bool:
        return await shop.goods() == dict.fromkeys(keys, "v5") and await shop.pending() == 0

    await until(newest)
    assert await letters(shop) == {}


async def test_another_spelling_of_a_uuid_is_the_same_row_to_the_gate(shop: Shop) -> None:
    worker = shop.start(shop.worker())
    good = "abcdef00-0000-4000-8000-00000000000a"

    def changed(spelling: str, name: str, version: int) -> Fields:
        return fields(shop, GoodChanged(good_id=spelling, name=name), version)

    lower = shop.tenant
    await put(shop, changed(good, "new", 5), stream=GOODS)
    await until(lambda: worker.statistics()["acknowledged"] == 1)
    await put(shop, changed(good.upper(), "older", 3), changed("{" + good + "}", "older", 4), stream=GOODS)
    shop.tenant = lower.upper()
    await put(shop, changed(good, "older", 2), stream=GOODS)
    await until(lambda: worker.statistics()["acknowledged"] == 4)
    shop.tenant = lower

    assert await shop.goods() == {good: "new"}
    await put(shop, changed(good.upper(), "newer", 6), stream=GOODS)
    await until(lambda: worker.statistics()["acknowledged"] == 5)
    assert await shop.goods() == {good: "newer"}
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.ledger") == 1
