"""What a worker costs that has nothing to do, and how soon it acts when it has."""

from __future__ import annotations

import asyncio
import time

from headwater.bench.figures import Figure, figure
from headwater.bench.handlers import WAYS
from headwater.bench.latency import Watch, probe
from headwater.bench.sizes import Sizes
from headwater.bench.world import Process, World
from headwater.testing import until

SETTLE = 1.0
"""Seconds after its start in which a worker may still be busy with itself."""
OURS = ("info", "ping")
"""Commands that only the bench sends."""


async def idle(world: World, sizes: Sizes) -> list[Figure]:
    """One worker without events for a while; then the first one."""
    await world.empty()
    way = WAYS["upsert"]

    async def there() -> bool:
        return (await world.group(way)).consumers > 0

    async with world.process("worker") as process, Watch(world) as watch:
        await until(there, within=30.0, every=0.01)
        await asyncio.sleep(SETTLE)
        commands, cpu = await _quiet(world, process, sizes.quiet)
        first = await _first(world, watch)
    await world.empty()
    found = [figure(("idle", "Redis commands of one worker"), [commands], unit="commands/s")]
    if cpu is not None:
        found.append(figure(("idle", "CPU of one worker"), [cpu], unit="% of one CPU"))
    return [*found, figure(("idle", "first event, publish to visible row"), [first], unit="ms")]


async def _quiet(world: World, process: Process, seconds: float) -> tuple[float, float | None]:
    """Commands a second, and per cent of a CPU."""
    commands, cpu, begun = await _commands(world), process.cpu, time.perf_counter()
    await asyncio.sleep(seconds)
    sent, used = await _commands(world), process.cpu
    took = time.perf_counter() - begun
    return (sent - commands) / took, None if cpu is None or used is None else (used - cpu) / took * 100


async def _commands(world: World) -> int:
    """How many Redis has run so far, without ours."""
    text = (await world.broker.execute("INFO", "commandstats")).decode()
    lines = [line.removeprefix("cmdstat_") for line in text.splitlines() if line.startswith("cmdstat_")]
    return sum(
        int(line.partition("calls=")[2].partition(",")[0]) for line in lines if not line.startswith(OURS)
    )


async def _first(world: World, watch: Watch) -> float:
    """Milliseconds."""
    producer, said = world.direct(), probe(world, 1)
    watch.due(1, time.perf_counter())
    await producer.publish(said.event, tenant=said.tenant, version=said.version)
    found = await watch.spread()
    await producer.close()
    return found.p50
