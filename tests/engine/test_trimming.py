"""Streams are trimmed on every server that can be had: never past what a living group lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headwater.broker import EntryId
from headwater.delivery import gaps
from headwater.retention import Busy, Ground, Keep, Leases, Trimmed, alone, trim
from headwater.testing import until
from tests.engine.conftest import Shop, Stock, opened
from tests.engine.entries import GOODS, SALES, applied, put, sale, settled, started
from tests.engine.matrix import binaries, running

SHELF, TILL = "shelf-group", "till-group"
LEASES = Leases(3600.0, 3600.0)
ALL = Keep(seconds=0.0)
"""Nothing is kept for its age."""


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=binaries(), ids=lambda path: "-".join(path.parts[-2:])
)
async def redis_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    path: Path = request.param
    async with running(path) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def here(redis_url: str, templates: tuple[Stock, Stock]) -> AsyncIterator[Shop]:
    """A shop on the server of the hour."""
    async with opened(templates, redis_url) as shop:
        yield shop


def ground(shop: Shop) -> Ground:
    return Ground(
        broker=shop.broker, catalogue=shop.catalogue, source=shop.source, sinks={"shelf": shop.sink}
    )


async def trimmed(shop: Shop, keep: Keep = ALL, leases: Leases = LEASES, **options: Any) -> Trimmed:
    """What became of the stream that two groups read."""
    keeps = dict.fromkeys(shop.catalogue.streams, keep)
    done = await trim(ground(shop), keeps, leases, only=[shop.key(SALES)], **options)
    return done.streams[0]


async def filled(shop: Shop, count: int = 300) -> list[str]:
    return await put(shop, *(sale(shop, f"s{n}") for n in range(count)))


async def left(shop: Shop) -> list[str]:
    return [one.id for one in await shop.broker.range(shop.key(SALES), count=10_000)]


async def read(shop: Shop, group: str, count: int, *, acknowledge: int = 0) -> list[str]:
    """Read as a worker of a group, and acknowledge the first of it."""
    found = await shop.broker.read(group, "w", [shop.key(SALES)], count=count, block=0.05)
    ids = [one.id for one in found]
    await shop.broker.acknowledge(group, {shop.key(SALES): ids[:acknowledge]})
    return ids


async def silent(shop: Shop, group: str, seconds: float) -> None:
    """Nobody was heard of for the group for so long, as the source remembers it."""
    await shop.broker.execute("XGROUP", "DELCONSUMER", shop.key(SALES), group, "w")
    await shop.source.execute(
        "INSERT INTO headwater.reader (name, heard_at) "
        "VALUES ($1, clock_timestamp() - $2::float8 * interval '1 second') "
        "ON CONFLICT (name) DO UPDATE SET heard_at = excluded.heard_at",
        *(group, seconds),
    )


async def test_what_another_group_has_not_read_or_acknowledged_stays(here: Shop) -> None:
    ids = await filled(here)
    await read(here, SHELF, 300, acknowledge=300)
    await read(here, TILL, 200, acknowledge=150)

    done = await trimmed(here)

    assert (done.length, done.removed, done.held_by, done.lost) == (300, 150, [TILL], {})
    assert await left(here) == ids[150:]
    assert [one[0].decode() for one in await pending(here, TILL)] == ids[150:200]
    assert (await trimmed(here)).removed == 0


async def pending(shop: Shop, group: str) -> list[Any]:
    found: list[Any] = await shop.broker.execute("XPENDING", shop.key(SALES), group, "-", "+", 1000)
    return found


async def used(shop: Shop) -> int:
    return int(await shop.broker.execute("MEMORY", "USAGE", shop.key(SALES), "SAMPLES", 0))


async def test_a_stream_that_is_bounded_by_bytes_keeps_its_newest_entries_in_them(here: Shop) -> None:
    ids = await filled(here, 1_000)
    for group in (SHELF, TILL):
        await read(here, group, 1_000, acknowledge=1_000)
    half = await used(here) // 2
    young = Keep(seconds=3600.0, size=half)

    would = await trimmed(here, young, dry=True)
    assert (would.length, len(await left(here))) == (1_000, 1_000)
    done = await trimmed(here, young)

    assert would.removed == done.removed
    assert done.bytes is not None
    assert done.bytes > half
    assert 350 < done.removed < 650
    assert await left(here) == ids[done.removed :]
    assert await used(here) < half * 1.2
    assert (await trimmed(here, Keep(seconds=3600.0, size=half * 3))).removed == 0


async def test_bytes_take_nothing_that_a_living_group_has_not_applied(here: Shop) -> None:
    ids = await filled(here, 1_000)
    await read(here, SHELF, 1_000, acknowledge=1_000)
    await read(here, TILL, 200, acknowledge=150)

    would = await trimmed(here, Keep(size=1), dry=True)
    done = await trimmed(here, Keep(size=1))

    assert (would.removed, would.held_by) == (done.removed, done.held_by) == (150, [TILL])
    assert (done.lost, await left(here)) == ({}, ids[150:])


async def test_a_hole_among_the_acknowledged_is_not_trimmed(here: Shop) -> None:
    ids = await filled(here, 20)
    await read(here, SHELF, 20, acknowledge=20)
    held = await read(here, TILL, 20)
    await here.broker.acknowledge(TILL, {here.key(SALES): [one for one in held if one != ids[3]]})

    assert (await trimmed(here)).removed == 3
    assert (await left(here))[0] == ids[3]


async def test_young_entries_stay_although_all_have_applied_them(here: Shop) -> None:
    ids = await filled(here, 20)
    for group in (SHELF, TILL):
        await read(here, group, 20, acknowledge=20)

    assert (await trimmed(here, Keep(seconds=3600.0))).removed == 0
    assert (await trimmed(here, Keep(entries=5))).removed == 15
    assert await left(here) == ids[15:]


async def test_a_dry_run_counts_and_removes_and_remembers_nothing(here: Shop) -> None:
    ids = await filled(here)
    await read(here, SHELF, 300, acknowledge=300)
    await read(here, TILL, 300, acknowledge=250)

    done = await trimmed(here, dry=True)

    assert (done.removed, done.exact, done.held_by) == (250, True, [TILL])
    assert await left(here) == ids
    assert await here.source.fetchval("SELECT count(*) FROM headwater.reader") == 0


async def test_a_group_that_has_not_read_at_all_or_is_missing_holds_everything(here: Shop) -> None:
    await filled(here, 20)
    await read(here, SHELF, 20, acknowledge=20)

    assert (await trimmed(here)).removed == 0
    await here.broker.execute("XGROUP", "DESTROY", here.key(SALES), TILL)
    done = await trimmed(here)

    assert (done.removed, done.held_by) == (0, [TILL])


async def test_a_group_past_its_lease_holds_nothing_and_what_it_loses_is_its_gap(here: Shop) -> None:
    ids = await filled(here)
    await read(here, TILL, 300, acknowledge=300)
    await read(here, SHELF, 100, acknowledge=40)
    await here.broker.execute("XCLAIM", here.key(SALES), SHELF, "v", 0, *ids[40:100], "JUSTID")
    await here.broker.execute("XGROUP", "DELCONSUMER", here.key(SALES), SHELF, "w")
    await silent(here, SHELF, 7200.0)
    assert (await trimmed(here)).removed == 40  # v has just asked: the group lives

    done = await trimmed(here, leases=Leases(-1.0, -1.0))

    assert (done.removed, done.passed_over, done.lost) == (260, [SHELF], {SHELF: 260})
    found = await gaps.listed(here.sink, "shelf")
    assert sum(one.entries for one in found) == 260
    unread = [one for one in found if one.kind == "trimmed_unread"]
    assert [(one.entries, one.upto) for one in unread] == [(200, ids[-1])]
    lost = {one.entry for one in found if one.kind == "deleted_while_pending"}
    assert lost == set(ids[40:100])


async def test_a_loss_that_trimming_recorded_is_not_found_again_by_a_worker(here: Shop) -> None:
    await filled(here, 50)
    await read(here, TILL, 50, acknowledge=50)
    await read(here, SHELF, 10, acknowledge=10)
    done = await trimmed(here, leases=Leases(-1.0, -1.0))
    assert done.lost == {SHELF: 40}

    worker = await started(here, here.worker())
    await put(here, sale(here, "later"))
    await applied(here, "later")
    looks = await here.sink.fetchval("SELECT beat FROM headwater.beat WHERE app = 'shelf'")

    async def looked_on() -> bool:
        return bool(await here.sink.fetchval("SELECT beat FROM headwater.beat") >= looks + 3)

    await until(looked_on)
    assert worker.statistics()["lost"] == 0
    assert [one.entries for one in await gaps.listed(here.sink, "shelf")] == [40]


async def test_a_loss_whose_database_was_away_is_found_by_the_worker(here: Shop) -> None:
    await filled(here, 50)
    await read(here, TILL, 50, acknowledge=50)
    await read(here, SHELF, 10, acknowledge=10)
    blind = Ground(broker=here.broker, catalogue=here.catalogue, source=here.source, sinks={})
    keeps = dict.fromkeys(here.catalogue.streams, ALL)
    done = await trim(blind, keeps, Leases(-1.0, -1.0), only=[here.key(SALES)])
    assert done.streams[0].lost == {SHELF: 40}
    assert await gaps.listed(here.sink, "shelf") == []

    worker = await started(here, here.worker())

    await until(lambda: worker.statistics()["lost"] == 40)
    assert [one.entries for one in await gaps.listed(here.sink, "shelf")] == [40]


async def test_live_entries_of_one_group_outlive_the_history_of_another(here: Shop) -> None:
    """What a bound on the stream's length would have taken: unread and unacknowledged ones alike."""
    live = await filled(here, 100)
    held = await read(here, TILL, 50)
    history = [await filled(here, 1000) for _ in range(3)]
    await read(here, SHELF, 4000, acknowledge=4000)

    done = await trimmed(here, Keep(entries=500))

    assert (done.length, done.removed, done.held_by) == (3100, 0, [TILL])
    assert (await left(here))[:100] == live
    await here.broker.acknowledge(TILL, {here.key(SALES): held})
    assert (await trimmed(here, Keep(entries=500))).removed == 50
    assert (await left(here))[-1] == history[-1][-1]


