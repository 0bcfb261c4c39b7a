"""Every rule weaker than the real one is caught by the checker that finds the real one right."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import asyncpg
import pytest

from headwater.delivery.mirror import compile_mirror
from headwater.event import Event
from headwater.publish import Said
from headwater.testing import controls, until
from tests.engine.conftest import Shop
from tests.failure.convergence_rules import REAL, WEAKER, Recorder, delivered, replay
from tests.failure.convergence_seed import seed
from tests.failure.histories import APP, Step, Wrapper, disagreement, histories, interleaved

__all__ = ["seed"]  # a fixture

HISTORIES = 24


async def test_each_weaker_rule_diverges_on_the_deliveries_on_which_the_real_one_converges(
    shop: Shop, seed: int
) -> None:
    chance = Random(seed)
    wrapper = Wrapper(shop.source, shop.producer, shop.history())
    steps = interleaved(chance, histories(chance, HISTORIES))
    batches = delivered(chance, await Recorder(shop, wrapper, chance).record(steps))

    diverged = {}
    for rule in (REAL, *WEAKER):
        await replay(shop, rule, batches)
        found = await disagreement(shop.source, shop.sink)
        diverged[rule.name] = found.rows or (rule is REAL and bool(found))

    assert diverged == {REAL.name: False, **{rule.name: True for rule in WEAKER}}


@pytest.mark.parametrize(("cache", "agree"), [(1, True), (50, False)])
async def test_versions_of_a_sequence_that_sessions_cache_lose_the_later_change(
    shop: Shop, cache: int, agree: bool
) -> None:
    await shop.source.execute(f"ALTER SEQUENCE headwater.version_seq CACHE {cache}")
    wrapper = Wrapper(shop.source, shop.producer, shop.history())
    good = "7d0c2c0e-98a5-4f0a-9d0b-0a4b1d7c5f11"
    await shop.enable()
    one, other = [await asyncpg.connect(shop.source.url) for _ in range(2)]
    for session, name in ((one, "first"), (other, "second"), (one, "third")):
        async with session.transaction():
            await wrapper.within(session, Step(shop.tenant, "put", good, name))
    await asyncio.gather(one.close(), other.close())

    shop.start(shop.relay())
    worker = shop.start(shop.worker())

    await until(lambda: worker.statistics()["acknowledged"] == 3)
    assert bool(await disagreement(shop.source, shop.sink)) is not agree


async def test_a_removal_that_waited_for_an_uncommitted_insert_removes_its_row(shop: Shop) -> None:
    good = "7d0c2c0e-98a5-4f0a-9d0b-0a4b1d7c5f11"
    one, other = [await asyncpg.connect(shop.sink.url) for _ in range(2)]
    mirror = await compile_mirror(one, controls.shelf().mirrors["goods"])

    async def apply(session: Any, event: Event, version: int) -> int:
        envelope = Said(event, shop.tenant, version).envelope("shop")
        return await mirror.apply(session, APP, 1, [envelope])

    first, second = one.transaction(), other.transaction()
    await first.start()
    await second.start()
    await apply(one, controls.GoodChanged(good_id=good, name="tea"), 9)
    removing = asyncio.create_task(apply(other, controls.GoodRemoved(good_id=good), 10))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = $1"
    await until(lambda: shop.sink.fetchval(waiting, other.get_server_pid()))
    await first.commit()

    assert await removing == 1
    await second.commit()
    assert await shop.goods() == {}
    await asyncio.gather(one.close(), other.close())
