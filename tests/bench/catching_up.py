"""How fast history is caught up, what it needs, and what it does to live events meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from headwater.replay import History, Ways
from headwater.testing import controls, until
from tests.bench import limits
from tests.bench.latency import Spread, Watch, direct_at
from tests.bench.report import Figure
from tests.bench.sizes import Sizes
from tests.bench.world import SHELF, World

WINDOW = 500
"""The default."""
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
    runner: tuple[float, float]
    """Peak MiB of the runner: at a tenth of the rows, and in the end."""
    worker: tuple[float, float]
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


async def catch_up(world: World, rows: int, window: int, *, live: bool = False) -> Run:
    """One backfill of everything, by one runner and one worker process."""
    await world.empty()
    found = history(world, window)
    async with world.process("worker") as worker, world.process("runner", window=window) as runner:
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
        early = (await runner.now()).peak, (await worker.now()).peak
        await _reaches(said, rows)
        published = time.perf_counter() - begun
        ended = await until(state, within=600.0, every=0.05)
        took = time.perf_counter() - begun
        late = (await runner.now()).peak, (await worker.now()).peak
        spread = await probing if probing else None
    rates = (rows - first) / published, (rows - first) / took
    return Run(str(ended), *rates, (early[0], late[0]), (early[1], late[1]), spread)


async def _reaches(said: Callable[[], Awaitable[int]], rows: int) -> None:
    async def enough() -> bool:
        return await said() >= rows

    await until(enough, within=1200.0, every=0.05)


async def _probe(world: World, state: Callable[[], Awaitable[str | None]]) -> Spread:
    async with Watch(world) as watch:
        number = 0
        while not await state():
            await direct_at(world, watch, LIVE_RATE, 0.5, first=number)
            number += LIVE_RATE
        return await watch.spread()


async def backfill(world: World, sizes: Sizes) -> list[Figure]:
    """The large one as it is by default, then smaller ones under several windows with live events beside."""
    await fill(world, sizes.rows)
    read = await limits.keyset(world)
    keyset = "pages of 1,000 by key, read and dropped"
    run = await catch_up(world, sizes.rows, WINDOW)
    memory = (
        f"peak MiB at 10 % and 100 %: runner {run.runner[0]:.0f}, {run.runner[1]:.0f}; "
        f"worker {run.worker[0]:.0f}, {run.worker[1]:.0f}"
    )
    name = f"backfill of {sizes.rows:,} rows, window {WINDOW}"
    figures = [
        Figure(name=f"{name}, said", value=run.said, unit="rows/s", limit=read, against=keyset),
        Figure(
            name=f"{name}, applied and {run.state}",
            value=run.whole,
            unit="rows/s",
            limit=read,
            against=keyset,
            note=memory,
        ),
    ]
    await fill(world, sizes.paced_rows)
    for window in sizes.windows:
        run = await catch_up(world, sizes.paced_rows, window, live=True)
        live = f"live beside it: {run.live}" if run.live else ""
        figures.append(
            Figure(
                name=f"backfill of {sizes.paced_rows:,} rows, window {window}, {run.state}",
                value=run.whole,
                unit="rows/s",
                limit=read,
                against=keyset,
                note=live,
            )
        )
    await world.empty()
    return figures