async def test_a_hard_bound_goes_past_living_groups_and_counts_what_each_loses(here: Shop) -> None:
    ids = await filled(here)
    await read(here, SHELF, 120, acknowledge=100)

    done = await trimmed(here, Keep(seconds=3600.0, most=50))

    assert (done.removed, done.lost) == (250, {SHELF: 150, TILL: 250})
    assert await left(here) == ids[250:]
    found = await gaps.listed(here.sink, "shelf")
    assert sum(one.entries for one in found) == 150


async def test_a_key_that_is_no_stream_keeps_no_other_from_being_trimmed(here: Shop) -> None:
    await filled(here, 20)
    for group in (SHELF, TILL):
        await read(here, group, 20, acknowledge=20)
    await here.broker.execute("DEL", here.key(GOODS))
    await here.broker.execute("SET", here.key(GOODS), "somebody's")

    keeps = dict.fromkeys(here.catalogue.streams, ALL)
    done = await trim(ground(here), keeps, LEASES)

    assert [(one.stream, one.removed) for one in done.streams] == [(here.key(SALES), 20)]


async def test_an_undeclared_group_holds_while_it_reads_and_no_longer(here: Shop) -> None:
    await filled(here, 30)
    for group in (SHELF, TILL):
        await read(here, group, 30, acknowledge=30)
    await here.broker.create_group(here.key(SALES), "stranger")

    held = await trimmed(here)
    gone = await trimmed(here, leases=Leases(3600.0, -1.0))

    assert (held.removed, held.held_by) == (0, ["stranger"])
    assert (gone.removed, gone.passed_over, gone.lost) == (30, ["stranger"], {"stranger": 30})
    assert await gaps.listed(here.sink, "shelf") == []


