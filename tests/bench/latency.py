"""How soon an event can be seen in the application.

The sink rings a bell in the transaction that writes a row; the bell is heard once that has
committed, so what is measured includes the commit. It costs the sink one trigger a statement.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, Self

import asyncpg

from headwater.publish import Said
from headwater.testing import controls, until
from tests.bench.report import Figure
from tests.bench.sizes import Sizes
from tests.bench.world import FIRST, World

BELL = """
CREATE OR REPLACE FUNCTION ring_bench() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench', left(string_agg(price::text, ' '), 7900)) FROM written WHERE note IS NULL;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER ring_bench AFTER INSERT ON goods REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION ring_bench();
"""
TRANSACTIONS = 200
"""A second at most: on few cores more of them would measure the producer's Postgres, not us."""
TICK = 0.005
"""Seconds between two groups of events: an event waits at most that long for its turn, uncounted."""


class Spread(NamedTuple):
    """Milliseconds."""

    events: int
    p50: float
    p99: float
    worst: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, worst {self.worst:.0f} ms of {self.events}"


class Watch:
    """Notes when numbered goods were said, and when they could be seen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._said: dict[int, float] = {}
        self._seen: dict[int, float] = {}
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._world.sink.url)
        await self._connection.execute(BELL)
        await self._connection.add_listener("bench", self._heard)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.execute("DROP TRIGGER ring_bench ON goods")
        await self._connection.close()

    def _heard(self, _connection: object, _pid: int, _bell: str, text: object) -> None:
        now = time.perf_counter()
        for number in str(text).split():
            self._seen.setdefault(int(number), now)

    def said(self, number: int) -> None:
        """A good is about to be committed, or appended."""
        self._said[number] = time.perf_counter()

    async def spread(self) -> Spread:
        """From said to seen, once every good was."""
        await until(lambda: self._said.keys() <= self._seen.keys(), within=60.0)
        spans = sorted((self._seen[number] - at) * 1000 for number, at in self._said.items())
        last = len(spans) - 1
        return Spread(len(spans), spans[last // 2], spans[round(last * 0.99)], spans[last])


def probe(world: World, number: int) -> Said:
    """A new good that the bell tells of: without a note, its number as its price."""
    identity = f"{number:08x}-0000-4000-a000-{world.neighbour[-12:]}"
    event = controls.GoodChanged(good_id=identity, name="x" * 60, price=Decimal(number))
    return Said(event, world.neighbour, FIRST + number + 1)


async def paced(rate: int, seconds: float) -> AsyncIterator[int]:
    """Numbers from 0, `rate` a second, in small groups."""
    begun, total = time.perf_counter(), round(rate * seconds)
    number = 0
    while number < total:
        due = min(total, int((time.perf_counter() - begun) * rate) + 1)
        while number < due:
            yield number
            number += 1
        await asyncio.sleep(TICK)


async def direct_at(world: World, watch: Watch, rate: int, seconds: float, *, first: int = 0) -> None:
    """Append goods at a rate."""
    producer = world.direct()

    async def one(number: int) -> None:
        said = probe(world, number)
        watch.said(number)
        await producer.publish(said.event, tenant=said.tenant, version=said.version)

    async with asyncio.TaskGroup() as under_way:
        async for number in paced(rate, seconds):
            under_way.create_task(one(first + number))
    await producer.close()


async def outbox_at(world: World, watch: Watch, rate: int, seconds: float) -> float:
    """Commit goods at a rate, in TRANSACTIONS a second at most; the rate that was reached."""
    bundle = max(1, rate // TRANSACTIONS)

    async def some(first: int) -> None:
        numbers = range(first, first + bundle)
        async with world.source.transaction() as tx:
            await world.producer.publish_many(tx, [probe(world, number) for number in numbers])
            for number in numbers:
                watch.said(number)

    begun, count = time.perf_counter(), 0
    async with asyncio.TaskGroup() as under_way:
        async for number in paced(rate // bundle, seconds):
            under_way.create_task(some(number * bundle))
            count += bundle
    return count / (time.perf_counter() - begun)


async def end_to_end(world: World, sizes: Sizes) -> list[Figure]:
    """From commit, and from append, to the row that can be seen."""
    await world.enable()
    figures = []
    for rate in sizes.rates:
        await world.empty()
        async with world.process("relay"), world.process("worker"):
            async with Watch(world) as watch:
                await direct_at(world, watch, rate, sizes.seconds)
                spread = await watch.spread()
            figures += _figures(f"direct append to visible row, {rate}/s", spread)
            await world.sink.execute("TRUNCATE goods, headwater.ledger")
            async with Watch(world) as watch:
                reached = await outbox_at(world, watch, rate, sizes.seconds)
                spread = await watch.spread()
            note = f"{reached:,.0f}/s reached, {max(1, rate // TRANSACTIONS)} a transaction"
            figures += _figures(f"outbox commit to visible row, {rate}/s", spread, note)
    await world.empty()
    return figures


def _figures(name: str, spread: Spread, note: str = "") -> list[Figure]:
    return [
        Figure(name=f"{name}, p50", value=spread.p50, unit="ms", note=note),
        Figure(name=f"{name}, p99", value=spread.p99, unit="ms", note=f"worst {spread.worst:.0f} ms"),
    ]
