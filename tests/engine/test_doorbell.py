"""A relay is woken by commits while little happens, and looks by itself while much does."""

from __future__ import annotations

import asyncio
from typing import Any

from headwater.database import Tx
from headwater.publish import Said
from headwater.publish.doorbell import BUSY, Doorbell
from headwater.testing import until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop

NEVER = 600.0
"""Seconds between looks that nobody asked for: longer than any test."""


async def listening(shop: Shop) -> bool:
    return bool(await shop.source.fetchval("SELECT listening FROM headwater.relay"))


async def silent(shop: Shop) -> bool:
    return not await listening(shop)


async def say_many(shop: Shop) -> None:
    said = [Said(GoodSold(sale_id=f"m{n}", good_id="g", amount=1), shop.tenant) for n in range(BUSY)]
    async with shop.source.transaction() as tx:
        await shop.producer.publish_many(tx, said)


async def there(shop: Shop, name: str) -> bool:
    entries = await shop.broker.range(shop.key("sales"), count=10_000)
    return name.encode() in {(entry.fields or {})[b"key"] for entry in entries}


async def say(shop: Shop, tx: Tx, name: str) -> None:
    await shop.producer.publish(tx, GoodSold(sale_id=name, good_id="g", amount=1), tenant=shop.tenant)


async def leading(shop: Shop, **options: Any) -> Any:
    relay = shop.start(shop.relay(), **options)
    await until(lambda: relay.leading)
    return relay


async def test_commits_are_silent_while_a_relay_has_much_to_do_and_wake_it_afterwards(shop: Shop) -> None:
    await leading(shop, poll=NEVER)
    assert await listening(shop)

    await say_many(shop)
    await until(lambda: silent(shop), every=0.005)
    await until(lambda: listening(shop))
    await shop.sell("afterwards")

    assert await until(lambda: there(shop, "afterwards"))


async def test_what_was_said_in_silence_and_committed_after_it_is_not_left_lying(shop: Shop) -> None:
    """Its commit rings no bell, and the relay has lain down in between: it looks until that has ended."""
    relay = await leading(shop, poll=NEVER)
    await say_many(shop)
    await until(lambda: silent(shop), every=0.005)
    async with shop.source.transaction() as slow:
        await say(shop, slow, "late")
        in_silence = not await slow.fetchval("SELECT listening FROM headwater.relay")
        await until(lambda: listening(shop))
        await shop.sell("early")
        await until(lambda: there(shop, "early"))
        looking = relay._doorbell.looking

    assert in_silence
    assert looking
    assert await until(lambda: there(shop, "late"))
    assert await until(lambda: not relay._doorbell.looking)


async def test_a_new_leader_wants_to_be_woken_whatever_the_last_one_said(shop: Shop) -> None:
    await shop.source.execute("UPDATE headwater.relay SET listening = false")

    await leading(shop, poll=NEVER)

    assert await listening(shop)


async def test_one_that_leads_no_more_silences_nobody(shop: Shop) -> None:
    epoch = await shop.source.fetchval("SELECT epoch FROM headwater.relay")
    async with shop.source.connection() as connection:
        zombie, leader = Doorbell(connection, epoch - 1), Doorbell(connection, epoch)
        await zombie.wait(BUSY, 0.001)
        after_the_zombie = await listening(shop)
        await leader.wait(BUSY, 0.001)

    assert zombie.looking
    assert after_the_zombie
    assert await silent(shop)


async def test_commits_are_silent_once_transactions_of_one_row_come_often(shop: Shop) -> None:
    relay = await leading(shop, poll=NEVER)
    said = 0

    async def some_more() -> bool:
        nonlocal said
        said += BUSY // 2
        await asyncio.gather(*(shop.sell(f"one-{n}") for n in range(said - BUSY // 2, said)))
        return await silent(shop)

    await until(some_more, every=0.001)

    last = f"one-{said - 1}"
    assert await until(lambda: there(shop, last))
    assert await until(lambda: not relay._doorbell.looking)
