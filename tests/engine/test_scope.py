"""What is outside an application's scope never stays in it, whoever says it and in whatever order."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from headwater.publish import DirectProducer, Outgoing
from headwater.replay import Jobs, scopes
from headwater.testing import controls, until
from headwater.testing.controls import GoodChanged
from tests.engine.again import again, moved
from tests.engine.conftest import Shop
from tests.engine.entries import settled
from tests.engine.test_backfill import asked, ended, runner, stocked

LIMIT = 100
SCOPED = msgspec.structs.replace(
    controls.BACKFILL,
    scope=f"{controls.SCOPE} AND price < {LIMIT}",
    holds=lambda event, app: event.price < LIMIT,
)


def scoped(shop: Shop) -> Shop:
    """The shop, whose events are asked whether they are in scope."""
    shop.outgoing = Outgoing(controls.CODEC, shop.catalogue, scopes=scopes([SCOPED]))
    return shop


async def priced(shop: Shop, good: str, price: int) -> None:
    """The good costs this now, and the producer says its row."""
    async with shop.source.transaction() as tx:
        row: Any = await tx.fetchrow(
            "UPDATE goods SET price = $2 WHERE good_id::text = $1 RETURNING *", good, price
        )
        event = GoodChanged(good_id=good, name=row["name"], price=row["price"])
        await shop.producer.publish(tx, event, tenant=shop.tenant, version=row["headwater_version"])


async def drained(shop: Shop) -> None:
    await moved(shop)
    await until(lambda: settled(shop), within=60.0)


async def history(shop: Shop) -> None:
    """A backfill of what is in scope, to its end."""
    job = await ended(shop, await asked(shop))
    assert job.state == "verified", job.error


@pytest.mark.parametrize("holding", [True, False])
async def test_a_row_that_a_live_change_takes_out_of_scope_leaves_the_application(
    shop: Shop, holding: bool
) -> None:
    if holding:
        scoped(shop)
    goods = await stocked(shop, 3)
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    shop.start(runner(shop, backfills=(SCOPED,)))
    await history(shop)
    leaving = sorted(goods)[0]

    await priced(shop, leaving, LIMIT)
    await drained(shop)

    left = {key: name for key, name in goods.items() if key != leaving}
    assert await shop.goods() == (left if holding else goods)  # False: what it is good for
    await priced(shop, leaving, LIMIT - 1)
    await drained(shop)
    assert await shop.goods() == goods


async def test_what_never_was_in_scope_never_stands_in_the_application(shop: Shop) -> None:
    scoped(shop)
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    (good,) = await stocked(shop, 1)

    await priced(shop, good, LIMIT)
    await drained(shop)

    assert await shop.goods() == {}
    versions = "SELECT deleted, version FROM headwater.ledger WHERE key = $1"
    row: Any = await shop.sink.fetchrow(versions, good)
    said = await shop.source.fetchval("SELECT headwater_version FROM goods WHERE good_id::text = $1", good)
    assert (row["deleted"], row["version"]) == (True, said)


async def test_a_scope_that_fails_costs_its_event_and_no_other(shop: Shop) -> None:
    def fails(event: GoodChanged, app: str) -> bool:
        return (event.price < LIMIT and event.name != "bad") or event.name.nothing  # type: ignore[attr-defined, no-any-return]

    shop.outgoing = Outgoing(
        controls.CODEC,
        shop.catalogue,
        scopes=scopes([msgspec.structs.replace(SCOPED, holds=fails)]),
    )
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())

    await shop.put("bad")
    good = await shop.put("good")

    await until(lambda: has(shop, {good: "good"}))
    error = await shop.source.fetchval("SELECT error FROM headwater.outbox WHERE error IS NOT NULL")
    assert "the scope of goods fails (AttributeError" in error


async def test_a_direct_producer_takes_a_row_out_as_the_relay_does(shop: Shop) -> None:
    scoped(shop)
    goods = await stocked(shop, 2)
    await shop.enable()
    shop.start(shop.worker())
    shop.start(runner(shop, backfills=(SCOPED,)))
    await history(shop)
    leaving, stays = sorted(goods)
    row: Any = await shop.source.fetchrow(
        "UPDATE goods SET price = $2 WHERE good_id::text = $1 RETURNING *", leaving, LIMIT
    )
    direct = DirectProducer(shop.outgoing, shop.broker, enabled=everyone, source="shop")
    event = GoodChanged(good_id=leaving, name=row["name"], price=row["price"])

    said = await direct.publish(event, tenant=shop.tenant, version=row["headwater_version"])

    assert said.outcome == "ok"
    await until(lambda: has(shop, {stays: goods[stays]}))


async def test_what_is_said_again_from_the_outbox_is_asked_again(shop: Shop) -> None:
    scoped(shop)
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    good = await shop.put("good")
    await priced(shop, good, LIMIT)
    await drained(shop)

    run = await again(shop)

    await drained(shop)
    assert (run.progress.entries, await shop.goods()) == (2, {})


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_rows_that_move_in_and_out_beside_a_backfill_end_where_the_source_has_them(
    shop: Shop, seed: int
) -> None:
    scoped(shop)
    chance = Random(seed)
    goods = sorted(await stocked(shop, 30))
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    shop.start(runner(shop, backfills=(SCOPED,), chunk=5, window=5))
    job = await asked(shop)
    for _ in range(120):
        await priced(shop, chance.choice(goods), chance.choice([LIMIT - 1, LIMIT]))
    done = await ended(shop, job)
    await drained(shop)

    rows = await shop.source.fetch(f"SELECT good_id::text, name FROM goods WHERE price < {LIMIT}")
    inside = {row["good_id"]: row["name"] for row in rows}
    assert 0 < len(inside) < len(goods)
    assert await shop.goods() == inside
    assert done.state == "verified"
    await history(shop)
    last = (await Jobs(shop.source).listed(shop.tenant, "shelf", limit=1))[0]
    notes = [one["what"] for one in await Jobs(shop.source).events(last.id)]
    assert "repair" not in notes


async def everyone(tenants: Any) -> dict[str, set[str]]:
    return {one: {"shelf"} for one in tenants}


async def has(shop: Shop, goods: dict[str, str]) -> bool:
    return await shop.goods() == goods
