"""A backfill, and a comparison, whose servers really end: killed, started again, emptied."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from headwater.database.migrate import APP, SOURCE
from headwater.embedded import Servers
from headwater.errors import ServerUnavailable
from headwater.replay import Job
from headwater.replay.reconcile import Reconciler, Wish
from headwater.testing import RunningServers, controls, until
from tests.engine.conftest import Shop, Stock, opened
from tests.engine.entries import GOODS
from tests.engine.test_backfill import GROUP, asked, ended, runner, said, stocked

ROWS, PAGE = 400, 50


class Own:
    """A shop on servers of its own, to be killed."""

    def __init__(self, shop: Shop, servers: Servers) -> None:
        self.shop = shop
        self.servers = servers

    async def half_said(self) -> tuple[dict[str, str], Job]:
        """Goods, and a job that said half of them: a group that reads nothing holds it back."""
        goods = await stocked(self.shop, ROWS)
        await self.shop.broker.create_group(self.shop.key(GOODS), GROUP)
        await self.shop.broker.read(GROUP, "sleeper", [self.shop.key(GOODS)], count=1, block=0.01)
        self.shop.start(runner(self.shop, chunk=PAGE, window=ROWS // 2, lease=2.0))
        job = await asked(self.shop)

        async def half() -> bool:
            return await said(self.shop) == ROWS // 2

        await until(half)
        assert await self.shop.goods() == {}
        return goods, job

    async def postgres_dies(self) -> None:
        """Killed and started again, with what was committed."""
        await self.servers.postgres.kill()
        await self.servers.postgres.start()

    async def redis_dies(self) -> None:
        """Killed and started again, with nothing."""
        await self.servers.redis.kill()
        await self.servers.redis.start()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair() -> AsyncIterator[tuple[Servers, tuple[Stock, Stock]]]:
    """Servers that no other module uses, and databases to copy there."""
    async with contextlib.AsyncExitStack() as stack:
        servers = await stack.enter_async_context(Servers.start(durable=False))
        running = RunningServers(servers.redis_url, servers.postgres_url(), servers)
        templates = Stock(running, SOURCE, controls.SOURCE_TABLES), Stock(running, APP, controls.SINK_TABLES)
        for stock in templates:
            await stock.open(stack)
        yield servers, templates


@pytest_asyncio.fixture(loop_scope="session")
async def own(pair: tuple[Servers, tuple[Stock, Stock]]) -> AsyncIterator[Own]:
    servers, templates = pair
    async with opened(templates, servers.redis_url) as shop:
        yield Own(shop, servers)


async def test_a_redis_that_is_flushed_at_half_of_a_backfill_is_filled_again(own: Own) -> None:
    goods, job = await own.half_said()
    await own.shop.broker.execute("FLUSHALL")
    own.shop.start(own.shop.worker())

    assert (await ended(own.shop, job)).state == "verified"
    assert await own.shop.goods() == goods


async def test_a_redis_that_comes_back_empty_at_half_of_a_backfill_is_filled_again(own: Own) -> None:
    goods, job = await own.half_said()
    await own.redis_dies()
    own.shop.start(own.shop.worker())

    assert (await ended(own.shop, job)).state == "verified"
    assert await own.shop.goods() == goods


async def test_a_postgres_that_dies_at_half_of_a_backfill_costs_nothing_but_time(own: Own) -> None:
    goods, job = await own.half_said()
    own.shop.start(own.shop.worker())
    await own.postgres_dies()

    assert (await ended(own.shop, job)).state == "verified"
    assert await own.shop.goods() == goods


async def test_a_comparison_whose_postgres_dies_says_nothing_and_the_next_one_is_right(own: Own) -> None:
    shop = own.shop
    goods = await stocked(shop, ROWS)
    await shop.enable()
    shop.start(shop.worker())
    shop.start(runner(shop))
    assert (await ended(shop, await asked(shop))).state == "verified"
    await shop.sink.execute("DELETE FROM goods WHERE good_id = $1", min(goods))
    locking = await asyncpg.connect(shop.sink.url)
    await locking.execute("BEGIN; LOCK TABLE goods IN ACCESS EXCLUSIVE MODE")
    comparing = asyncio.create_task(Reconciler(shop.history()).reconcile(shop.tenant, "shelf", Wish()))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
    await until(lambda: shop.source.fetchval(waits, shop.sink.url.rpartition("/")[2]))

    await own.postgres_dies()

    with pytest.raises(ServerUnavailable):
        await comparing
    locking.terminate()
    assert [row["state"] for row in await known(shop)] == ["agreed"], "as the backfill left it"

    async def again() -> bool:
        report = await Reconciler(shop.history()).reconcile(shop.tenant, "shelf", Wish())
        return [one.state for one in report.outcomes] == ["differing"]

    await until(again)


async def known(shop: Shop) -> list[Any]:
    return await until(lambda: Reconciler(shop.history()).known(shop.tenant, "shelf"))  # type: ignore[return-value]
