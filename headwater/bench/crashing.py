"""What a kill -9 in the middle of a backlog costs."""

from __future__ import annotations

import time

from headwater.bench.applying import drained, fill, whole
from headwater.bench.figures import Figure, figure
from headwater.bench.handlers import WAYS
from headwater.bench.sizes import Sizes
from headwater.bench.world import World
from headwater.testing import until


async def crash(world: World, sizes: Sizes) -> list[Figure]:
    """Under its old name a worker takes its own up at once; under a new one after `min_idle`."""
    names = {"bench": "started again under its name", "other": "another in its place"}
    return [await _killed(world, sizes, successor, names[successor]) for successor in sizes.successors]


async def _killed(world: World, sizes: Sizes, successor: str, name: str) -> Figure:
    seconds, held = [], []
    for _ in range(sizes.rounds):
        took, pending = await _trial(world, sizes.events, successor)
        seconds.append(took)
        held.append(pending)
    rest = {"events": sizes.events, "pending_at_the_kill": held, "missing": 0, "twice": 0}
    return figure(("crash", f"kill -9 half-way, {name}"), seconds, unit="s until whole", details=rest)


async def _trial(world: World, events: int, successor: str) -> tuple[float, int]:
    """Seconds until everything is applied and acknowledged, and what the dead one held."""
    way = WAYS["upsert"]
    await world.empty()
    count = await fill(world, way, events)

    async def half() -> bool:
        return ((await world.group(way)).entries_read or 0) >= count // 2

    async with world.process("worker", name="bench") as process:
        await until(half, within=120.0, every=0.002)
        await process.kill()
    pending = (await world.group(way)).pending
    async with world.process("worker", name=successor):
        begun = time.perf_counter()
        await until(lambda: drained(world, way), within=120.0, every=0.005)
        took = time.perf_counter() - begun
    await whole(world, way, count)
    await world.empty()
    return took, pending
