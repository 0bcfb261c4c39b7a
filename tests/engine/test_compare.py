"""Do source and application agree? Differences are found by kind; what can not be known is called unknown."""

from __future__ import annotations

import asyncio
import uuid

import msgspec

from headwater.database import Database
from headwater.delivery import Worker
from headwater.replay import History
from headwater.replay.digest import (
    Bucket,
    Comparer,
    Comparison,
    Differences,
    Meeting,
    applied,
    classify,
    whole,
)
from headwater.testing import FaultProxy, controls, until
from tests.engine.conftest import Shop
from tests.engine.entries import gaps

MIRRORED = controls.MIRRORED["shelf"]["goods"]


async def stocked(shop: Shop, count: int) -> list[str]:
    """Goods that the application has; their keys in order."""
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    keys = sorted([await shop.put(f"good {number}") for number in range(count)])

    async def applied() -> bool:
        return len(await shop.goods()) == count

    await until(applied)
    return keys


async def compared(shop: Shop, tries: int = 2) -> tuple[Comparison, Differences]:
    comparer = Comparer(shop.source, shop.sink)
    found = await comparer.compare(controls.BACKFILL, MIRRORED, shop.tenant, tries=tries, pause=0.02)
    return found, await comparer.differences(controls.BACKFILL, MIRRORED, shop.tenant, found.differing)


async def without_triggers(shop: Shop, change: str) -> None:
    await shop.source.execute(
        f"ALTER TABLE goods DISABLE TRIGGER USER; {change}; ALTER TABLE goods ENABLE TRIGGER USER"
    )


def test_differences_are_told_apart_by_kind() -> None:
    source = {"same": 1, "missing": 1, "stale": 2, "ahead": 1}
    sink = {"same": 1, "stale": 1, "ahead": 2, "orphan": 1}

    assert classify(source, sink) == Differences(("missing",), ("stale",), ("orphan",), ("ahead",))


async def test_an_application_that_followed_everything_agrees(shop: Shop) -> None:
    keys = await stocked(shop, 20)
    await shop.remove(keys[0])

    async def removed() -> bool:
        return len(await shop.goods()) == 19

    await until(removed)
    found, differences = await compared(shop)

    assert (found.clean, found.source_count, found.applied_count) == (True, 19, 19)
    assert differences == Differences()


async def test_rows_of_another_tenant_are_not_looked_at(shop: Shop) -> None:
    await stocked(shop, 3)
    shop.tenant = str(uuid.uuid4())

    found, _ = await compared(shop)

    assert (found.clean, found.source_count, found.applied_count) == (True, 0, 0)


async def test_every_kind_of_difference_is_found(shop: Shop) -> None:
    same, missing, stale, orphan, ahead = await stocked(shop, 5)
    await shop.sink.execute("DELETE FROM goods WHERE good_id = $1", missing)
    await shop.source.execute("UPDATE goods SET name = 'newer' WHERE good_id = $1", stale)
    await without_triggers(shop, f"DELETE FROM goods WHERE good_id = '{orphan}'")
    await shop.sink.execute("UPDATE headwater.ledger SET version = version + 1 WHERE key = $1", ahead)

    found, differences = await compared(shop)

    assert not found.clean
    assert differences == Differences((missing,), (stale,), (orphan,), (ahead,))
    assert same not in str(differences)


async def test_a_truncated_table_shows_as_missing_although_its_ledger_is_complete(shop: Shop) -> None:
    keys = await stocked(shop, 4)
    await shop.sink.execute("TRUNCATE goods")

    found, differences = await compared(shop)

    assert (found.source_count, found.applied_count) == (4, 0)
    assert differences == Differences(missing=tuple(keys))


async def test_a_row_that_was_written_past_headwater_shows_as_no_difference_of_versions(shop: Shop) -> None:
    """Only keys and versions are compared: a limit that the pages name."""
    (key,) = await stocked(shop, 1)
    await shop.sink.execute("UPDATE goods SET name = 'by hand' WHERE good_id = $1", key)

    found, _ = await compared(shop)

    assert found.clean