async def test_trimming_while_workers_read_loses_nothing(here: Shop) -> None:
    names = [f"s{n}" for n in range(600)]
    await put(here)  # makes the groups
    await started(here, here.worker())
    other, stop = here.broker.beside("till"), asyncio.Event()

    async def keep_trimming() -> int:
        count = 0
        while not stop.is_set():
            some = await other.read(TILL, "w", [here.key(SALES)], count=37, block=0.01)
            count += (await trimmed(here)).removed
            seen.extend(one.id for one in some)
            await other.acknowledge(TILL, {here.key(SALES): [one.id for one in some]})
        await other.close()
        return count

    seen: list[str] = []

    task = asyncio.create_task(keep_trimming())
    ids = [
        one
        for start in range(0, 600, 50)
        for one in await put(here, *(sale(here, name) for name in names[start : start + 50]))
    ]

    async def all_read() -> bool:
        return task.done() or (len(seen) == 600 and await settled(here))

    await until(all_read, within=60.0)
    stop.set()
    count = await task

    assert await here.sales() == sorted(names)
    assert seen == ids
    assert count > 0
    assert await here.sink.fetchval("SELECT count(*) FROM headwater.gap") == 0


async def test_a_reader_that_goes_back_keeps_what_it_reads_again(here: Shop) -> None:
    ids = await filled(here, 30)
    for group in (SHELF, TILL):
        await read(here, group, 30, acknowledge=30)
    await here.broker.execute("XGROUP", "SETID", here.key(SALES), SHELF, ids[9])

    done = await trimmed(here)

    assert (done.removed, done.held_by) == (10, [SHELF])


async def test_a_long_stream_goes_in_steps_and_to_the_very_entry(
    here: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.retention.trimming.STEP", 200)
    ids = await filled(here, 1234)
    for group in (SHELF, TILL):
        await read(here, group, 1234, acknowledge=1111)
    before = await trims(here)

    assert (await trimmed(here)).removed == 1111
    assert (await left(here))[0] == ids[1111]
    assert await trims(here) - before >= 6


async def trims(shop: Shop) -> int:
    text = (await shop.broker.execute("INFO", "commandstats")).decode()
    found = [line for line in text.splitlines() if line.startswith("cmdstat_xtrim:")]
    return int(found[0].partition("calls=")[2].partition(",")[0]) if found else 0


async def test_two_do_not_trim_at_once(shop: Shop) -> None:
    async with alone(shop.source.url):
        with pytest.raises(Busy, match="another process"):
            async with alone(shop.source.url):
                pytest.fail("both have the lock")
    async with alone(shop.source.url) as again:
        assert not again.is_closed()


async def test_entries_from_a_clock_that_was_ahead_are_not_taken_for_old(here: Shop) -> None:
    await filled(here, 5)
    for group in (SHELF, TILL):
        await read(here, group, 5, acknowledge=5)
    last = EntryId.parse((await left(here))[-1])
    ahead = f"{last.milliseconds + 86_400_000}-0"
    await here.broker.execute("XADD", here.key(SALES), ahead, "a", "b")
    for group in (SHELF, TILL):
        await read(here, group, 5, acknowledge=5)

    assert (await trimmed(here, Keep(seconds=0.0))).removed == 5
    assert await left(here) == [ahead]
