"""How fast the relay moves what waits, and how soon it moves what comes alone."""

from __future__ import annotations

import time

from headwater.bench import limits, usage
from headwater.bench.figures import Figure, Spread, figure, spans, spread
from headwater.bench.publishing import MANY, RAW, entries
from headwater.bench.sizes import Sizes
from headwater.bench.world import BenchFailed, World
from headwater.testing import until

WITHIN = 10.0


async def relay(world: World, sizes: Sizes) -> list[Figure]:
    """Behind, then idle."""
    await world.enable()
    raw = entries(world, min(sizes.events, 50_000))
    rates, cpu, piped, peaks = [], [], [], []
    for _ in range(sizes.rounds):
        piped.append(limits.appends(world, raw, 1000))
        rate, needed, peak = await behind(world, sizes.events)
        await world.empty()
        rates.append(rate)
        cpu.append(needed)
        peaks.append(peak)
    details = {"cpu_us_per_row": cpu[-1], "peak_mib": peaks[-1]}
    found = figure(
        ("relay", "behind, one process"),
        rates,
        unit="rows/s",
        limits={f"{RAW}, pipelines of 1,000": piped},
        details=details,
    )
    return [found, *spans(("relay", "idle, commit to stream"), await _idle(world, sizes.looks))]


async def behind(world: World, events: int) -> tuple[float, float | None, float | None]:
    """Fill the outbox, and let a relay move it: rows a second, its CPU in µs a row, and its peak MiB."""
    await world.empty()
    for at in range(0, events, MANY):
        some = [world.good(number, number) for number in range(at, min(at + MANY, events))]
        async with world.source.transaction() as tx:
            await world.producer.publish_many(tx, some)
    await world.source.execute("ANALYZE headwater.outbox")

    async def moved() -> int:
        return int(await world.broker.execute("XLEN", world.key))

    async def everything() -> bool:
        return await moved() >= events

    async with world.process("relay") as process:
        first = await until(moved, within=30.0, every=0.005)
        begun, before = time.perf_counter(), process.cpu
        await until(everything, within=600.0, every=0.01)
        rest = max(events - first, 1)
        rate = rest / (time.perf_counter() - begun)
        after = process.cpu
        needed = None if before is None or after is None else (after - before) / rest * 1e6
        peak = usage.peak(process.pid)
    return rate, needed, peak


async def _idle(world: World, looks: int) -> Spread:
    """Rows said one after the other: from just before the commit until the entry can be read."""
    taken: list[float] = []
    async with world.process("relay"):
        after, _ = await _alone(world, 0, b"0-0")  # for this one the relay opens its connections
        for number in range(1, looks + 1):
            after, seconds = await _alone(world, number, after)
            taken.append(seconds)
    await world.empty()
    return spread(taken)


async def _alone(world: World, number: int, after: bytes) -> tuple[bytes, float]:
    """The id of the row's entry, and how long it took."""
    said = world.good(number, 1)
    async with world.source.transaction() as tx:
        await world.producer.publish(tx, said.event, tenant=said.tenant, version=said.version)
        begun = time.perf_counter()
    deadline = begun + WITHIN
    while time.perf_counter() < deadline:
        # In the broker's own time for an answer, so that it never counts as lost.
        found = await world.broker.execute("XREAD", "BLOCK", 1000, "STREAMS", world.key, after)
        if found:
            return found[0][1][-1][0], time.perf_counter() - begun
    raise BenchFailed(f"the relay did not move a row within {WITHIN:.0f} s")
