"""How soon an event can be seen in the application.

The sink rings a bell in the transaction that writes a row; the bell is heard once that has
committed, so what is measured includes the commit. It costs the sink one trigger a statement.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import asyncpg

from headwater.bench.figures import Figure, Spread, spans, spread
from headwater.bench.handlers import FIRST
from headwater.bench.pacing import paced
from headwater.bench.sizes import Sizes
from headwater.bench.world import World
from headwater.publish import Said
from headwater.testing import controls, until

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


class Watch:
    """Notes when numbered goods were due, and when they could be seen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._due: dict[int, float] = {}
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

    def due(self, number: int, when: float) -> None:
        """A good is to be said at this time, and no later."""
        self._due[number] = when

    async def spread(self) -> Spread:
        """From due to seen, once every good was."""
        await until(lambda: self._due.keys() <= self._seen.keys(), within=60.0, every=0.05)
        return spread([self._seen[number] - when for number, when in self._due.items()])


def probe(world: World, number: int) -> Said:
    """A new good that the bell tells of: without a note, its number as its price."""
    identity = f"{number:08x}-0000-4000-a000-{world.neighbour[-12:]}"
    event = controls.GoodChanged(good_id=identity, name="x" * 60, price=Decimal(number))
    return Said(event, world.neighbour, FIRST + number + 1)


async def direct_at(world: World, watch: Watch, rate: int, seconds: float, *, first: int = 0) -> None:
    """Append goods at a rate, whether or not those before are done."""
    producer = world.direct()

    async def one(number: int) -> None:
        said = probe(world, number)
        await producer.publish(said.event, tenant=said.tenant, version=said.version)

    async with asyncio.TaskGroup() as under_way:
        async for number, when in paced(rate, seconds):
            watch.due(first + number, when)
            under_way.create_task(one(first + number))
    await producer.close()


async def outbox_at(world: World, watch: Watch, rate: int, seconds: float) -> None:
    """Commit goods at a rate, in TRANSACTIONS a second at most."""
    bundle = max(1, rate // TRANSACTIONS)

    async def some(numbers: range) -> None:
        async with world.source.transaction() as tx:
            await world.producer.publish_many(tx, [probe(world, number) for number in numbers])

    async with asyncio.TaskGroup() as under_way:
        async for place, when in paced(rate / bundle, seconds):
            numbers = range(place * bundle, (place + 1) * bundle)
            for number in numbers:
                watch.due(number, when)
            under_way.create_task(some(numbers))


async def latency(world: World, sizes: Sizes) -> list[Figure]:
    """From the moment an event is due until its row can be seen, at fixed rates."""
    await world.enable()
    found = []
    for rate in sizes.rates:
        await world.empty()
        async with world.process("relay"), world.process("worker"):
            await _warm(world)
            async with Watch(world) as watch:
                await direct_at(world, watch, rate, sizes.seconds)
                found += spans(("latency", f"direct, {rate:,}/s"), await watch.spread())
            await world.sink.execute("TRUNCATE goods, headwater.ledger")
            async with Watch(world) as watch:
                await outbox_at(world, watch, rate, sizes.seconds)
                details = {"events_per_transaction": max(1, rate // TRANSACTIONS)}
                found += spans(("latency", f"outbox and relay, {rate:,}/s"), await watch.spread(), details)
    await world.empty()
    return found


async def _warm(world: World) -> None:
    """One good on each way, so that connections and statements are there."""
    said = world.good(0, 1)
    async with world.source.transaction() as tx:
        await world.producer.publish(tx, said.event, tenant=said.tenant, version=said.version)

    async def applied() -> int:
        return int(await world.sink.fetchval("SELECT count(*) FROM goods"))

    await until(applied, within=30.0, every=0.005)
