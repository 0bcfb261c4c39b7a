"""A backfill and a reconciliation while a whole server stops or forgets: late at worst, and never said early.

On servers of their own, which end and begin as those of others do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from headwater.database.migrate import SOURCE
from headwater.embedded import Servers
from headwater.errors import ServerUnavailable
from headwater.replay import History
from headwater.replay.reconcile import Reconciler, Report, Wish
from headwater.testing import RunningServers, controls, until
from tests.engine.conftest import Shop, Stock, opened
from tests.engine.entries import GOODS
from tests.engine.test_backfill import GROUP, asked, became, ended, runner, said, sleeper, stocked
from tests.failure.claims import watched
from tests.failure.test_backfill_faults import is_said, nothing_unread, trail


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own() -> AsyncIterator[Servers]:
    """Servers that nobody else is on."""
    async with Servers.start(durable=False) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sources(own: Servers) -> AsyncIterator[Stock]:
    """Copies of a source database on that Postgres."""
    async with contextlib.AsyncExitStack() as stack:
        running = RunningServers(own.redis_url, own.postgres_url(), own)
        stock = Stock(running, SOURCE, controls.SOURCE_TABLES)
        await stock.open(stack)
        yield stock


@pytest_asyncio.fixture(loop_scope="session")
async def shaky(own: Servers, sources: Stock, templates: tuple[Stock, Stock]) -> AsyncIterator[Shop]:
    """A shop on that Redis, with its source on that Postgres, and the application where it always is."""
    async with opened((sources, templates[1]), own.redis_url) as world:
        yield world


def right(shop: Shop, goods: dict[str, str]) -> Callable[[], Awaitable[bool]]:
    """Whether the application has exactly these goods."""

    async def equal() -> bool:
        return await shop.goods() == goods

    return equal


async def flushed(own: Servers, shop: Shop) -> None:
    await shop.broker.execute("FLUSHALL")


async def begun_empty(own: Servers, shop: Shop) -> None:
    before = own.redis.pid
    await own.redis.kill()  # it keeps nothing
    await own.redis.start()
    assert own.redis.pid != before


@pytest.mark.parametrize("lose", [flushed, begun_empty])
async def test_a_redis_that_forgets_everything_at_half_of_a_backfill_is_filled_again(
    own: Servers, shaky: Shop, lose: Callable[[Servers, Shop], Awaitable[None]]
) -> None:
    shop = shaky
    goods = await stocked(shop, 200)
    await shop.enable()
    await sleeper(shop)
    shop.start(runner(shop, chunk=50, window=100))
    async with watched(shop, right(shop, goods)) as claims:
        job = await asked(shop)
        await until(lambda: is_said(shop, 100))

        await lose(own, shop)
        await became(shop, job, "catching_up")
        assert await said(shop) == 100  # the fault bit: the first half is nowhere
        assert await shop.goods() == {}
        shop.start(shop.worker())

        assert (await ended(shop, job)).state == "verified"
        assert await shop.goods() == goods
    assert "repair" in [what for _, what in await trail(shop, job)]
    assert (claims.early, bool(claims.agreed)) == ([], True)


async def stop_at_once(own: Servers) -> None:
    """As `pg_ctl stop -m immediate`: nothing is written, everybody is cut off."""
    os.kill(own.postgres.pid, signal.SIGQUIT)
    await own.postgres.stop()


async def awake(shop: Shop) -> None:
    """Somebody reads what the sleeper left, and no group that does nothing holds a window any more."""
    shop.start(shop.worker())
    await shop.broker.execute("XGROUP", "DELCONSUMER", shop.key(GOODS), GROUP, "sleeper")


async def answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def test_a_source_that_is_stopped_and_started_in_the_middle_of_a_backfill_costs_only_time(
    own: Servers, shaky: Shop
) -> None:
    shop = shaky
    goods = await stocked(shop, 40)
    await shop.enable()
    await sleeper(shop)
    shop.start(runner(shop, chunk=10, window=10, lease=0.8))
    async with watched(shop, right(shop, goods)) as claims:
        job = await asked(shop)
        await until(lambda: is_said(shop, 10))

        await stop_at_once(own)
        assert not await answers(shop.source.url)
        await awake(shop)
        await until(lambda: nothing_unread(shop))
        await until(lambda: claims.refused)
        assert len(await shop.goods()) < len(goods)
        await own.postgres.start()

        assert (await ended(shop, job)).state == "verified"
        assert await shop.goods() == goods
    assert (claims.early, bool(claims.agreed)) == ([], True)


async def mend(shop: Shop) -> Report:
    """Compare, and say what is missing, a few rows ahead of who reads them at most."""
    ways = msgspec.structs.replace(shop.ways(), window=10)
    reconciler = Reconciler(History(ways, controls.ENABLEMENT))
    return await reconciler.reconcile(shop.tenant, "shelf", Wish(level=2, fix=True, patience=30.0))


async def test_a_source_that_is_stopped_and_started_while_it_is_compared_is_mended_the_next_time(
    own: Servers, shaky: Shop
) -> None:
    shop = shaky
    goods = await stocked(shop, 40)
    await shop.enable()
    await sleeper(shop)
    async with watched(shop, right(shop, goods)) as claims:
        first = asyncio.create_task(mend(shop))
        await until(lambda: is_said(shop, 10))

        await stop_at_once(own)
        await awake(shop)
        with pytest.raises(ServerUnavailable):
            await first
        await until(lambda: claims.refused)
        await own.postgres.start()

        assert (await mend(shop)).agreed
        assert await shop.goods() == goods
    assert (claims.early, bool(claims.agreed)) == ([], True)
