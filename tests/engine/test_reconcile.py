"""Every difference is found on real servers and mended through the gate, and nothing else is touched."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
import pytest

from headwater.errors import HeadwaterError, JobRefused
from headwater.replay.reconcile import Outcome, Reconciler, Report, Wish
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.test_compare import stocked, without_triggers

FIX = Wish(fix=True, level=2, patience=30.0)


async def reconciled(shop: Shop, wish: Wish | None = None) -> Outcome:
    """The only subject's."""
    report = await whole(shop, wish)
    (outcome,) = report.outcomes
    assert report.agreed == (outcome.state == "agreed")
    return outcome


async def whole(shop: Shop, wish: Wish | None = None) -> Report:
    return await Reconciler(shop.history()).reconcile(shop.tenant, "shelf", wish or Wish(patience=30.0))


async def agreement(shop: Shop) -> dict[str, Any]:
    (row,) = await Reconciler(shop.history()).known(shop.tenant, "shelf")
    return dict(row)


async def lose_row(shop: Shop, key: str) -> None:
    await shop.sink.execute("DELETE FROM goods WHERE good_id = $1", key)


async def forget_line(shop: Shop, key: str) -> None:
    await shop.sink.execute("DELETE FROM headwater.ledger WHERE key = $1", key)


async def raise_line(shop: Shop, key: str) -> None:
    await shop.sink.execute("UPDATE headwater.ledger SET version = version + 1 WHERE key = $1", key)


async def edit(shop: Shop, key: str) -> None:
    await shop.sink.execute("UPDATE goods SET name = 'by hand' WHERE good_id = $1", key)


async def put_by_hand(shop: Shop) -> str:
    key = str(uuid.uuid4())
    await shop.sink.execute("INSERT INTO goods VALUES ($1, $2, 'nobody said', 1)", shop.tenant, key)
    return key


async def park(shop: Shop, key: str) -> None:
    await shop.sink.execute(
        "INSERT INTO headwater.dead_letter (app, stream, entry, reason, error, tenant, subject, key, size) "
        "VALUES ('shelf', 's', $2, 'rejected', 'e', $1, 'goods', $2, 1)",
        *(shop.tenant, key),
    )


async def names_in_source(shop: Shop) -> dict[str, str]:
    rows = await shop.source.fetch("SELECT good_id::text, name FROM goods WHERE tenant_id = $1", shop.tenant)
    return {row["good_id"]: row["name"] for row in rows}


async def test_databases_that_agree_are_said_to_agree_and_it_is_remembered(shop: Shop) -> None:
    await stocked(shop, 10)

    outcome = await reconciled(shop, Wish(level=2))

    assert (outcome.state, outcome.found.source_count, outcome.found.applied_count) == ("agreed", 10, 10)
    assert outcome.found.content_compared == 10
    kept = await agreement(shop)
    assert (kept["state"], kept["source_count"], kept["level"]) == ("agreed", 10, 2)
    assert kept["agreed_at"] is not None
    (note,) = await Reconciler(shop.history()).notes(shop.tenant, "shelf")
    assert (note["what"], note["actor"]) == ("compared", "headwater")


async def test_each_kind_of_difference_is_found_by_its_name_and_mended_where_that_is_safe(shop: Shop) -> None:
    same, lost, unlined, stale, orphan, ahead, corrupt, quarantined = await stocked(shop, 8)
    await lose_row(shop, lost)
    await forget_line(shop, unlined)
    await shop.source.execute("UPDATE goods SET name = 'newer' WHERE good_id = $1", stale)
    await without_triggers(shop, f"DELETE FROM goods WHERE good_id = '{orphan}'")
    await raise_line(shop, ahead)
    await edit(shop, corrupt)
    await lose_row(shop, quarantined)
    await park(shop, quarantined)
    untracked = await put_by_hand(shop)

    found = await reconciled(shop, Wish(level=2, patience=30.0))

    expected = {
        "missing": sorted([lost, unlined]),
        "stale": [stale],
        "orphan": [orphan],
        "ahead": [ahead],
        "corrupt": [corrupt],
        "quarantined": [quarantined],
        "untracked": [untracked],
    }
    assert found.found.keys == expected
    assert found.found.kinds == {how: len(keys) for how, keys in expected.items()}
    assert list(found.found.letters) == [quarantined]
    assert (await agreement(shop))["state"] == "differing"

    mended = await reconciled(shop, FIX)

    assert (mended.said, mended.removed) == (4, 1)
    assert mended.left is not None
    assert mended.left.keys == {"ahead": [ahead], "quarantined": [quarantined], "untracked": [untracked]}
    goods = await shop.goods()
    assert goods[stale] == "newer"
    assert goods.keys() == {same, lost, unlined, stale, ahead, corrupt, untracked}
    assert goods[corrupt] == (await names_in_source(shop))[corrupt]


