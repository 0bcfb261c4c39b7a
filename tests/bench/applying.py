"""How fast one worker applies a backlog, beside the same statement run bare."""

from __future__ import annotations

import time
from random import Random
from statistics import median

from headwater.testing import until
from tests.bench import limits
from tests.bench.report import Figure
from tests.bench.sizes import Sizes
from tests.bench.world import GROUP, Usage, World

VERSIONS = 5
"""Versions of each thing in the backlog."""
PIECE = 5000


def order(count: int) -> list[tuple[int, int]]:
    """(good, version) of a backlog: versions of a good in order, goods mixed."""
    goods = [number for number in range(count // VERSIONS) for _ in range(VERSIONS)]
    Random(1).shuffle(goods)
    return [(good, place + 1) for place, good in enumerate(goods)]


async def fill(world: World, count: int) -> None:
    """Put the backlog on the stream."""
    producer = world.direct()
    backlog = order(count)
    for at in range(0, len(backlog), PIECE):
        said = [world.good(good, version) for good, version in backlog[at : at + PIECE]]
        await producer.publish_many(said)
    await producer.close()


async def drained(world: World) -> bool:
    """Whether the group has applied and acknowledged everything."""
    state = next(one for one in await world.broker.groups(world.key) if one.name == GROUP)
    return state.lag == 0 and state.pending == 0


async def begun(world: World) -> bool:
    """Whether the group was given its first entry."""
    state = next(one for one in await world.broker.groups(world.key) if one.name == GROUP)
    return state.last_delivered != "0-0"


async def drain(world: World, count: int) -> tuple[float, Usage]:
    """One worker process takes the backlog: events a second from its first read, and what it needed."""
    await world.empty()
    await fill(world, count)
    async with world.process("worker") as process:
        await until(lambda: begun(world), within=30.0, every=0.002)
        start = time.perf_counter()
        await until(lambda: drained(world), within=600.0, every=0.01)
        rate = count / (time.perf_counter() - start)
        usage = await process.now()
    expected = count // VERSIONS
    if await world.sink.fetchval("SELECT count(*) FROM goods") != expected:
        raise AssertionError(f"not {expected} goods were applied")
    return rate, usage


async def apply(world: World, sizes: Sizes) -> list[Figure]:
    """Rounds of limit and worker in turn; medians."""
    bare = await limits.Bare.open(world)
    events = [world.good(good, version).envelope("bench") for good, version in order(sizes.backlog)]
    gated, plain, ours, needed = [], [], [], []
    for _ in range(sizes.rounds):
        gated.append(await bare.gated(events))
        plain.append(await bare.plain(events))
        rate, usage = await drain(world, sizes.backlog)
        ours.append(rate)
        needed.append(usage)
    await world.empty()
    count = sizes.backlog
    used = f"{median(one.cpu for one in needed) / count * 1e6:.1f} µs of its CPU an event"
    size = f"peak {max(one.peak for one in needed):.0f} MiB"
    each = "; ".join(f"{one:,.0f}" for one in ours)
    return [
        Figure(
            name="applied by one worker process",
            value=median(ours),
            limit=median(gated),
            against="the runtime's own statement, bare, 1,000 rows, 2 connections",
            note=f"{used}; {size}; rounds {each}",
        ),
        Figure(
            name="applied by one worker process",
            value=median(ours),
            limit=median(plain),
            against="plain upsert, bare, 1,000 rows, 2 connections",
        ),
    ]
