"""Comparisons that come by themselves: after losses, with a repair, and on a schedule; in one process."""

from __future__ import annotations

import uuid
from typing import Any

from headwater.replay.reconcile import Reconciler
from headwater.replay.rounds import Plan, Rounds
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.test_compare import stocked
from tests.engine.test_reconcile import agreement, names_in_source, reconciled

QUICK = {"every": 0.0, "look": 0.1}


def rounds(shop: Shop, **plan: Any) -> Rounds:
    return Rounds(Reconciler(shop.history()), Plan(**{**QUICK, **plan}))


async def leading(shop: Shop, **plan: Any) -> Rounds:
    """One that has made its first look."""
    made: Rounds = shop.start(rounds(shop, **plan))

    async def looked() -> bool:
        return bool(await shop.source.fetchval("SELECT count(*) FROM headwater.loss_signal"))

    await until(looked, within=30.0)
    return made


async def lost(shop: Shop) -> None:
    """A worker has recorded that an entry is gone; a row is missing."""
    await shop.sink.execute("DELETE FROM goods WHERE good_id = (SELECT good_id FROM goods LIMIT 1)")
    await shop.sink.execute(
        "INSERT INTO headwater.gap (app, stream, kind) VALUES ('shelf', $1, 'trimmed_unread')",
        shop.key("shelf:goods"),
    )


async def is_(shop: Shop, state: str) -> bool:
    rows = await Reconciler(shop.history()).known(shop.tenant, "shelf")
    return bool(rows) and {row["state"] for row in rows} == {state}


async def notes(shop: Shop) -> list[str]:
    return [one["what"] for one in await Reconciler(shop.history()).notes(shop.tenant, "shelf")]


async def test_what_redis_lost_is_repaired_without_anybody_asking_and_the_gap_is_closed(shop: Shop) -> None:
    await stocked(shop, 5)
    await reconciled(shop)
    await leading(shop)
    (relay, _), (worker, _) = shop.running[:2]
    await shop.stop(worker)
    await shop.put("lost on its way")

    async def moved() -> bool:
        waiting = "SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL"
        return not await shop.source.fetchval(waiting)

    await until(moved, within=30.0)
    await shop.stop(relay)  # it could bring the entry back by itself
    await shop.broker.execute("DEL", *shop.catalogue.keys_of("shelf"))
    shop.start(shop.worker(name="w2"))

    async def repaired() -> bool:
        return await shop.goods() == await names_in_source(shop) and await is_(shop, "agreed")

    await until(repaired, within=60.0)
    assert (await notes(shop))[:2] == ["repaired", "unknown"]

    async def closed() -> bool:
        query = "SELECT count(*) FROM headwater.gap WHERE stream = $1 AND state <> 'closed'"
        return not await shop.sink.fetchval(query, shop.key("shelf:goods"))

    await until(closed, within=30.0)


async def test_a_tenant_that_was_never_compared_is_repaired_after_a_loss_too(shop: Shop) -> None:
    await stocked(shop, 3)
    await leading(shop)
    await lost(shop)

    async def repaired() -> bool:
        return await shop.goods() == await names_in_source(shop)

    await until(repaired, within=60.0)

    async def closed() -> bool:
        query = "SELECT count(*) FROM headwater.gap WHERE state = 'closed' AND repair = 'comparison'"
        return bool(await shop.sink.fetchval(query))

    await until(closed, within=30.0)


async def test_a_loss_is_only_compared_where_that_is_configured(shop: Shop) -> None:
    await stocked(shop, 3)
    await leading(shop, losses="compare")
    await lost(shop)

    await until(lambda: is_(shop, "differing"), within=60.0)

    assert len(await shop.goods()) == 2
    assert (await notes(shop))[:2] == ["compared", "unknown"]


async def test_a_repair_by_itself_is_bounded_and_is_not_tried_for_ever(shop: Shop) -> None:
    await stocked(shop, 4)
    await leading(shop, most=1)
    await shop.sink.execute("DELETE FROM goods WHERE good_id <> (SELECT good_id FROM goods LIMIT 1)")
    await lost(shop)

    await until(lambda: is_(shop, "differing"), within=60.0)
    before = await agreement(shop)
    await shop.source.execute("DELETE FROM headwater.loss_signal")
    await shop.sink.execute("UPDATE headwater.gap SET state = 'closed'")

    async def looked() -> bool:
        return bool(await shop.source.fetchval("SELECT count(*) FROM headwater.loss_signal"))

    await until(looked, within=30.0)
    assert await agreement(shop) == before
    assert len(await shop.goods()) == 1


async def test_a_raised_epoch_makes_everything_unknown_until_it_is_compared(shop: Shop) -> None:
    await stocked(shop, 2)
    await reconciled(shop)
    await leading(shop)
    old = (await agreement(shop))["epoch"]
    await shop.source.execute("UPDATE headwater.meta SET epoch = epoch + 1")

    async def compared_anew() -> bool:
        found = await agreement(shop)
        return (found["state"], found["epoch"]) == ("agreed", old + 1)

    try:
        await until(compared_anew, within=60.0)
    finally:
        await shop.source.execute("UPDATE headwater.meta SET epoch = epoch - 1")
    said = await Reconciler(shop.history()).notes(shop.tenant, "shelf")
    assert "the source's epoch changed" in [one["detail"] for one in said]


async def test_one_process_compares_and_another_takes_over_when_it_ends(shop: Shop) -> None:
    one = await leading(shop)
    other = shop.start(rounds(shop))
    assert (one.leading, other.leading) == (True, False)

    await shop.stop(one)

    await until(lambda: other.leading, within=30.0)
    assert not one.leading


async def test_what_was_not_compared_for_long_is_compared_again_by_itself(shop: Shop) -> None:
    await stocked(shop, 2)
    shop.start(rounds(shop, every=0.5, losses="ignore"))

    await until(lambda: is_(shop, "agreed"), within=60.0)
    first = (await agreement(shop))["checked_at"]

    async def again() -> bool:
        return bool((await agreement(shop))["checked_at"] > first)

    await until(again, within=60.0)


async def test_a_tenant_without_the_application_is_not_compared(shop: Shop) -> None:
    await stocked(shop, 1)
    ours = shop.tenant
    await shop.source.execute("DELETE FROM enabled")
    shop.tenant = str(uuid.uuid4())
    await shop.enable()
    await shop.put("theirs")
    await until(shop.goods, within=30.0)

    assert await rounds(shop).tenants("shelf") == [shop.tenant] != [ours]


async def test_a_backfill_that_proved_agreement_is_remembered_as_one(shop: Shop) -> None:
    await stocked(shop, 1)

    assert (await shop.history().status(shop.tenant, "shelf")).state == "clean"

    assert (await agreement(shop))["state"] == "agreed"
