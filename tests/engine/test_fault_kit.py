"""Every fault of the proxies does what it says to real clients of real servers, and is counted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from headwater.broker import Broker
from headwater.clock import monotonic
from headwater.database import Database
from headwater.errors import BrokerRefused, BrokerUnavailable, DatabaseUnavailable
from headwater.testing import PostgresProxy, RedisProxy, RunningServers, until
from tests.engine.conftest import Shop


class Redis:
    """A client behind a proxy, and one beside it."""

    def __init__(self, proxy: RedisProxy, broker: Broker, beside: Broker) -> None:
        self.proxy = proxy
        self.broker = broker
        self.beside = beside
        self.key = f"kit:{uuid.uuid4().hex}"

    async def push(self, *words: str) -> object:
        return await self.broker.pipeline([("RPUSH", self.key, word) for word in words])

    async def kept(self) -> list[bytes]:
        found: list[bytes] = await self.beside.execute("LRANGE", self.key, 0, -1)
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def redis(servers: RunningServers) -> AsyncIterator[Redis]:
    async with RedisProxy.before(servers.redis_url, seed=7) as proxy:
        broker, beside = Broker(proxy.url, timeout=0.5), Broker(servers.redis_url)
        world = Redis(proxy, broker, beside)
        try:
            yield world
        finally:
            await beside.execute("DEL", world.key)
            await broker.close()
            await beside.close()


async def test_without_a_fault_everything_passes_and_is_counted(redis: Redis) -> None:
    big = "x" * 300_000

    assert await redis.push("a", big, "c") == [1, 2, 3]
    assert await redis.broker.execute("LRANGE", redis.key, 0, -1) == [b"a", big.encode(), b"c"]
    assert (redis.proxy.seen["RPUSH"], redis.proxy.seen["LRANGE"], redis.proxy.bitten) == (3, 1, 0)


async def test_a_lost_reply_in_the_middle_of_a_pipeline_is_done_and_not_heard_of(redis: Redis) -> None:
    fault = redis.proxy.lose_reply("RPUSH", containing=b" b")

    with pytest.raises(BrokerUnavailable):
        await redis.push("a", "b", "c")

    assert await redis.kept() >= [b"a", b"b"]
    assert (fault.bitten, fault.armed) == (1, False)
    assert await redis.broker.execute("LLEN", redis.key) in {2, 3}


async def test_a_cut_before_a_command_keeps_it_from_the_server(redis: Redis) -> None:
    fault = redis.proxy.cut_before("rpush", skip=1, times=2)

    assert await redis.push("a") == [1]
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await redis.push("b")
    assert await redis.push("c") == [2]

    assert await redis.kept() == [b"a", b"c"]
    assert fault.bitten == 2


async def test_a_cut_after_a_command_lets_the_server_do_it_all_the_same(redis: Redis) -> None:
    redis.proxy.cut_after("RPUSH")

    with pytest.raises(BrokerUnavailable):
        await redis.push("a")

    async def done() -> bool:
        return await redis.kept() == [b"a"]

    await until(done)


async def test_an_injected_error_stands_in_its_place_among_the_answers(redis: Redis) -> None:
    fault = redis.proxy.answer_error("RPUSH", containing=b" b", error="OOM command not allowed")

    with pytest.raises(BrokerUnavailable, match="command not allowed"):
        await redis.push("a", "b", "c")

    assert await redis.kept() == [b"a", b"c"]
    assert fault.bitten == 1
    assert await redis.push("d") == [3]


async def test_a_black_hole_is_silent_until_it_is_healed(redis: Redis) -> None:
    fault = redis.proxy.black_hole("LLEN")
    began = monotonic()

    with pytest.raises(BrokerUnavailable, match="Timeout"):
        await redis.broker.execute("LLEN", redis.key)

    assert monotonic() - began >= 0.4
    assert fault.bitten == 1
    await redis.proxy.heal()
    assert await redis.broker.execute("LLEN", redis.key) == 0


async def test_delay_and_trickle_cost_time_and_nothing_else(redis: Redis) -> None:
    slow = redis.proxy.delay("RPUSH", seconds=0.1)
    drops = redis.proxy.trickle("LRANGE", every=0.001)
    began = monotonic()

    await redis.push("a", "b")
    assert await redis.broker.execute("LRANGE", redis.key, 0, -1) == [b"a", b"b"]

    assert monotonic() - began >= 0.1
    assert (slow.bitten, drops.bitten) == (1, 1)


async def test_the_same_seed_bites_the_same_requests(servers: RunningServers) -> None:
    async def bitten() -> list[bool]:
        async with RedisProxy.before(servers.redis_url, seed=11) as proxy:
            fault = proxy.answer_error("ECHO", error="ERR lots", times=None, share=0.3)
            broker = Broker(proxy.url)
            found = []
            for _ in range(40):
                before = fault.bitten
                answers = await asyncio.gather(broker.execute("ECHO", "x"), return_exceptions=True)
                found.append(fault.bitten > before)
                assert isinstance(answers[0], BrokerRefused) is found[-1]
            await broker.close()
            return found

    first = await bitten()
    assert first == await bitten()
    assert 0 < sum(first) < 40


class Sink:
    """A database behind a proxy, and beside it."""

    def __init__(self, proxy: PostgresProxy, database: Database, shop: Shop) -> None:
        self.proxy = proxy
        self.database = database
        self.shop = shop

    async def sell(self, name: str) -> None:
        async with self.database.transaction() as tx:
            await tx.execute("-- one\nINSERT INTO sales VALUES ($1, $2, 'g', 1)", name, self.shop.tenant)

    async def kept(self) -> list[str]:
        return await self.shop.sales()


@pytest_asyncio.fixture(loop_scope="session")
async def sink(shop: Shop) -> AsyncIterator[Sink]:
    async with PostgresProxy.before(shop.sink.url) as proxy:
        database = await Database.open(proxy.url, size=2)
        try:
            yield Sink(proxy, database, shop)
        finally:
            await proxy.heal()
            await database.close()


async def test_statements_pass_and_are_counted_by_their_first_word(sink: Sink) -> None:
    await sink.sell("a")
    await sink.sell("b")

    assert await sink.kept() == ["a", "b"]
    assert (sink.proxy.seen["INSERT"], sink.proxy.seen["COMMIT"], sink.proxy.bitten) == (2, 2, 0)


@pytest.mark.parametrize("kind", ["lose_reply", "cut_after"])
async def test_a_commit_that_is_cut_off_is_an_error_here_and_a_row_there(sink: Sink, kind: str) -> None:
    fault = getattr(sink.proxy, kind)("COMMIT")

    with pytest.raises(DatabaseUnavailable):
        await sink.sell("a")

    await until(sink.kept)
    assert await sink.kept() == ["a"]
    assert fault.bitten == 1
    await sink.sell("b")


async def test_a_commit_that_never_left_is_an_error_here_and_nothing_there(sink: Sink) -> None:
    sink.proxy.cut_before("COMMIT")

    with pytest.raises(DatabaseUnavailable):
        await sink.sell("a")
    await sink.sell("b")

    assert await sink.kept() == ["b"]


async def test_a_prepared_statement_is_known_by_its_text(sink: Sink) -> None:
    fault = sink.proxy.lose_reply("INSERT", containing=b"INTO sales", skip=1)

    await sink.sell("a")
    with pytest.raises(DatabaseUnavailable):
        await sink.sell("b")
    await sink.sell("c")

    assert await sink.kept() == ["a", "c"]
    assert fault.bitten == 1


async def test_a_postgres_that_is_slow_or_comes_in_bytes_answers_the_same(sink: Sink) -> None:
    slow = sink.proxy.delay("BEGIN", seconds=0.1)
    drops = sink.proxy.trickle("SELECT", times=None)
    began = monotonic()

    await sink.sell("a")
    rows = await sink.database.fetch("SELECT sale_id, repeat('x', 500) AS long FROM sales")

    assert [(row["sale_id"], len(row["long"])) for row in rows] == [("a", 500)]
    assert monotonic() - began >= 0.1
    assert (slow.bitten, drops.bitten > 0) == (1, True)


async def test_a_silent_postgres_is_given_up_by_a_client_with_a_limit(sink: Sink) -> None:
    fault = sink.proxy.black_hole("SELECT", containing=b"'asked'")
    connection = await asyncpg.connect(sink.proxy.url)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await connection.fetchval("SELECT 'asked'")

    assert fault.bitten == 1
    connection.terminate()


async def test_a_proxy_that_refuses_is_a_server_that_is_down(sink: Sink, redis: Redis) -> None:
    await sink.proxy.refuse()
    await redis.proxy.refuse()

    with pytest.raises(DatabaseUnavailable):
        await sink.sell("a")
    with pytest.raises(BrokerUnavailable):
        await redis.push("a")
    await sink.proxy.heal()
    await redis.proxy.heal()
    await sink.sell("b")
    await redis.push("b")

    assert (await sink.kept(), await redis.kept()) == (["b"], [b"b"])


async def test_a_connection_that_ends_on_its_way_back_to_the_pool_fails_nobody(sink: Sink) -> None:
    fault = sink.proxy.cut_before("SELECT", containing=b"pg_advisory_unlock_all", times=2)

    assert await sink.database.fetchval("SELECT 7") == 7
    await sink.sell("a")

    assert fault.bitten == 2
    assert await sink.kept() == ["a"]
    await sink.sell("b")
