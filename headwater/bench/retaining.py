"""How fast an outbox is said again, and how fast streams are trimmed of what nobody lacks."""

from __future__ import annotations

import time

from headwater.bench.figures import Figure, figure
from headwater.bench.relaying import behind
from headwater.bench.sizes import Sizes
from headwater.bench.world import BenchFailed, World
from headwater.publish.republish import Republisher
from headwater.publish.span import Between, Span
from headwater.retention import Keep
from headwater.retention.trimming import Trimmer
from headwater.testing import controls


async def retain(world: World, sizes: Sizes) -> list[Figure]:
    """Relayed, said again by this process, trimmed to nothing."""
    await world.enable()
    again, relayed, trimmed, bare = [], [], [], []
    for _ in range(sizes.rounds):
        relayed.append((await behind(world, sizes.events))[0])
        again.append(sizes.events / await _republished(world, sizes.events))
        bare.append(2 * sizes.events / await _cut(world))
        trimmed.append(2 * sizes.events / await _trimmed(world, 2 * sizes.events))
    await world.empty()
    million = {"seconds_per_million": 1_000_000 / max(trimmed)}
    return [
        figure(
            ("retain", "republish of the whole outbox"),
            again,
            unit="rows/s",
            limits={"the relay, behind": relayed},
        ),
        figure(
            ("retain", "trim of entries that nobody lacks"),
            trimmed,
            unit="entries/s",
            limits={"XTRIM of all at once": bare},
            details=million,
        ),
    ]


async def _republished(world: World, events: int) -> float:
    """Seconds."""
    about = (world.source.url, world.broker, world.outgoing, controls.ENABLEMENT)
    republisher = Republisher(*about)
    async with republisher.session() as connection:
        await republisher.alone(connection)
        span = Span(streams={world.key: Between()}, until=await republisher.now(connection))
        plan = await republisher.plan(connection, span)
        run = await republisher.begin(connection, span, plan, by="bench")
        begun = time.perf_counter()
        run = await republisher.go(connection, run)
        took = time.perf_counter() - begun
    if run.progress.entries != events:
        raise BenchFailed(f"{run.progress.entries} of {events} rows were said again")
    return took


async def _cut(world: World) -> float:
    """Seconds of one bare command, about a copy of the stream."""
    copy = f"{world.key}:copy"
    await world.broker.execute("COPY", world.key, copy)
    begun = time.perf_counter()
    await world.broker.execute("XTRIM", copy, "MAXLEN", "=", 0)
    took = time.perf_counter() - begun
    await world.broker.execute("DEL", copy)
    return took


async def _trimmed(world: World, entries: int) -> float:
    """Seconds."""
    begun = time.perf_counter()
    done = await Trimmer(world.broker, {}).trim(world.key, Keep(seconds=0.0), [])
    took = time.perf_counter() - begun
    if done is None or done.removed != entries:
        raise BenchFailed(f"not all of {entries} entries were trimmed: {done}")
    return took
