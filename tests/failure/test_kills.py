"""kill -9 at the worst moments: said twice at most, applied once, nothing left behind."""

from __future__ import annotations

import asyncio
import signal

import pytest

from headwater.broker import provision
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.failure.children import Children

GOODS = 25


async def sold(shop: Shop, count: int) -> list[str]:
    names = [f"s{number:03}" for number in range(count)]
    for name in names:
        await shop.sell(name)
    return names


async def nothing_pending(shop: Shop) -> bool:
    return await shop.pending() == 0


@pytest.mark.parametrize("failpoint", ["relay.appended", "relay.marked"])
async def test_a_relay_killed_around_its_mark_loses_nothing_and_is_applied_once(
    shop: Shop, children: Children, failpoint: str
) -> None:
    await shop.enable()
    await provision.apply(shop.broker, shop.catalogue)
    names = await sold(shop, 3)

    await children.die_at("relay", failpoint)
    shop.start(shop.relay())
    worker = shop.start(shop.worker())

    async def moved() -> bool:
        rows = await shop.source.fetch("SELECT 1 FROM headwater.outbox WHERE entries IS NULL")
        return not rows

    await until(moved)
    entries = await shop.broker.range(shop.key("sales"))
    ids = [(entry.fields or {})[b"eventId"] for entry in entries]
    assert len(set(ids)) == len(names)
    assert len(ids) == (2 * len(names) if failpoint == "relay.appended" else len(names))
    await until(lambda: worker.statistics()["acknowledged"] == len(ids))
    assert await shop.sales() == names


@pytest.mark.parametrize(
    "failpoint", ["worker.read", "worker.applied", "worker.committed", "worker.acknowledged"]
)
async def test_a_worker_killed_anywhere_has_applied_everything_once_after_its_restart(
    shop: Shop, children: Children, failpoint: str
) -> None:
    await shop.enable()
    shop.start(shop.relay())
    names = await sold(shop, 10)
    goods = {await shop.put(name): name for name in ("tea", "cup")}

    await children.die_at("worker", failpoint)
    shop.start(shop.worker())

    async def applied() -> bool:
        return await shop.sales() == names and await shop.goods() == goods and await nothing_pending(shop)

    await until(applied)
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == len(names)
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.dead_letter") == 0


async def test_a_worker_killed_between_parking_and_acknowledging_parks_once(
    shop: Shop, children: Children
) -> None:
    shop.start(shop.relay())
    await shop.sell("bad", behave="reject")
    await shop.sell("good")

    await children.die_at("worker", "worker.parked")
    shop.start(shop.worker())

    async def settled() -> bool:
        return await shop.sales() == ["good"] and await nothing_pending(shop)

    await until(settled)
    letters = await shop.sink.fetch("SELECT reason, state FROM headwater.dead_letter")
    assert [tuple(letter) for letter in letters] == [("rejected", "parked")]


async def test_a_worker_terminated_under_load_leaves_nothing_pending_under_its_name(
    shop: Shop, children: Children
) -> None:
    shop.start(shop.relay())
    process = await children.start("worker", name="leaving")
    names = await sold(shop, 60)
    await until(shop.sales)

    process.terminate()

    assert await process.wait() == 0
    for key in shop.catalogue.keys_of("shelf"):
        found = {one.name: one.pending for one in await shop.broker.consumers(key, "shelf-group")}
        assert found.get("leaving", 0) == 0
    shop.start(shop.worker(name="staying"))

    async def complete() -> bool:
        return await shop.sales() == names

    await until(complete)


@pytest.mark.parametrize("names", [["w1"], [f"w{number}" for number in range(20)]], ids=["same", "other"])
async def test_an_event_that_ends_every_worker_is_parked_soon_and_takes_no_other_with_it(
    shop: Shop, children: Children, names: list[str]
) -> None:
    """A supervisor starts the next worker at once, under the same name or another one."""
    children.settings = {"SHOP_DEADLY": "deadly"}
    relay = shop.start(shop.relay())
    for name in ("s1", "deadly", "s2"):
        await shop.sell(name)
    await until(lambda: relay.moved == 3)
    deaths = 0

    async def settled() -> bool:
        return await shop.sales() == ["s1", "s2"] and await nothing_pending(shop)

    worker = await children.start("worker", name=names[0])
    async with asyncio.timeout(120):
        while not await settled():
            try:
                async with asyncio.timeout(0.2):
                    assert await worker.wait() == -signal.SIGKILL
            except TimeoutError:
                continue
            deaths += 1
            worker = await children.start("worker", name=names[deaths % len(names)])

    # Soon: twice in a batch, three times alone.
    assert deaths == 5
    letters = await shop.sink.fetch("SELECT key, reason, failures FROM headwater.dead_letter")
    assert [tuple(letter) for letter in letters] == [("deadly", "crashed", 3)]
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.failure") == 0


async def test_what_a_direct_producer_said_before_it_died_is_applied_once_when_it_is_said_again(
    shop: Shop, children: Children
) -> None:
    await provision.apply(shop.broker, shop.catalogue)
    await children.die_at("till", "producer.sent", name=shop.tenant)
    assert len(await shop.broker.range(shop.key("sales"))) == 5

    again = await children.start("till", name=shop.tenant)
    assert await again.wait() == 0
    worker = shop.start(shop.worker())

    await until(lambda: worker.statistics()["acknowledged"] == 10)
    assert await shop.sales() == [f"s{number}" for number in range(5)]
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 5


@pytest.mark.parametrize(
    ("failpoint", "before", "twice"),
    [
        ("backfill.appending=2", 5, 0),
        ("backfill.appended=2", 5, 5),
        ("backfill.checkpointed=2", 10, 0),
        ("backfill.subject", GOODS, 0),
        ("backfill.caught_up", GOODS, 0),
        ("backfill.compared", GOODS, 0),
    ],
)
async def test_a_backfill_killed_anywhere_goes_on_behind_its_last_chunk(
    shop: Shop, children: Children, failpoint: str, before: int, twice: int
) -> None:
    shop.start(shop.worker())
    goods = {await shop.put(f"good {number}"): f"good {number}" for number in range(GOODS)}
    await shop.enable()
    history = shop.history()
    async with shop.source.transaction() as tx:
        about = {"asked_by": "test", "reason": "enabled"}
        job = await history.start(tx, shop.tenant, "shelf", {}, about)

    await children.die_at("runner", failpoint)
    stopped = await history.jobs.get(job.id)
    assert stopped is not None
    # Progress is written down behind the appends: what is not yet is said again.
    assert stopped.parts[0].published <= before
    assert not stopped.finished
    again = before - stopped.parts[0].published
    await shop.source.execute("UPDATE headwater.job SET lease_until = now() - interval '1 second'")
    shop.start(shop.runner())

    async def verified() -> bool:
        found = await history.jobs.get(job.id)
        return found is not None and found.state == "verified"

    await until(verified)
    ended = await history.jobs.get(job.id)
    assert ended is not None
    assert (ended.parts[0].published, ended.parts[0].expected) == (GOODS, GOODS)
    entries = len(await shop.broker.range(shop.key("shelf:goods")))
    assert entries == GOODS + twice + again
    assert await shop.goods() == goods
