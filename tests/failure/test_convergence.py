"""Whatever is killed, doubled or late: at rest the application holds what the source holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest_asyncio

from headwater.broker import provision
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.failure.convergence_seed import seed
from tests.failure.convergence_storm import Echo, Storm
from tests.failure.histories import APP, Step, Wrapper, disagreement, histories, interleaved

__all__ = ["seed"]  # a fixture

HISTORIES = 200
WRITERS = 6
KILL_EVERY = 250
"""Steps between two kills from outside."""
ECHO_EVERY = 70
ECHOED = 0.15
"""Share of a stream's new entries that is appended once more."""
STILL = 60.0
PROGRESS = (
    "SELECT sum(token), sum(published), sum(failed) FROM headwater.job JOIN headwater.job_part ON job = id"
)


@pytest_asyncio.fixture(loop_scope="session")
async def storm(shop: Shop, seed: int, tmp_path: Path) -> AsyncIterator[Storm]:
    """The shop's processes, being killed."""
    environment = {
        "SHOP_REDIS": shop.redis_url,
        "SHOP_SOURCE": shop.source.url,
        "SHOP_SINK": shop.sink.url,
        "SHOP_PREFIX": shop.catalogue.keys.prefix,
    }
    await provision.apply(shop.broker, shop.catalogue)
    found = Storm(Random(seed + 1), environment, tmp_path)
    await found.start(shop.broker, shop.catalogue.keys_of(APP), shop.catalogue.group(APP).name)
    try:
        yield found
    finally:
        await found.end()


async def happen(steps: Iterator[Step], wrapper: Wrapper, storm: Storm, echoes: list[Echo]) -> None:
    """Do all steps with several writers at once; kill and echo as they go on."""
    done = 0

    async def write() -> None:
        nonlocal done
        for step in steps:
            await wrapper.do(step)
            done += 1
            if done % KILL_EVERY == 0:
                storm.check()
                storm.kill()
            if done % ECHO_EVERY == 0:
                for echo in echoes:
                    await echo.again(ECHOED)

    async with asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(write())


async def left(shop: Shop) -> dict[str, object]:
    """What is not at rest yet: said and not appended, jobs by state, entries by stream."""
    waiting = await shop.source.fetchval("SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL")
    jobs = await shop.source.fetch(
        "SELECT state, count(*) FROM headwater.job WHERE finished_at IS NULL GROUP BY state ORDER BY state"
    )
    found: dict[str, object] = {"outbox": waiting, **{row["state"]: row["count"] for row in jobs}}
    for key in shop.catalogue.keys_of(APP):
        for group in await shop.broker.groups(key):
            if group.name == shop.catalogue.group(APP).name:
                found |= {f"lag of {key}": group.lag, f"pending of {key}": group.pending}
    return {name: count for name, count in found.items() if count}


async def rest(shop: Shop, storm: Storm) -> None:
    """Wait until everything said is applied and acknowledged, and every job has ended.

    However slow the machine is: only when nothing at all has moved for `STILL` seconds it is stuck.
    """
    last: list[object] = []

    async def moved() -> bool:
        storm.check()
        now: list[object] = [await left(shop), await shop.source.fetch(PROGRESS), storm.kills.total()]
        changed, last[:] = now != last, now
        return changed

    while not last or last[0]:
        try:
            await until(moved, within=STILL, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"nothing moves any more: {last}") from error


async def test_every_history_converges_while_processes_are_killed_and_entries_come_twice_and_late(
    shop: Shop, storm: Storm, seed: int
) -> None:
    chance = Random(seed)
    wrapper = Wrapper(shop.source, shop.producer, shop.history())
    echoes = [Echo(chance, shop.broker, key) for key in shop.catalogue.keys_of(APP)]

    await happen(interleaved(chance, histories(chance, HISTORIES)), wrapper, storm, echoes)
    await storm.all_died()
    storm.subside()
    await rest(shop, storm)

    parked = await shop.sink.fetch("SELECT reason, error, count(*) FROM headwater.dead_letter GROUP BY 1, 2")
    assert [dict(row) for row in parked] == []
    jobs = await shop.source.fetch("SELECT state, error, count(*) FROM headwater.job GROUP BY 1, 2")
    assert not await disagreement(shop.source, shop.sink), [dict(row) for row in jobs]
    assert await shop.sales() == sorted(wrapper.sold)
    for table in ("failure", "gap"):
        assert await shop.sink.fetchval(f"SELECT count(*) FROM headwater.{table}") == 0, table
    states = await shop.source.fetch("SELECT DISTINCT state FROM headwater.job")
    assert {row["state"] for row in states} <= {"verified", "diverged", "cancelled"}
    # The fault bit: processes died with entries in hand, and events were on their stream more than once.
    assert min(storm.kills[role] for role in ("worker", "relay", "runner")) > 1, storm.kills
    assert sum(storm.left.values()) > 0
    assert all(echo.copies > 0 for echo in echoes)
    assert sum([await echo.said_again() for echo in echoes]) > 0