async def test_a_change_on_its_way_is_no_difference_once_it_has_arrived(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    await shop.put("changed", key)

    found, _ = await compared(shop, tries=200)

    assert found.clean


async def test_both_sides_may_move_all_the_time(shop: Shop) -> None:
    keys = await stocked(shop, 5)
    going = asyncio.Event()

    async def move() -> None:
        number = 0
        while not going.is_set():
            number += 1
            await shop.put(f"turn {number}", keys[number % len(keys)])

    moving = asyncio.create_task(move())
    try:
        found, _ = await compared(shop, tries=500)
    finally:
        going.set()
        await moving

    assert found.clean


async def status_of(shop: Shop, history: History) -> tuple[str, str]:
    found = await history.status(shop.tenant, "shelf")
    assert found.needed == (found.state != "clean")
    return found.state, found.reason


async def test_a_status_is_clean_only_for_an_enabled_application_that_agrees(shop: Shop) -> None:
    await stocked(shop, 2)
    history = shop.history()

    assert await status_of(shop, history) == ("clean", "")
    found = await history.status(shop.tenant, "shelf")
    assert found.counts == {"goods": 2}
    assert set(found.last_clean) == {"goods"}
    assert found.group is not None
    assert (found.group.living, found.group.parked) == (1, 0)

    await shop.source.execute("DELETE FROM enabled")
    state, reason = await status_of(shop, history)
    assert (state, "enabled" in reason) == ("unknown", True)


async def test_a_status_that_differs_says_where_and_whether_anybody_is_working_on_it(shop: Shop) -> None:
    await shop.enable()
    await shop.put("never moved")

    state, reason = await status_of(shop, shop.history())

    assert state == "differs"
    assert "goods" in reason
    assert "no consumer" in reason


async def test_a_status_is_unknown_while_a_server_does_not_answer(shop: Shop) -> None:
    await stocked(shop, 1)

    async with FaultProxy.before(shop.sink.url) as proxy:
        sink = await Database.open(proxy.url)
        history = History(msgspec.structs.replace(shop.ways(), sinks={"shelf": sink}), controls.ENABLEMENT)
        assert await status_of(shop, history) == ("clean", "")
        await proxy.refuse()
        state, reason = await status_of(shop, history)
        assert (state, bool(reason)) == ("unknown", True)
        await proxy.heal()
        assert await status_of(shop, history) == ("clean", "")
        await sink.close()
    nowhere = History(msgspec.structs.replace(shop.ways(), sinks={}), controls.ENABLEMENT)
    assert (await status_of(shop, nowhere))[0] == "unknown"


async def test_a_loss_is_remembered_and_a_clean_comparison_after_it_says_that_nothing_is_missing(
    shop: Shop,
) -> None:
    await stocked(shop, 2)
    history = shop.history()
    await status_of(shop, history)
    before = await last_pass(shop)
    await shop.broker.execute("DEL", *shop.catalogue.keys_of("shelf"))

    async def recorded() -> bool:
        return bool(await gaps(shop))

    await until(recorded)
    assert await last_pass(shop) == before
    state, _ = await status_of(shop, history)

    assert state == "clean"
    assert await last_pass(shop) > before


async def last_pass(shop: Shop) -> int:
    """The last loss that the last clean comparison knew of."""
    return int(await shop.source.fetchval("SELECT gap FROM headwater.pass"))


async def test_a_dry_run_counts_what_would_be_said_and_says_nothing(shop: Shop) -> None:
    await shop.put("tea")
    await shop.put("cup")

    assert await shop.history().dry_run(shop.tenant, "shelf", {}, None) == {"goods": 2}
    assert await shop.history().dry_run(shop.tenant, "shelf", {"goods": False}, None) == {}
    assert await shop.broker.stream(shop.key("shelf:goods")) is None


def test_a_bucket_has_met_once_the_sink_showed_what_the_source_had_shown() -> None:
    meeting = Meeting()

    meeting.look({1: Bucket(1, 10), 2: Bucket(1, 20)}, {})
    assert meeting.differing == {1, 2}
    meeting.look({1: Bucket(1, 11), 2: Bucket(1, 21)}, {1: Bucket(1, 10), 2: Bucket(1, 19)})
    assert meeting.differing == {2}, "the first shows what the source had, the second what it had not"
    meeting.look({1: Bucket(1, 13)}, {1: Bucket(1, 12)})
    assert meeting.differing == set(), "a row that is hot met before; one that is gone on both sides met now"
    meeting.look({}, {3: Bucket(1, 30)})
    assert meeting.differing == {3}


async def test_an_application_that_lags_is_waited_for_before_it_is_called_different(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    worker, _ = shop.running[-1]
    await shop.stop(worker)
    await shop.put("while nobody works", key)
    waited: list[Worker] = []

    async def caught_up() -> None:
        if not waited:
            waited.append(shop.start(shop.worker()))

        async def applied() -> bool:
            return (await shop.goods())[key] == "while nobody works"

        await until(applied)

    comparer = Comparer(shop.source, shop.sink)
    found = await comparer.compare(
        controls.BACKFILL, MIRRORED, shop.tenant, tries=3, pause=0.0, caught_up=caught_up
    )

    assert waited
    assert found.clean


async def test_tables_that_were_filled_a_moment_ago_are_not_visited_once_for_each_row(shop: Shop) -> None:
    types = {"tenant_id": "uuid", "good_id": "uuid"}
    explained = f"EXPLAIN {applied(MIRRORED, types)}"
    values = (shop.tenant, "shelf")

    planned = str(await shop.sink.fetch(explained, *values))
    ours = str(await whole(shop.sink, explained, *values))

    assert "Nested Loop" in planned  # the planner knows nothing of them yet
    assert "Nested Loop" not in ours
