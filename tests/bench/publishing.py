"""How fast events are said: directly, through the outbox, and from the outbox to their stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from headwater.event import Fields
from headwater.testing import until
from tests.bench import limits
from tests.bench.report import Figure
from tests.bench.sizes import Sizes
from tests.bench.world import World

TOGETHER = 50
MANY = 500
BUNDLE = 100
RAW = "raw socket, XADD of the same bytes"


async def timed(work: Callable[[], Awaitable[object]], count: int) -> float:
    """Things a second."""
    begun = time.perf_counter()
    await work()
    return count / (time.perf_counter() - begun)


def entries(world: World, count: int) -> list[Fields]:
    """The entries of some events."""
    said = (world.good(number, number).envelope("bench") for number in range(count))
    return [fields for one in said for _, fields in world.outgoing.entries(one, {"shelf"})]


async def direct(world: World, sizes: Sizes) -> list[Figure]:
    """Direct publishing in three ways."""
    raw = entries(world, min(sizes.together, 50_000))
    one_by_one = limits.appends(world, raw[: sizes.awaited], 1)
    piped = limits.appends(world, raw, 1000)
    producer = world.direct()
    goods = [world.good(number, number) for number in range(max(sizes.awaited, sizes.together))]

    async def awaited() -> None:
        for said in goods[: sizes.awaited]:
            await producer.publish(said.event, tenant=said.tenant, version=said.version)

    async def together() -> None:
        waiting = iter(goods[: sizes.together])

        async def lane() -> None:
            for said in waiting:
                await producer.publish(said.event, tenant=said.tenant, version=said.version)

        await asyncio.gather(*(lane() for _ in range(TOGETHER)))

    async def many() -> None:
        for at in range(0, sizes.together, MANY):
            await producer.publish_many(goods[at : at + MANY])

    found = [
        Figure(
            name="publish direct, each awaited",
            value=await timed(awaited, sizes.awaited),
            limit=one_by_one,
            against=f"{RAW}, one by one",
        ),
        Figure(
            name=f"publish direct, {TOGETHER} under way",
            value=await timed(together, sizes.together),
            limit=piped,
            against=f"{RAW}, pipelines of 1000",
        ),
        Figure(
            name=f"publish direct, publish_many of {MANY}",
            value=await timed(many, sizes.together),
            limit=piped,
            against=f"{RAW}, pipelines of 1000",
        ),
    ]
    await producer.close()
    await world.empty()
    return found


async def outbox(world: World, sizes: Sizes) -> list[Figure]:
    """Publishing in the caller's transaction."""

    async def each() -> None:
        for number in range(sizes.transactions):
            await one(number)

    async def one(number: int) -> None:
        said = world.good(number, number)
        async with world.source.transaction() as tx:
            await world.producer.publish(tx, said.event, tenant=said.tenant, version=said.version)

    async def together() -> None:
        waiting: Iterator[int] = iter(range(sizes.transactions))

        async def lane() -> None:
            for number in waiting:
                await one(number)

        await asyncio.gather(*(lane() for _ in range(10)))

    async def many() -> None:
        for at in range(0, sizes.transactions * 10, BUNDLE):
            async with world.source.transaction() as tx:
                await world.producer.publish_many(tx, [world.good(at + n, at + n) for n in range(BUNDLE)])

    found = [
        Figure(name="publish outbox, one a transaction", value=await timed(each, sizes.transactions)),
        Figure(
            name="publish outbox, one a transaction, 10 connections",
            value=await timed(together, sizes.transactions),
        ),
        Figure(
            name=f"publish outbox, publish_many of {BUNDLE}", value=await timed(many, sizes.transactions * 10)
        ),
    ]
    await world.empty()
    return found


async def relayed(world: World, sizes: Sizes) -> list[Figure]:
    """One relay process with a full outbox."""
    piped = limits.appends(world, entries(world, min(sizes.relayed, 20_000)), 1000)
    await world.enable()
    for at in range(0, sizes.relayed, MANY):
        async with world.source.transaction() as tx:
            await world.producer.publish_many(tx, [world.good(at + n, at + n) for n in range(MANY)])
    await world.source.execute("ANALYZE headwater.outbox")

    async def length() -> int:
        return int(await world.broker.execute("XLEN", world.key))

    count = -(-sizes.relayed // MANY) * MANY
    async with world.process("relay") as process:
        await until(length, within=30.0, every=0.005)
        first, begun = await length(), time.perf_counter()

        async def moved() -> bool:
            return await length() >= count

        await until(moved, within=600.0, every=0.01)
        rate = (count - first) / (time.perf_counter() - begun)
        usage = await process.now()
    await world.empty()
    note = f"{usage.cpu / count * 1e6:.1f} µs of its CPU a row"
    return [
        Figure(
            name="relay, one process",
            value=rate,
            unit="rows/s",
            limit=piped,
            against=f"{RAW}, pipelines of 1000",
            note=note,
        )
    ]
