"""What Redis lost comes back from the outbox: once, only where it went, never older over newer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headwater import failpoints
from headwater.broker.repairs import Missing
from headwater.errors import HeadwaterError
from headwater.publish.span import Between, Span
from headwater.testing import until
from tests.engine.again import again, every, forget, moved, republisher
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, SALES, applied, settled, started


async def sold(shop: Shop, *names: str) -> None:
    for name in names:
        await shop.sell(name)
    await moved(shop)


async def test_events_that_redis_forgot_are_lost_without_it_and_come_back_with_it(shop: Shop) -> None:
    shop.start(shop.relay())
    await sold(shop, "s1", "s2", "s3")
    await forget(shop)
    await started(shop, shop.worker())
    await sold(shop, "s4")
    await applied(shop, "s4")

    run = await again(shop)

    await applied(shop, "s1", "s2", "s3", "s4")
    assert (run.progress.rows, run.progress.refused, run.state) == (4, 0, "done")
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 4


async def test_what_was_applied_is_not_applied_again_and_nothing_older_stands_over_newer(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    worker = await started(shop, shop.worker())
    good = await shop.put("old")
    gone = await shop.put("short-lived")
    await shop.sell("s1")
    await shop.put("new", good)
    await shop.remove(gone)
    await moved(shop)
    await until(lambda: settled(shop))
    assert await shop.goods() == {good: "new"}

    run = await again(shop)

    await until(lambda: settled(shop))
    assert run.progress.entries == 5
    assert (await shop.goods(), await shop.sales()) == ({good: "new"}, ["s1"])
    assert worker.statistics()["acknowledged"] >= 10


async def test_beside_live_traffic_the_last_state_of_everything_stands(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    goods = [await shop.put("0") for _ in range(12)]
    await moved(shop)
    await forget(shop)
    await started(shop, shop.worker())
    for turn in range(1, 4):
        for good in goods[:6]:
            await shop.put(str(turn), good)
        run = await again(shop)
        assert run.progress.rows >= 12

    async def last() -> bool:
        return await shop.goods() == {**dict.fromkeys(goods[:6], "3"), **dict.fromkeys(goods[6:], "0")}

    await until(last)
    await until(lambda: settled(shop))
    assert await last()


async def test_a_second_run_is_refused_while_one_runs(shop: Shop) -> None:
    first, second = republisher(shop), republisher(shop)
    async with first.session() as connection, second.session() as other:
        await first.alone(connection)
        with pytest.raises(HeadwaterError, match="another republish"):
            await second.alone(other)


async def test_an_event_goes_only_where_it_went_and_only_where_it_may_go_now(shop: Shop) -> None:
    shop.start(shop.relay())
    early = await shop.put("before it was enabled")
    await moved(shop)
    await shop.enable()
    late = await shop.put("after")
    await moved(shop)
    await forget(shop)

    run = await again(shop)

    assert (run.progress.rows, run.progress.entries, run.progress.skipped) == (1, 1, 0)
    entries = await shop.broker.range(shop.key(GOODS))
    assert [(entry.fields or {})[b"key"].decode() for entry in entries] == [late]
    await shop.source.execute("DELETE FROM enabled WHERE tenant_id = $1", shop.tenant)
    assert (await again(shop)).progress.skipped == 1
    assert early not in await shop.goods()


async def test_an_event_that_redis_refuses_is_counted_and_ends_nothing(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    await sold(shop, "s1")
    good = await shop.put("good")
    await moved(shop)
    await forget(shop)
    await shop.broker.execute("SET", shop.key(SALES), "not a stream")
    saying = republisher(shop)
    async with saying.session() as connection:
        span = Span(streams=every(shop), until=await saying.now(connection))
        run = await saying.begin(connection, span, await saying.plan(connection, span), by="test")
        run = await saying.go(connection, run)

    assert (run.progress.rows, run.progress.refused) == (1, 1)
    assert run.progress.refusing == (shop.key(SALES),)
    assert [(entry.fields or {})[b"key"].decode() for entry in await shop.broker.range(shop.key(GOODS))] == [
        good
    ]


async def test_bounds_of_time_and_of_entries_hold(shop: Shop) -> None:
    shop.start(shop.relay())
    await sold(shop, "s1")
    middle = await shop.source.fetchval("SELECT clock_timestamp()")
    await sold(shop, "s2")
    entries = [one.id for one in await shop.broker.range(shop.key(SALES))]
    await sold(shop, "s3")

    assert (await again(shop, since=middle)).progress.rows == 2
    assert (await again(shop, until=middle)).progress.rows == 1
    assert (await again(shop, since=middle + timedelta(hours=1))).progress.rows == 0
    only = {shop.key(SALES): Between(entries[0], entries[1])}
    assert (await again(shop, only)).progress.rows == 1
    assert (await again(shop, {shop.key(GOODS): Between()})).progress.rows == 0


async def test_rows_removed_while_a_run_stood_still_leave_its_gaps_open(shop: Shop) -> None:
    shop.start(shop.relay())
    await sold(shop, "s1", "s2")
    missing = Missing(app="shelf", stream=shop.key(SALES), incarnation="i", gap=1, since="0-0")
    saying = republisher(shop)
    async with saying.session() as connection:
        span = Span(streams=every(shop), until=await saying.now(connection))
        plan = await saying.plan(connection, span)
        whole = await saying.begin(connection, span, plan, by="test", asked=[missing])
        broken = await saying.begin(connection, span, plan, by="test", asked=[missing])
        assert (await saying.go(connection, whole)).answered == (missing,)
        await shop.source.execute("DELETE FROM headwater.outbox WHERE key = 's1'")
        assert (await saying.go(connection, broken)).answered == ()


async def test_what_is_lost_again_while_it_is_said_leaves_its_gap_open(shop: Shop) -> None:
    shop.start(shop.relay())
    await sold(shop, *(f"s{number:02}" for number in range(15)))
    missing = Missing(app="shelf", stream=shop.key(SALES), incarnation="i", gap=1, since="0-0")
    saying = republisher(shop)
    async with saying.session() as connection:
        span = Span(streams=every(shop), until=await saying.now(connection))
        plan = await saying.plan(connection, span)
        run = await saying.begin(connection, span, plan, by="test", asked=[missing])
        failpoints.arm("republish.checkpointed:raise")
        with pytest.raises(failpoints.Injected):
            await saying.go(connection, run)
        await forget(shop)
        run = await saying.go(connection, await saying.find(connection, run.id))

    assert (run.progress.rows, run.answered) == (15, ())
    assert len(await shop.broker.range(shop.key(SALES))) == 5


async def test_whoever_removes_rows_of_the_outbox_leaves_word_of_it(shop: Shop) -> None:
    shop.start(shop.relay())
    await sold(shop, "s1", "s2")
    plan = "SELECT max(published_at) FROM headwater.outbox"
    last = await shop.source.fetchval(plan)
    saying = republisher(shop)
    async with saying.session() as connection:
        span = Span(streams=every(shop), until=await saying.now(connection))
        assert (await saying.plan(connection, span)).removed is None
        await shop.source.execute("DELETE FROM headwater.outbox")
        found = await saying.plan(connection, span)

    assert (found.rows, found.removed) == (0, last)