async def test_a_truncated_application_is_filled_again_by_a_repair(shop: Shop) -> None:
    await stocked(shop, 30)
    await shop.sink.execute("TRUNCATE goods")

    outcome = await reconciled(shop, FIX)

    assert (outcome.state, outcome.found.kinds, outcome.said) == ("agreed", {"missing": 30}, 30)
    assert await shop.goods() == await names_in_source(shop)


async def test_a_repair_mends_no_more_than_it_may(shop: Shop) -> None:
    await stocked(shop, 9)
    await shop.sink.execute("TRUNCATE goods")

    outcome = await reconciled(shop, msgspec.structs.replace(FIX, most=4))

    assert outcome.state == "differing"
    assert outcome.said == 4
    assert len(await shop.goods()) == 4


async def test_rows_that_nobody_said_are_removed_only_when_that_is_asked_for(shop: Shop) -> None:
    await stocked(shop, 1)
    await put_by_hand(shop)

    left = await reconciled(shop, FIX)
    removed = await reconciled(shop, msgspec.structs.replace(FIX, remove_untracked=True))

    assert (left.state, left.removed) == ("differing", 0)
    assert (removed.state, removed.removed) == ("agreed", 1)
    assert len(await shop.goods()) == 1


async def test_the_rows_of_another_tenant_are_left_as_they_are(shop: Shop) -> None:
    ours = shop.tenant
    (key,) = await stocked(shop, 1)
    shop.tenant = str(uuid.uuid4())
    await shop.enable()
    good = await shop.put("theirs")
    await until(shop.goods)
    await lose_row(shop, good)
    await edit(shop, key)

    outcome = await reconciled(shop, FIX)

    assert outcome.found.kinds == {"missing": 1}
    shop.tenant = ours
    assert await shop.goods() == {key: "by hand"}


async def test_a_hand_edited_value_is_found_by_content_only(shop: Shop) -> None:
    keys = await stocked(shop, 40)
    await edit(shop, keys[3])

    assert (await reconciled(shop)).state == "agreed", "level 1 looks at keys and versions"
    sampled = await reconciled(shop, Wish(level=2, sample=1))
    full = await reconciled(shop, Wish(level=2))

    assert sampled.found.content_compared <= 1
    assert (full.found.content_compared, full.found.keys) == (40, {"corrupt": [keys[3]]})


async def test_a_repair_of_a_sample_mends_what_it_saw_and_does_not_call_the_rest_agreed(shop: Shop) -> None:
    keys = await stocked(shop, 40)
    await shop.sink.execute("UPDATE goods SET name = 'by hand'")

    sampled = await reconciled(shop, msgspec.structs.replace(FIX, sample=10))

    seen = sampled.found.content_compared
    assert 0 < seen <= 10
    assert (sampled.state, sampled.said) == ("unknown", seen)
    assert "of a sample" in sampled.reason
    assert list((await shop.goods()).values()).count("by hand") == 40 - seen
    assert (await reconciled(shop)).state == "agreed", "of keys and versions"
    assert (await agreement(shop))["state"] == "differing", "but contents are known to have differed"

    enough = await reconciled(shop, msgspec.structs.replace(FIX, sample=100))
    assert (enough.state, enough.said, enough.found.content_compared) == ("agreed", 40 - seen, 40)
    assert (await agreement(shop))["state"] == "agreed"
    assert await shop.goods() == await names_in_source(shop)
    assert len(keys) == 40


async def test_a_row_that_can_not_be_said_is_named_and_stops_no_other(shop: Shop) -> None:
    bad, *_ = await stocked(shop, 3)
    await shop.sink.execute("TRUNCATE goods")
    (backfill,) = shop.ways().backfills

    def say(row: Any) -> Any:
        if row["key"] == bad:
            raise ValueError("nobody can say this")
        return backfill.say(row)

    history = shop.history()
    history.ways = msgspec.structs.replace(
        history.ways, backfills=(msgspec.structs.replace(backfill, say=say),)
    )
    report = await Reconciler(history).reconcile(shop.tenant, "shelf", FIX)

    (outcome,) = report.outcomes
    assert outcome.refused == {bad: "ValueError: nobody can say this"}
    assert (outcome.said, len(await shop.goods())) == (2, 2)


