"""What people do to a running system, at random and all at once, loses nothing and does nothing twice.

While goods change and sales are made: streams are trimmed, the group is sent back, the outbox is said again,
source and application are reconciled, a backfill is asked for, paused and resumed, the databases are
swept, and the worker is stopped in the middle of it. Every refusal must be one that people are told of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from headwater.broker import EntryId
from headwater.delivery import Worker, rewinding
from headwater.errors import HeadwaterError, JobRefused
from headwater.replay import Job, Jobs
from headwater.replay.reconcile import Reconciler, Wish
from headwater.retention import Keep, Leases, trim
from headwater.testing import until
from tests.engine.again import again, moved
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, SALES
from tests.engine.test_backfill import asked, ended
from tests.engine.test_collecting import collected, ground

GOODS_AT_MOST, ROUNDS = 40, 60
LONG = Leases(3600.0, 3600.0)


class Tending:
    """People, and the shop that they do things to."""

    def __init__(self, shop: Shop, chance: Random) -> None:
        self._shop = shop
        self._chance = chance
        self._reconciler = Reconciler(shop.history())
        self._jobs = Jobs(shop.source)
        self._job: Job | None = None
        self._worker: Worker = shop.start(shop.worker())
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.trimmed = 0

    async def once(self) -> None:
        """One thing that somebody does."""
        does: Callable[[], Awaitable[None]] = self._chance.choice(
            [
                *(self.trim, self.rewind, self.say_again, self.reconcile, self.begin_job),
                *(self.steer_job, self.sweep, self.change_worker),
            ]
        )
        try:
            await does()
        except (HeadwaterError, JobRefused) as error:
            self.refused[f"{does.__name__}: {type(error).__name__}"] += 1
        else:
            self.done[does.__name__] += 1

    async def trim(self) -> None:
        keep = Keep(seconds=None, entries=self._chance.randint(0, 30))
        keeps = dict.fromkeys(self._shop.catalogue.streams, keep)
        found = await trim(ground(self._shop), keeps, LONG)
        assert not any(one.lost for one in found.streams)
        self.trimmed += sum(one.removed for one in found.streams)

    async def rewind(self) -> None:
        stream = self._shop.key(self._chance.choice([GOODS, SALES]))
        goal = self._chance.choice([EntryId(0, 0), 1.0, 3600.0])
        steps = await rewinding.steps(self._shop.broker, [stream], "shelf-group", goal)
        await rewinding.rewind(self._shop.broker, "shelf-group", steps)

    async def say_again(self) -> None:
        await again(self._shop)

    async def reconcile(self) -> None:
        wish = Wish(fix=True, level=self._chance.choice([1, 2]), patience=0.5)
        await self._reconciler.reconcile(self._shop.tenant, "shelf", wish)

    async def begin_job(self) -> None:
        self._job = await asked(self._shop)

    async def steer_job(self) -> None:
        found = None if self._job is None else await self._jobs.get(self._job.id)
        if found is not None and not found.finished:
            steer = self._chance.choice([self._jobs.pause, self._jobs.resume, self._jobs.resume])
            await steer(found, "tending")

    async def sweep(self) -> None:
        await collected(self._shop)

    async def change_worker(self) -> None:
        await self._shop.stop(self._worker)
        self._worker = self._shop.start(self._shop.worker(name=f"w{self._chance.randint(1, 3)}"))

    async def rest(self) -> None:
        """Nobody holds a job any more; the last one compares both sides."""
        found = None if self._job is None else await self._jobs.get(self._job.id)
        if found is not None and not found.finished:
            if found.state == "paused":
                await self._jobs.resume(found, "tending")
            await ended(self._shop, found)


async def trade(shop: Shop, chance: Random, going: Callable[[], bool]) -> tuple[dict[str, str], list[str]]:
    """Change goods and make sales until it is over; the goods as they are last, and every sale."""
    goods: dict[str, str] = {}
    sales: list[str] = []
    while going():
        number = len(sales) + len(goods)
        if goods and (len(goods) > GOODS_AT_MOST or chance.random() < 0.1):
            gone = chance.choice(sorted(goods))
            await shop.remove(gone)
            del goods[gone]
        elif goods and chance.random() < 0.6:
            good = chance.choice(sorted(goods))
            goods[good] = f"{number}-{chance.randint(0, 999)}"
            await shop.put(goods[good], good)
        else:
            goods[await shop.put("new")] = "new"
        sales.append(f"s{len(sales):06}")
        await shop.sell(sales[-1])
        await asyncio.sleep(0.005)
    return goods, sales


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_people_do_while_things_flow_nothing_is_lost_and_nothing_is_done_twice(
    shop: Shop, seed: int
) -> None:
    chance, busy = Random(seed), True
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.runner())
    people = Tending(shop, chance)
    trading = asyncio.create_task(trade(shop, Random(seed), lambda: busy))
    for _ in range(ROUNDS):
        await people.once()
    busy = False
    goods, sales = await trading
    await people.rest()
    await moved(shop)

    async def same() -> bool:
        return await shop.goods() == goods and await shop.sales() == sales

    await until(same, within=60.0)
    assert (await ended(shop, await asked(shop))).state == "verified"
    assert await same()
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.gap") == 0
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.dead_letter") == 0
    assert people.trimmed > 0
    assert set(people.done) >= {"trim", "rewind", "say_again", "begin_job", "change_worker"}, people.refused
