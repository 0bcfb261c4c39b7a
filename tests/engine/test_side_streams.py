"""A side stream carries what a backfill says to one application: nobody else reads it, nothing live waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from headwater.broker import provision
from headwater.broker.clearing import clear
from headwater.cli.checks import redis
from headwater.delivery import Consumer
from headwater.publish import Outgoing
from headwater.replay.jobs import Job, Jobs
from headwater.replay.reconcile import Reconciler, Wish
from headwater.retention import Ground, Keep, Leases, trim
from headwater.testing import controls, until
from headwater.testing.controls import GoodChanged, GoodRemoved, GoodSold
from headwater.topology import Catalogue, Group, Stream
from tests.engine.conftest import Shop
from tests.engine.entries import fields, settled, take
from tests.engine.test_backfill import asked, became, ended, runner, stocked

SHARED = Catalogue(
    [Stream(name="sales", events=(GoodSold,)), Stream(name="goods", events=(GoodChanged, GoodRemoved))],
    [
        Group(app="shelf", name="shelf-group", streams=("sales", "goods")),
        Group(app="till", name="till-group", streams=("sales", "goods")),
    ],
)
LIVE, SIDE = "goods", "goods:bf:shelf"
OLD, NEW = 5 << 48, 6 << 48


@pytest_asyncio.fixture(loop_scope="session")
async def aside(shop: Shop) -> AsyncIterator[Shop]:
    """A shop whose goods two applications read on one stream, one of them with a side stream."""
    rearranged(shop, "shelf")
    yield shop


def rearranged(shop: Shop, *apps: str) -> None:
    catalogue = SHARED.with_prefix(shop.catalogue.keys.prefix).with_side_streams(apps)
    shop.outgoing = Outgoing(controls.CODEC, catalogue)


async def length(shop: Shop, stream: str) -> int:
    return int(await shop.broker.execute("XLEN", shop.key(stream)))


async def ever(shop: Shop, stream: str) -> int:
    """Entries that a stream was ever given."""
    told = await shop.broker.execute("XINFO", "STREAM", shop.key(stream))
    return int(dict(zip(told[::2], told[1::2], strict=True))[b"entries-added"])


async def same(shop: Shop, names: dict[str, str]) -> bool:
    return await shop.goods() == names


async def put(shop: Shop, stream: str, *entries: Any) -> None:
    await provision.apply(shop.broker, shop.catalogue)
    await shop.broker.append([(shop.key(stream), one) for one in entries])


def good(shop: Shop, key: str, name: str, version: int, **history: Any) -> Any:
    return fields(shop, GoodChanged(good_id=key, name=name), version, **history)


def past(shop: Shop, key: str, name: str, version: int = OLD) -> Any:
    return good(shop, key, name, version, target="shelf", job="j")


def keys(count: int, first: int = 0) -> list[str]:
    return [f"{number:08d}-0000-4000-9000-000000000000" for number in range(first, first + count)]


async def test_another_group_reads_nothing_of_a_backfill(aside: Shop) -> None:
    await provision.apply(aside.broker, aside.catalogue)
    await aside.enable()
    names = await stocked(aside, 300)
    aside.start(aside.worker())
    aside.start(runner(aside, window=100))

    job = await ended(aside, await asked(aside))

    assert (job.state, await aside.goods()) == ("verified", names)
    (till,) = [one for one in await aside.broker.groups(aside.key(LIVE)) if one.name == "till-group"]
    assert (await ever(aside, LIVE), till.lag) == (0, 0)
    assert [one.name for one in await aside.broker.groups(aside.key(SIDE))] == ["shelf-group"]
    assert await ever(aside, SIDE) == 300
    assert set(job.upto()) == {aside.key(SIDE)}
    assert await length(aside, SIDE) == 0  # applied, and of no use any more


async def test_the_gate_decides_whatever_comes_first_on_which_of_the_two_streams(aside: Shop) -> None:
    late, early, gone, lone = keys(4)
    worker = aside.start(aside.worker())
    await until(lambda: worker.ready)

    await put(aside, LIVE, good(aside, late, "new", NEW), good(aside, early, "old", OLD))
    await put(aside, LIVE, fields(aside, GoodRemoved(good_id=gone), NEW))
    await until(lambda: settled(aside))
    await put(aside, SIDE, past(aside, late, "old"), past(aside, early, "new", NEW), past(aside, gone, "old"))
    await put(aside, SIDE, past(aside, lone, "new", NEW))
    await until(lambda: settled(aside))
    await put(aside, LIVE, good(aside, lone, "old", OLD))
    await until(lambda: settled(aside))

    assert await aside.goods() == {late: "new", early: "new", lone: "new"}


async def test_live_changes_of_the_same_things_while_a_backfill_runs_leave_both_sides_equal(
    aside: Shop,
) -> None:
    await aside.enable()
    names = await stocked(aside, 600)
    aside.start(aside.relay())
    worker = aside.start(aside.worker())
    await until(lambda: worker.ready)
    aside.start(runner(aside, window=40, chunk=50))
    asked_for = await asked(aside)

    running = asyncio.create_task(ended(aside, asked_for))
    for number, key in enumerate(sorted(names)):  # in the order of the backfill, which comes along meanwhile
        if number % 3 == 0:
            await aside.put(f"changed {number}", key)
        elif number % 7 == 0:
            await aside.remove(key)
    job = await running

    async def equal() -> bool:
        rows = await aside.source.fetch("SELECT good_id::text AS key, name FROM goods")
        return {row["key"]: row["name"] for row in rows} == await aside.goods()

    await until(equal)
    assert job.state == "verified"
    assert await ever(aside, LIVE) > 200  # said live, by the relay
    assert await ever(aside, SIDE) > 300
    assert worker.statistics()["stale"] > 0  # the two did meet


async def behind_a_lock(shop: Shop, stream: str) -> bool:
    """Whether a live event is applied while every transaction with history on `stream` waits for a lock."""
    worker = shop.start(shop.worker())
    await until(lambda: worker.ready)
    await put(shop, LIVE, good(shop, keys(1)[0], "there", OLD))
    await until(lambda: settled(shop))
    async with shop.sink.transaction() as tx:
        await tx.execute("SELECT FROM headwater.ledger FOR UPDATE")
        held = [past(shop, keys(1)[0], "again", NEW) for _ in range(250)]
        await put(shop, stream, *held, *held, *[past(shop, key, "old") for key in keys(4000, first=1)])

        async def full() -> bool:
            return worker.statistics()["in_hand"] > 500

        await until(full)
        await put(shop, LIVE, good(shop, keys(1, first=9000)[0], "live", NEW))

        async def there() -> bool:
            return "live" in (await shop.goods()).values()

        try:
            await until(there, within=1.0 if stream == LIVE else 30.0)
        except AssertionError:
            return False
        return True


async def test_a_live_event_never_waits_for_history_on_a_side_stream(aside: Shop) -> None:
    assert await behind_a_lock(aside, SIDE)


async def test_on_the_same_stream_it_waits_for_history_of_which_too_much_is_in_hand(aside: Shop) -> None:
    rearranged(aside)

    assert not await behind_a_lock(aside, LIVE)


async def test_what_a_dead_worker_held_of_a_side_stream_is_taken_over(aside: Shop) -> None:
    names = dict.fromkeys(keys(5), "old")
    await put(aside, SIDE, *[past(aside, key, "old") for key in names])
    assert len(await take(aside, "dead", SIDE)) == 5

    aside.start(aside.worker())

    await until(lambda: settled(aside))
    assert await aside.goods() == names


async def test_a_worker_reads_on_after_its_side_stream_vanished(aside: Shop) -> None:
    worker = aside.start(aside.worker())
    await until(lambda: worker.ready)
    await put(aside, SIDE, past(aside, keys(1)[0], "old"))
    await until(lambda: settled(aside))

    await aside.broker.execute("DEL", aside.key(SIDE))
    await put(aside, SIDE, past(aside, keys(2)[1], "old"))

    await until(lambda: settled(aside))
    assert await aside.goods() == dict.fromkeys(keys(2), "old")


async def test_one_backfill_after_the_other_finds_an_empty_side_stream_and_nothing_counts_as_lost(
    aside: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.replay.clearing.EVERY", 40)
    names = await stocked(aside, 200)
    worker = aside.start(aside.worker())
    aside.start(runner(aside, window=40, chunk=50))
    await aside.enable()
    longest = 0

    async def done(job: Job) -> bool:
        nonlocal longest
        longest = max(longest, await length(aside, SIDE))
        found = await Jobs(aside.source).get(job.id)
        return found is not None and found.state == "verified"

    for _ in range(2):
        job = await asked(aside)
        await until(lambda job=job: done(job))
        standing = await aside.history().standing(await ended(aside, job))
        (part,) = standing.subjects
        assert (part.published, part.delivered, part.applied) == (200, 200, 200)
        assert await length(aside, SIDE) == 0

    assert await ever(aside, SIDE) == 400
    assert 0 < longest < 200  # what was applied went while the rest was said
    await until(lambda: settled(aside))
    looks = "SELECT beat FROM headwater.beat WHERE app = 'shelf'"
    before = await aside.sink.fetchval(looks)
    await until(lambda: looked(aside, looks, before + 5))
    assert worker.statistics()["lost"] == 0
    assert await aside.sink.fetch("SELECT FROM headwater.gap") == []
    assert (await aside.goods(), worker.ready) == (names, True)


async def looked(shop: Shop, query: str, beat: int) -> bool:
    return bool(await shop.sink.fetchval(query) >= beat)


async def test_what_is_not_acknowledged_stays_on_a_side_stream_and_what_follows_it(aside: Shop) -> None:
    await put(aside, SIDE, *[past(aside, key, "old") for key in keys(5)])
    held = await take(aside, "slow", SIDE)
    await aside.broker.acknowledge("shelf-group", {aside.key(SIDE): [*held[:2], *held[3:]]})

    assert await clear(aside.broker, aside.key(SIDE)) == 2

    assert [one.id for one in await aside.broker.range(aside.key(SIDE))] == held[2:]
    await aside.broker.acknowledge("shelf-group", {aside.key(SIDE): held})
    assert await clear(aside.broker, aside.key(SIDE)) == 3
    assert (await clear(aside.broker, aside.key("nowhere")), await length(aside, SIDE)) == (0, 0)
    assert [one.name for one in await aside.broker.groups(aside.key(SIDE))] == ["shelf-group"]


async def test_retention_empties_side_streams_of_what_is_applied_however_young(aside: Shop) -> None:
    await put(aside, SIDE, *[past(aside, key, "old") for key in keys(5)])
    await put(aside, LIVE, *[good(aside, key, "new", NEW) for key in keys(5)])
    for stream in (SIDE, LIVE):
        held = await take(aside, "quick", stream)
        await aside.broker.acknowledge("shelf-group", {aside.key(stream): held[:3]})
    ground = Ground(
        broker=aside.broker, catalogue=aside.catalogue, source=aside.source, sinks={"shelf": aside.sink}
    )
    keeps = dict.fromkeys(aside.catalogue.streams, Keep(seconds=3600.0))
    wanted = [aside.key(SIDE), aside.key(LIVE)]

    would = await trim(ground, keeps, Leases(3600.0, 3600.0), only=wanted, dry=True)
    done = await trim(ground, keeps, Leases(3600.0, 3600.0), only=wanted)

    assert {one.stream: one.removed for one in would.streams} == {aside.key(SIDE): 3, aside.key(LIVE): 0}
    assert {one.stream: (one.removed, one.lost) for one in done.streams} == {
        aside.key(SIDE): (3, {}),
        aside.key(LIVE): (0, {}),
    }
    assert await length(aside, SIDE) == 2


async def test_a_job_whose_side_stream_nobody_reads_any_more_says_what_is_missing_on_the_stream_itself(
    aside: Shop,
) -> None:
    names = await stocked(aside, 30)
    own = aside.start(runner(aside))
    await aside.enable()
    job = await asked(aside)
    job = await became(aside, job, "catching_up")
    await aside.stop(own)
    assert await length(aside, SIDE) == 30

    rearranged(aside)
    aside.start(aside.worker())
    aside.start(runner(aside))
    found = [one async for one in redis.examine(aside.broker, aside.catalogue, production=False)]

    assert (await ended(aside, job)).state == "verified"
    assert await aside.goods() == names
    assert (await ever(aside, LIVE), await length(aside, SIDE)) == (30, 30)
    (told,) = [one for one in found if "30 entries that nobody reads" in one.detail]
    assert "add shelf to HEADWATER_BACKFILL_SIDE_STREAMS" in told.fix


async def test_what_is_read_in_order_is_filled_through_a_side_stream_too(aside: Shop) -> None:
    consumer = Consumer("shelf")

    @consumer.upsert(GoodChanged, gone=(GoodRemoved,), table="goods", key="good_id", ordered=True)
    class Good:
        name: str
        price: Decimal
        note: str | None

    await aside.enable()
    names = await stocked(aside, 40)
    aside.start(aside.relay())
    aside.start(aside.worker(consumer))
    aside.start(runner(aside, window=10, chunk=10))

    job = await ended(aside, await asked(aside))
    names[await aside.put("live", min(names))] = "live"

    await until(lambda: same(aside, names))
    assert job.state == "verified"
    assert (await ever(aside, SIDE), await ever(aside, LIVE)) == (40, 1)


async def test_a_repair_goes_through_the_side_stream_too(aside: Shop) -> None:
    names = await stocked(aside, 10)
    await aside.enable()
    aside.start(aside.worker())

    report = await Reconciler(aside.history()).reconcile(aside.tenant, "shelf", Wish(fix=True, patience=30.0))

    assert (report.agreed, await aside.goods()) == (True, names)
    assert (await ever(aside, SIDE), await ever(aside, LIVE)) == (10, 0)