async def test_live_writes_raise_no_false_alarm(shop: Shop) -> None:
    keys = await stocked(shop, 12)
    done = asyncio.Event()

    async def move() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await shop.put(f"turn {number}", keys[number % len(keys)])
            if number % 5 == 0:
                await shop.remove(await shop.put("short-lived"))

    moving = asyncio.create_task(move())
    try:
        outcomes = [await reconciled(shop, Wish(level=2, patience=30.0)) for _ in range(5)]
    finally:
        done.set()
        await moving

    assert [(one.state, one.found.kinds) for one in outcomes] == [("agreed", {})] * 5


async def test_what_an_application_has_only_not_applied_yet_is_unknown_and_not_different(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    worker, _ = shop.running[-1]
    await shop.stop(worker)
    await shop.put("while nobody works", key)

    outcome = await reconciled(shop, Wish(patience=0.5))

    assert (outcome.state, outcome.found.kinds) == ("unknown", {"stale": 1})
    assert "not applied yet" in outcome.reason
    assert (await agreement(shop))["state"] == "unknown"


async def test_an_orphan_that_comes_back_while_it_is_to_be_removed_stays(shop: Shop) -> None:
    """The source is asked before anything is removed, and after every writer that was at work has ended."""
    (key,) = await stocked(shop, 1)
    await without_triggers(shop, f"DELETE FROM goods WHERE good_id = '{key}'")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_snapshot_xmin%' AND query LIKE '%ended%'"
    )
    async with shop.source.transaction() as tx:
        await tx.execute(
            "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, 'back')", key, shop.tenant
        )
        fixing = asyncio.create_task(reconciled(shop, FIX))
        await until(lambda: shop.source.fetchval(f"{waiting} AND pid <> pg_backend_pid()"))
        assert not fixing.done()
    outcome = await fixing

    assert (outcome.found.kinds, outcome.removed) == ({"orphan": 1}, 0)
    assert list(await shop.goods()) == [key]
    assert (await reconciled(shop, FIX)).state == "agreed"
    assert await shop.goods() == {key: "back"}


