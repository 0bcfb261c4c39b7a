"""Do source and application agree? Differences are found by kind; what can not be known is called unknown."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial

import msgspec
import pytest

from headwater.database import Database
from headwater.delivery import Worker
from headwater.replay import Finding, History, Sides, examined
from headwater.replay.digest import whole
from headwater.replay.examining import CaughtUp
from headwater.replay.saying import Saying
from headwater.replay.sides import rows_shown
from headwater.testing import FaultProxy, controls, until
from tests.engine.conftest import Shop
from tests.engine.entries import gaps
from tests.engine.test_backfill import asked, ended

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


async def compared(shop: Shop, caught_up: CaughtUp | None = None) -> Finding:
    sides = Sides(shop.source, shop.sink, controls.BACKFILL, MIRRORED, shop.tenant)
    saying = Saying(shop.ways(), shop.tenant, "shelf", "test")
    return await examined(sides, caught_up or partial(saying.caught_up, within=30.0))


async def without_triggers(shop: Shop, change: str) -> None:
    await shop.source.execute(
        f"ALTER TABLE goods DISABLE TRIGGER USER; {change}; ALTER TABLE goods ENABLE TRIGGER USER"
    )


async def test_an_application_that_followed_everything_agrees(shop: Shop) -> None:
    keys = await stocked(shop, 20)
    await shop.remove(keys[0])

    async def removed() -> bool:
        return len(await shop.goods()) == 19

    await until(removed)
    found = await compared(shop)

    assert (found.agreed, found.source_count, found.applied_count) == (True, 19, 19)
    assert found.keys == {}


async def test_rows_of_another_tenant_are_not_looked_at(shop: Shop) -> None:
    await stocked(shop, 3)
    shop.tenant = str(uuid.uuid4())

    found = await compared(shop)

    assert (found.agreed, found.source_count, found.applied_count) == (True, 0, 0)


async def test_every_kind_of_difference_is_found(shop: Shop) -> None:
    same, missing, stale, orphan, ahead = await stocked(shop, 5)
    await shop.sink.execute("DELETE FROM goods WHERE good_id = $1", missing)
    await shop.source.execute("UPDATE goods SET name = 'newer' WHERE good_id = $1", stale)
    await without_triggers(shop, f"DELETE FROM goods WHERE good_id = '{orphan}'")
    await shop.sink.execute("UPDATE headwater.ledger SET version = version + 1 WHERE key = $1", ahead)

    found = await compared(shop, followed)

    assert found.keys == {"missing": [missing], "stale": [stale], "orphan": [orphan], "ahead": [ahead]}
    assert same not in str(found)


async def test_a_truncated_table_shows_as_missing_although_its_ledger_is_complete(shop: Shop) -> None:
    keys = await stocked(shop, 4)
    await shop.sink.execute("TRUNCATE goods")

    found = await compared(shop)

    assert (found.source_count, found.applied_count) == (4, 0)
    assert found.keys == {"missing": keys}


async def test_a_row_that_was_written_past_headwater_shows_as_no_difference_of_versions(shop: Shop) -> None:
    """Only keys and versions are compared: a limit that the pages name."""
    (key,) = await stocked(shop, 1)
    await shop.sink.execute("UPDATE goods SET name = 'by hand' WHERE good_id = $1", key)

    found = await compared(shop)

    assert found.agreed


async def test_a_change_on_its_way_is_no_difference_once_it_has_arrived(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    await shop.put("changed", key)

    found = await compared(shop)

    assert found.agreed


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
        found = await compared(shop)
    finally:
        going.set()
        await moving

    assert found.agreed


async def followed() -> bool:
    """Nothing is on its way."""
    return True


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


async def test_a_status_waits_for_an_application_that_only_lags_and_calls_it_clean_no_sooner(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.replay.history.PATIENCE", 60.0)
    (key,) = await stocked(shop, 1)
    worker, _ = shop.running[-1]
    await shop.stop(worker)
    await shop.put("newer", key)
    history = shop.history()

    asking = asyncio.create_task(status_of(shop, history))
    waits = "SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL"

    async def only_the_application_is_behind() -> bool:
        return await shop.source.fetchval(waits) == 0

    await until(only_the_application_is_behind)
    done, _ = await asyncio.wait({asking}, timeout=0.5)
    assert not done, "it waits: what was said is not applied"
    shop.start(shop.worker())

    assert await asking == ("clean", "")
    assert await shop.goods() == {key: "newer"}


async def test_a_row_that_headwater_did_not_write_is_a_difference_to_status_and_job(shop: Shop) -> None:
    await stocked(shop, 2)
    stranger = str(uuid.uuid4())
    await shop.sink.execute("INSERT INTO goods VALUES ($1, $2, 'by hand', 1)", shop.tenant, stranger)

    found = await shop.history().status(shop.tenant, "shelf")
    shop.start(shop.runner())
    job = await ended(shop, await asked(shop))

    (goods,) = found.subjects
    assert (found.state, found.needed, goods.kinds) == ("differs", True, {"untracked": 1})
    assert (job.state, job.error) == ("diverged", "source and application differ: goods")
    assert stranger in await shop.goods(), "nobody removed it"


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


async def test_an_application_that_lags_is_waited_for_before_it_is_called_different(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    worker, _ = shop.running[-1]
    await shop.stop(worker)
    await shop.put("while nobody works", key)
    waited: list[Worker] = []

    async def caught_up() -> bool:
        if not waited:
            waited.append(shop.start(shop.worker()))

        async def applied() -> bool:
            return (await shop.goods())[key] == "while nobody works"

        await until(applied)
        return True

    found = await compared(shop, caught_up)

    assert waited
    assert found.agreed


async def test_tables_that_were_filled_a_moment_ago_are_not_visited_once_for_each_row(shop: Shop) -> None:
    types = {"tenant_id": "uuid", "good_id": "uuid"}
    explained = f"EXPLAIN {rows_shown(MIRRORED, types)}"
    values = (shop.tenant, "shelf")

    planned = str(await shop.sink.fetch(explained, *values))
    ours = str(await whole(shop.sink, explained, *values))

    assert "Nested Loop" in planned  # the planner knows nothing of them yet
    assert "Nested Loop" not in ours
