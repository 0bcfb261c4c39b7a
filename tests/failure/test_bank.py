"""Money that is moved between accounts: their sum is the same in the source and in the application."""

from __future__ import annotations

import asyncio
import signal
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from headwater.testing import until
from headwater.testing.controls import GoodChanged
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS
from tests.engine.test_backfill import asked, ended, said
from tests.failure.children import Children

ACCOUNTS, BALANCE = 16, 100
Balances = dict[str, Decimal]


async def opened(shop: Shop) -> list[str]:
    """Accounts with a balance each; their ids in order."""
    rows = await shop.source.fetch(
        "INSERT INTO goods (good_id, tenant_id, name, price) "
        "SELECT gen_random_uuid(), $1, 'account', $3 FROM generate_series(1, $2) "
        "RETURNING good_id::text AS key",
        *(shop.tenant, ACCOUNTS, BALANCE),
    )
    return sorted(row["key"] for row in rows)


async def transfer(shop: Shop, giver: str, taker: str, amount: int) -> None:
    """Move money and say so, in one transaction."""
    async with shop.source.transaction() as tx:
        for account, change in sorted([(giver, -amount), (taker, amount)]):
            row = await tx.fetchrow(
                "UPDATE goods SET price = price + $2 WHERE good_id = $1 RETURNING *", account, change
            )
            assert row is not None
            event = GoodChanged(good_id=account, name=row["name"], price=row["price"])
            await shop.producer.publish(tx, event, tenant=shop.tenant, version=row["headwater_version"])


async def balances(database: Any, tenant: str) -> Balances:
    rows = await database.fetch("SELECT good_id::text AS key, price FROM goods WHERE tenant_id = $1", tenant)
    return {row["key"]: row["price"] for row in rows}


async def both_agree(shop: Shop) -> bool:
    source = await balances(shop.source, shop.tenant)
    return source == await balances(shop.sink, shop.tenant) and len(source) == ACCOUNTS


@pytest.mark.parametrize("storm", [1, 2])
async def test_enabled_in_the_middle_of_transfers_and_killed_at_random_no_money_is_made_or_lost(
    shop: Shop, children: Children, storm: int
) -> None:
    chance = Random(storm)
    accounts, going, moves = await opened(shop), True, 0
    children.settings = {"SHOP_LEASE": "0.8"}

    async def teller() -> None:
        nonlocal moves
        while going:
            giver, taker = chance.sample(accounts, 2)
            await transfer(shop, giver, taker, chance.randint(1, 20))
            moves += 1

    tellers = [asyncio.create_task(teller()) for _ in range(2)]
    shop.start(shop.relay())
    await until(lambda: moves > 20)
    await shop.enable()
    running = {role: await children.start(role, name=f"{role}-0") for role in ("worker", "runner")}
    job = await asked(shop)
    for number in range(1, 5):
        before = moves
        await until(lambda before=before: moves > before + chance.randint(5, 40))
        role = chance.choice(sorted(running))
        running[role].kill()
        await running[role].wait()
        running[role] = await children.start(role, name=f"{role}-{number}")
    done = await ended(shop, job)
    going = False
    await asyncio.gather(*tellers)

    await until(lambda: both_agree(shop), within=60.0)
    assert done.state == "verified"
    assert sum((await balances(shop.sink, shop.tenant)).values()) == ACCOUNTS * BALANCE


async def test_history_read_before_a_transfer_and_said_after_it_makes_money_only_without_the_gate(
    shop: Shop, children: Children
) -> None:
    accounts = await opened(shop)
    shop.start(shop.relay())
    shop.start(shop.worker())
    await shop.enable()
    job = await asked(shop)
    runner = await children.start("runner", "backfill.appending:stop")
    await until(lambda: runner.stopped)  # with its first page in hand
    for rich in accounts[-5:]:
        await transfer(shop, accounts[0], rich, 10)
    await until(lambda: is_said(shop, 10))
    runner.send_signal(signal.SIGCONT)

    assert (await ended(shop, job)).state == "verified"
    assert await both_agree(shop)
    ungated = await applied_in_order(shop)
    assert set(ungated) == set(accounts)
    assert sum(ungated.values()) == ACCOUNTS * BALANCE + 50
    assert sum((await balances(shop.sink, shop.tenant)).values()) == ACCOUNTS * BALANCE


async def applied_in_order(shop: Shop) -> Balances:
    """What an application would hold that takes every entry as it comes: the gate removed."""
    entries = await shop.broker.range(shop.key(GOODS), count=1000)
    events = [shop.outgoing.codec.decode(one.fields or {}).event for one in entries]
    return {event.good_id: event.price for event in events if isinstance(event, GoodChanged)}


async def is_said(shop: Shop, count: int) -> bool:
    return await said(shop) == count