async def test_a_repair_beside_live_writes_makes_nothing_stale_and_brings_nothing_back(shop: Shop) -> None:
    keys = await stocked(shop, 15)
    done = asyncio.Event()

    async def move() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await shop.put(f"turn {number}", keys[number % 10])
            if number % 7 == 0 and number < 35:
                await shop.remove(keys[10 + number // 7])

    moving = asyncio.create_task(move())
    try:
        for _ in range(4):
            await shop.sink.execute("DELETE FROM goods WHERE random() < 0.5")
            await reconciled(shop, FIX)
    finally:
        done.set()
        await moving

    async def same() -> bool:
        return await shop.goods() == await names_in_source(shop)

    await until(same, within=30.0)
    assert (await reconciled(shop, Wish(level=2))).state == "agreed"


async def test_a_collected_tombstone_is_no_difference(shop: Shop) -> None:
    keys = await stocked(shop, 2)
    await shop.remove(keys[0])

    async def removed() -> bool:
        return len(await shop.goods()) == 1

    await until(removed)
    assert (await reconciled(shop)).state == "agreed"
    await shop.sink.execute("DELETE FROM headwater.ledger WHERE deleted")

    assert (await reconciled(shop)).state == "agreed"


async def test_a_row_beside_its_tombstone_is_an_orphan(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    await shop.remove(key)

    async def removed() -> bool:
        return not await shop.goods()

    await until(removed)
    await shop.sink.execute("INSERT INTO goods VALUES ($1, $2, 'a ghost', 1)", shop.tenant, key)

    outcome = await reconciled(shop, FIX)

    assert (outcome.found.keys, outcome.removed, outcome.state) == ({"orphan": [key]}, 1, "agreed")
    assert await shop.goods() == {}


async def test_only_what_can_be_compared_is(shop: Shop) -> None:
    reconciler = Reconciler(shop.history())
    with pytest.raises(HeadwaterError, match="not enabled"):
        await reconciler.reconcile(shop.tenant, "shelf", Wish())
    await shop.enable()
    with pytest.raises(HeadwaterError, match="not known here"):
        await reconciler.reconcile(shop.tenant, "till", Wish())
    with pytest.raises(HeadwaterError, match="sales"):
        await reconciler.reconcile(shop.tenant, "shelf", Wish(subjects=("sales",)))
    async with shop.source.transaction() as tx:
        await shop.history().start(tx, shop.tenant, "shelf", {}, {"asked_by": "test", "reason": "test"})
    with pytest.raises(JobRefused):
        await reconciler.reconcile(shop.tenant, "shelf", Wish())


async def test_a_loss_that_is_signalled_while_a_comparison_runs_leaves_its_result_unknown(shop: Shop) -> None:
    await stocked(shop, 1)
    await reconciled(shop)
    await shop.source.execute("UPDATE headwater.agreement SET state = 'unknown', gap = gap + 1")

    await reconciled(shop)

    assert (await agreement(shop))["state"] == "unknown"


async def test_keys_that_are_ahead_are_led_back_as_the_page_says(shop: Shop) -> None:
    key, gone = await stocked(shop, 2)
    await shop.put("known to the application alone", key)
    names = await names_in_source(shop)

    async def arrived() -> bool:
        return await shop.goods() == names

    await until(arrived)
    old = "UPDATE goods SET name = 'as it was', headwater_version = 1 WHERE good_id = "
    await without_triggers(shop, f"{old} '{key}'; DELETE FROM goods WHERE good_id = '{gone}'")
    assert (await reconciled(shop)).found.keys == {"ahead": [key], "orphan": [gone]}

    await shop.source.execute("UPDATE headwater.meta SET epoch = epoch + 1")
    await shop.source.execute(
        "UPDATE goods SET headwater_version = headwater.next_version() WHERE tenant_id = $1", shop.tenant
    )
    outcome = await reconciled(shop, FIX)
    await shop.source.execute("UPDATE headwater.meta SET epoch = epoch - 1")

    assert (outcome.found.keys, outcome.state) == ({"stale": [key], "orphan": [gone]}, "agreed")
    assert await shop.goods() == {key: "as it was"}


async def test_content_known_to_differ_is_not_forgotten_by_a_comparison_of_keys(shop: Shop) -> None:
    key, *_ = await stocked(shop, 5)
    await edit(shop, key)
    assert (await reconciled(shop, Wish(level=2, patience=30.0))).state == "differing"

    await reconciled(shop)
    kept = await agreement(shop)
    status = await shop.history().status(shop.tenant, "shelf")

    assert (kept["state"], kept["reason"], kept["kinds"]) == ("differing", "1 corrupt", {"corrupt": 1})
    assert (status.state, status.needed) == ("differs", True)
    assert "--level 2 --fix" in status.reason
    assert (await agreement(shop))["kinds"] == {"corrupt": 1}
    await lose_row(shop, key)
    await reconciled(shop)
    kept = await agreement(shop)
    assert (kept["reason"], kept["kinds"]) == ("1 missing, 1 corrupt", {"missing": 1, "corrupt": 1})
    assert (await reconciled(shop, FIX)).state == "agreed"
    assert (await agreement(shop))["kinds"] == {}
    assert (await shop.history().status(shop.tenant, "shelf")).state == "clean"


async def test_a_tenant_is_the_same_however_its_id_is_spelled(shop: Shop) -> None:
    await stocked(shop, 3)
    reconciler = Reconciler(shop.history())

    for spelling in (shop.tenant.upper(), f"{{{shop.tenant}}}", shop.tenant.replace("-", "")):
        report = await reconciler.reconcile(spelling, "shelf", FIX)
        assert (report.tenant, report.agreed) == (shop.tenant, True)
    assert [row["tenant"] for row in await reconciler.known()] == [shop.tenant]


async def test_a_transaction_that_stays_open_at_the_source_removes_nothing_and_holds_nobody_up(
    shop: Shop,
) -> None:
    await stocked(shop, 1)
    await without_triggers(shop, "DELETE FROM goods")
    async with shop.source.transaction() as tx:
        await tx.execute("SELECT pg_current_xact_id()")
        outcome = await reconciled(shop, Wish(fix=True, patience=0.3))
        assert (outcome.state, outcome.removed) == ("differing", 0)
        assert outcome.left is not None
        assert outcome.left.kinds == {"orphan": 1}

    assert (await reconciled(shop, FIX)).state == "agreed"
    assert await shop.goods() == {}
