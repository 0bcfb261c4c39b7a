"""How fast history is caught up, what it needs, and what it does to live events meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from headwater.bench import limits, usage
from headwater.bench.figures import Figure, Spread, figure
from headwater.bench.latency import Watch, direct_at
from headwater.bench.sizes import Sizes
from headwater.bench.world import SHELF, Process, World
from headwater.replay import History, Ways
from headwater.testing import controls, until

WINDOW = 500
"""The default."""
APPLIED = 50_000
"""Rows that the bare statement of apply is measured with at most."""
LIVE_RATE = 50
"""Live events a second while a backfill runs."""
FILL = """
INSERT INTO goods (good_id, tenant_id, name, price, note, headwater_version)
SELECT (to_char(n, 'FM00000000') || '-0000-4000-9000-000000000000')::uuid, $1, 'good ' || n, n % 100,
       'the note of the good with the number ' || n, (1::bigint << 48) | n
  FROM generate_series(1, $2::int) AS n
"""


class Run(NamedTuple):
    """One backfill."""

    state: str
    """How the job ended."""
    said: float
    """Rows a second until the last one was on its stream."""
    whole: float
    """Rows a second until everything was applied and compared."""
    runner: list[float | None]
    """Peak MiB of the runner: at a tenth of the rows, and in the end."""
    worker: list[float | None]
    live: Spread | None


async def fill(world: World, rows: int) -> None:
    """Rows as an attached table has them, without the cost of a trigger each."""
    async with world.source.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute("TRUNCATE goods")
        await tx.execute(FILL, world.tenant, rows, timeout=600)
    await world.source.execute("ANALYZE goods")
    await world.enable()


def history(world: World, window: int) -> History:
    """What queues jobs."""
    ways = Ways(
        source=world.source,
        broker=world.broker,
        outgoing=world.outgoing,
        backfills=(controls.BACKFILL,),
        mirrored=controls.MIRRORED,
        sinks={SHELF: world.sink},
        window=window,
    )
    return History(ways, controls.ENABLEMENT)


async def catch_up(world: World, rows: int, window: int, *, live: bool = False, aside: bool = False) -> Run:
    """One backfill of everything, by one runner and one worker process; `aside`: through a side stream."""
    await world.empty()
    found = history(world, window)
    async with (
        world.process("worker", aside=aside) as worker,
        world.process("runner", window=window, aside=aside) as runner,
    ):
        about = {"asked_by": "bench", "reason": "measure"}
        async with world.source.transaction() as tx:
            queued = await found.start(tx, world.tenant, SHELF, {}, about)

        async def said() -> int:
            query = "SELECT published FROM headwater.job_part WHERE job = $1"
            return int(await world.source.fetchval(query, queued.id))

        async def state() -> str | None:
            query = "SELECT state FROM headwater.job WHERE id = $1 AND finished_at IS NOT NULL"
            found: str | None = await world.source.fetchval(query, queued.id)
            return found

        first, begun = await until(said, within=60.0, every=0.01), time.perf_counter()
        probing = asyncio.create_task(_probe(world, state)) if live else None
        await _reaches(said, rows // 10)
        processes = (runner, worker)
        early = _peaks(processes)
        await _reaches(said, rows)
        published = time.perf_counter() - begun
        ended = await until(state, within=600.0, every=0.05)
        took = time.perf_counter() - begun
        late = _peaks(processes)
        spread = await probing if probing else None
    left = max(1, rows - first)  # a tiny one is said before the first look at it
    rates = left / published, left / took
    return Run(str(ended), *rates, [early[0], late[0]], [early[1], late[1]], spread)


def _peaks(processes: tuple[Process, Process]) -> tuple[float | None, float | None]:
    runner, worker = processes
    return usage.peak(runner.pid), usage.peak(worker.pid)


async def _reaches(said: Callable[[], Awaitable[int]], rows: int) -> None:
    async def enough() -> bool:
        return await said() >= rows

    await until(enough, within=1200.0, every=0.05)


async def _probe(world: World, state: Callable[[], Awaitable[str | None]]) -> Spread:
    async with Watch(world) as watch:
        number, ended = 0, None
        while ended is None:  # at least once: a small backfill may end before the first look
            await direct_at(world, watch, LIVE_RATE, 0.5, first=number)
            number, ended = number + LIVE_RATE, await state()
        return await watch.spread()


async def backfill(world: World, sizes: Sizes) -> list[Figure]:
    """The large one as it is by default, then smaller ones under several windows with live events beside."""
    await fill(world, sizes.rows)
    limit = await _limits(world, sizes.rows)
    run = await catch_up(world, sizes.rows, WINDOW)
    name = f"{sizes.rows:,} rows, window {WINDOW}"
    details = {"runner_peak_mib": run.runner, "worker_peak_mib": run.worker, "state": run.state}
    found = [
        figure(("backfill", f"{name}, said"), [run.said], unit="rows/s", limits=limit),
        figure(
            ("backfill", f"{name}, applied and compared"),
            [run.whole],
            unit="rows/s",
            limits=limit,
            details=details,
        ),
    ]
    paced = max(sizes.rows // 5, 100)
    await fill(world, paced)
    alone = await _alone(world, sizes)
    found.append(figure(("backfill", f"{LIVE_RATE} live events/s, no backfill, p99"), [alone.p99], unit="ms"))
    free = await catch_up(world, paced, paced, live=True)
    found += _beside_live(f"{paced:,} rows, not paced", free, alone, limit)
    unpaced = {**limit, "the same, not paced": [free.whole]}
    for window in sizes.windows:
        run = await catch_up(world, paced, window, live=True)
        found += _beside_live(f"{paced:,} rows, window {window}", run, alone, unpaced)
    for window, named in ((paced, "not paced"), *((one, f"window {one}") for one in sizes.windows[:1])):
        run = await catch_up(world, paced, window, live=True, aside=True)
        found += _beside_live(f"{paced:,} rows on a side stream, {named}", run, alone, unpaced)
    await world.empty()
    return found


async def _limits(world: World, rows: int) -> dict[str, list[float]]:
    """Each leg without headwater's bookkeeping, in rows a second; the slowest first."""
    bare = await limits.Bare.open(world)
    events = [world.good(number, number + 1).envelope("bench") for number in range(min(rows, APPLIED))]
    legs = {
        "pages of 1,000 by key, read and dropped": [await limits.keyset(world)],
        "the same, encoded and appended 500 at a time": [await limits.said(world)],
        "the statement of apply, bare": [await bare.gated(events)],
    }
    return dict(sorted(legs.items(), key=lambda leg: leg[1]))


async def _alone(world: World, sizes: Sizes) -> Spread:
    """Live events, and nothing else."""
    await world.empty()
    async with world.process("worker"):
        async with Watch(world) as cold:
            await direct_at(world, cold, LIVE_RATE, 1.0)
            await cold.spread()
        async with Watch(world) as watch:
            await direct_at(world, watch, LIVE_RATE, max(sizes.seconds, 2.0), first=10 * LIVE_RATE)
            return await watch.spread()


def _beside_live(name: str, run: Run, alone: Spread, limit: Mapping[str, list[float]]) -> list[Figure]:
    """Rows a second, and what they do to live events beside."""
    name = f"{name}, {LIVE_RATE} live events/s beside"
    details = {"live_p50_ms": run.live and run.live.p50, "live_p99_ms_alone": alone.p99, "state": run.state}
    found = [figure(("backfill", name), [run.whole], unit="rows/s", limits=limit, details=details)]
    if run.live is not None:
        found.append(figure(("backfill", f"{name}, live p99"), [run.live.p99], unit="ms", details=details))
    return found
