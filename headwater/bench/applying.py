"""How fast workers apply a backlog, beside what the servers give for the same events."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from random import Random
from statistics import median
from typing import NamedTuple

from headwater.bench import limits, usage
from headwater.bench.figures import Figure, figure
from headwater.bench.handlers import VERSIONS, WAYS, Way, sale
from headwater.bench.sizes import Sizes
from headwater.bench.world import BenchFailed, Process, World
from headwater.testing import until

PIECE = 5_000
EACH_PART = 5
"""One by one is slow: this part of the events tells as much."""
PARTS = (0.1, 0.5, 0.9)
"""Of a backlog, where memory is looked at."""
STATEMENT = "the runtime's own statement, bare, 1,000 rows, 2 connections"
EACH = "the function's statements one by one, bare, transactions of 1,000, 2 connections"
UPSERT = "plain upsert, bare, 1,000 rows, 2 connections"
DRAIN = "raw XREADGROUP 1,000 + XACK, not parsed"


class Cost(NamedTuple):
    """What one drain took; None where this machine does not tell."""

    rate: float
    consumer: float | None
    """CPU of the workers, µs an event; so the other two."""
    postgres: float | None
    redis: float | None
    peak: float | None
    """MiB of the largest worker."""
    resident: list[float | None]
    """MiB of the largest worker, at each of PARTS."""


class Reading(NamedTuple):
    """CPU seconds so far."""

    consumer: float | None
    postgres: float | None
    redis: float | None


def order(count: int) -> list[tuple[int, int]]:
    """(thing, version) of a backlog: versions of a thing in order, things mixed. Pure."""
    things = [number for number in range(count // VERSIONS) for _ in range(VERSIONS)]
    Random(1).shuffle(things)  # noqa: S311 (the same backlog in every run)
    reached: Counter[int] = Counter()
    found = []
    for thing in things:
        reached[thing] += 1
        found.append((thing, reached[thing]))
    return found


async def fill(world: World, way: Way, count: int) -> int:
    """Put a backlog on the way's stream; its events."""
    producer = world.direct()
    backlog = order(count)
    for at in range(0, len(backlog), PIECE):
        said = [way.say(world.tenant, thing, version) for thing, version in backlog[at : at + PIECE]]
        await producer.publish_many(said)
    await producer.close()
    return len(backlog)


async def whole(world: World, way: Way, count: int) -> None:
    """Raises BenchFailed unless exactly the backlog was applied."""
    wrong = await world.sink.fetchval(way.wrong, count)
    if wrong:
        raise BenchFailed(f"{wrong} of {count} events are missing in {way.app} or came twice")


async def drain(world: World, way: str, count: int, workers: int = 1) -> Cost:
    """Fresh worker processes take the backlog that is there."""
    one = WAYS[way]

    async def begun() -> bool:
        return (await world.group(one)).last_delivered != "0-0"

    async with contextlib.AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(world.built("worker", consumer=way, name=f"bench-{number}"))
            for number in range(workers)
        ]
        before = await _reading(world, processes)
        for process in processes:
            process.go()
        await until(begun, within=30.0, every=0.002)
        start = time.perf_counter()
        resident = [await _resident(world, one, int(count * part), processes) for part in PARTS]
        await until(lambda: drained(world, one), within=1200.0, every=0.01)
        rate = count / (time.perf_counter() - start)
        after = await _reading(world, processes)
        peak = _largest([usage.peak(process.pid) for process in processes])
    await whole(world, one, count)
    consumer, postgres, redis = _per_event(before, after, count)
    return Cost(rate, consumer, postgres, redis, peak, resident)


async def drained(world: World, way: Way) -> bool:
    """Whether the group has applied and acknowledged everything."""
    state = await world.group(way)
    return state.lag == 0 and state.pending == 0


async def _resident(world: World, way: Way, count: int, processes: list[Process]) -> float | None:
    async def reached() -> bool:
        return ((await world.group(way)).entries_read or 0) >= count

    await until(reached, within=1200.0, every=0.01)
    return _largest([usage.resident(process.pid) for process in processes])


async def _reading(world: World, processes: list[Process]) -> Reading:
    used = [process.cpu for process in processes]
    known = [one for one in used if one is not None]
    consumer = sum(known) if len(known) == len(used) else None
    return Reading(consumer, await world.postgres_cpu(), await world.redis_cpu())


def _per_event(before: Reading, after: Reading, count: int) -> list[float | None]:
    pairs = zip(before, after, strict=True)
    return [None if a is None or b is None else (b - a) / count * 1e6 for a, b in pairs]


def _largest(found: list[float | None]) -> float | None:
    return max((one for one in found if one is not None), default=None)


async def apply(world: World, sizes: Sizes) -> list[Figure]:
    """Rounds of the limits and of every way, in turn."""
    bare = await limits.Bare.open(world)
    events = [world.good(*one).envelope("bench") for one in order(sizes.events)]
    sales = [sale(world.tenant, *one).envelope("bench") for one in order(sizes.events // EACH_PART)]
    against: dict[str, list[float]] = {EACH: [], STATEMENT: [], UPSERT: [], DRAIN: []}
    found: dict[tuple[str, int], list[Cost]] = {}
    for _ in range(sizes.rounds):
        against[STATEMENT].append(await bare.gated(events))
        against[UPSERT].append(await bare.plain(events))
        against[EACH].append(await bare.each(sales))
        for way in WAYS:
            for workers in (1, 2) if way in sizes.pairs else (1,):
                await world.empty()
                count = await fill(world, WAYS[way], sizes.events)
                if (way, workers) == ("upsert", 1):
                    against[DRAIN].append(await limits.drain(world, WAYS[way]))
                found.setdefault((way, workers), []).append(await drain(world, way, count, workers))
    beside = {name: values for name, values in against.items() if name != EACH}
    figures = [
        _figure(way, workers, costs, against if way == "function" else beside)
        for (way, workers), costs in found.items()
    ]
    return figures + await _flood(world, sizes.flood)


async def _flood(world: World, count: int) -> list[Figure]:
    """One large backlog, to see whether memory stays as it is."""
    await world.empty()
    if not count:
        return []
    cost = await drain(world, "upsert", await fill(world, WAYS["upsert"], count))
    await world.empty()
    return [_figure("upsert", 1, [cost], {}, f", backlog of {count:,}")]


def _figure(
    way: str, workers: int, costs: list[Cost], against: dict[str, list[float]], more: str = ""
) -> Figure:
    details = {
        "consumer_us_per_event": _median([one.consumer for one in costs]),
        "postgres_us_per_event": _median([one.postgres for one in costs]),
        "redis_us_per_event": _median([one.redis for one in costs]),
        "worker_peak_mib": _largest([one.peak for one in costs]),
        "worker_mib_at_10_50_90_percent": costs[-1].resident,
    }
    name = f"{way}, {workers} worker{'s' if workers > 1 else ''}{more}"
    return figure(("apply", name), [one.rate for one in costs], limits=against, details=details)


def _median(found: list[float | None]) -> float | None:
    known = [one for one in found if one is not None]
    return median(known) if known else None
