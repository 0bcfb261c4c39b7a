"""How fast events are said: directly, and through the outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from headwater.bench import limits
from headwater.bench.figures import Figure, figure
from headwater.bench.handlers import good
from headwater.bench.sizes import Sizes
from headwater.bench.world import World
from headwater.event import Fields
from headwater.publish import DirectProducer, Said

TOGETHER = (50, 1_000)
MANY = 1_000
BUNDLE = 100
RAW = "raw socket, XADD of the same bytes"
COLUMNS = (
    "event_id, type, schema_version, tenant, key, op, version, target, source, correlation, data, metadata"
)
PLAIN = f"""
INSERT INTO bench_plain ({COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::json, $12::text::json)
"""
PLAIN_MANY = f"""
INSERT INTO bench_plain ({COLUMNS})
SELECT a, b, c, d, e, f, g, h, i, j, k::json, l::json
  FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bigint[],
              $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
       AS said (a, b, c, d, e, f, g, h, i, j, k, l)
"""
READ = f"SELECT {COLUMNS.replace('data, metadata', 'data::text, metadata::text')} FROM headwater.outbox"


async def timed(work: Callable[[], Awaitable[object]], count: int) -> float:
    """Things a second."""
    begun = time.perf_counter()
    await work()
    return count / (time.perf_counter() - begun)


def entries(world: World, count: int) -> list[Fields]:
    """The entries of some events."""
    said = (world.good(number, number).envelope("bench") for number in range(count))
    return [fields for one in said for _, fields in world.outgoing.entries(one, {"shelf"})]


async def publish(world: World, sizes: Sizes) -> list[Figure]:
    """Direct publishing in its ways, then the outbox."""
    return [*await direct(world, sizes), *await outbox(world, sizes)]


async def direct(world: World, sizes: Sizes) -> list[Figure]:
    """Each round measures the raw socket, then every way beside it."""
    raw = entries(world, sizes.events)
    goods = [world.good(number, number) for number in range(sizes.events)]
    single: list[float] = []
    piped: list[float] = []
    found: dict[str, list[float]] = {}
    for _ in range(sizes.rounds):
        single.append(limits.appends(world, raw[: sizes.awaited], 1))
        piped.append(limits.appends(world, raw, 1000))
        producer = world.direct()
        for name, rate in (await _ways(producer, goods, sizes)).items():
            found.setdefault(name, []).append(rate)
        await producer.close()
        await world.empty()
    by_one = {f"{RAW}, one by one": single}
    by_many = {f"{RAW}, pipelines of 1,000": piped}
    return [
        figure(("publish", f"direct, {name}"), rates, limits=by_one if name == "each awaited" else by_many)
        for name, rates in found.items()
    ]


async def _ways(producer: DirectProducer, goods: Sequence[Said], sizes: Sizes) -> dict[str, float]:
    async def one(said: Said) -> None:
        await producer.publish(said.event, tenant=said.tenant, version=said.version)

    async def awaited() -> None:
        for said in goods[: sizes.awaited]:
            await one(said)

    async def together(lanes: int) -> None:
        waiting = iter(goods)

        async def lane() -> None:
            for said in waiting:
                await one(said)

        await asyncio.gather(*(lane() for _ in range(lanes)))

    async def many() -> None:
        for at in range(0, len(goods), MANY):
            await producer.publish_many(goods[at : at + MANY])

    found = {"each awaited": await timed(awaited, len(goods[: sizes.awaited]))}
    for lanes in TOGETHER:
        found[f"{lanes:,} under way"] = await timed(lambda lanes=lanes: together(lanes), len(goods))  # type: ignore[misc]
    return {**found, f"publish_many of {MANY:,}": await timed(many, len(goods))}


async def outbox(world: World, sizes: Sizes) -> list[Figure]:
    """Publishing in the caller's transaction, beside plain inserts of the same rows into a table like it."""
    await world.source.execute("CREATE TABLE bench_plain (LIKE headwater.outbox INCLUDING ALL)")
    ours: list[tuple[float, float]] = []
    plain: list[tuple[float, float]] = []
    for number in range(sizes.rounds):
        ours.append(await _said(world, sizes.transactions, number + 1))
        rows = [tuple(row.values()) for row in await world.source.fetch(READ)]
        plain.append(await _inserted(world, rows, sizes.transactions))
        await world.empty()
        await world.source.execute("TRUNCATE bench_plain")
    await world.source.execute("DROP TABLE bench_plain")
    names = ("one a transaction", f"publish_many of {BUNDLE} a transaction")
    return [
        figure(
            ("publish", f"outbox, {name}"),
            [one[place] for one in ours],
            limits={"plain insert of the same row": [one[place] for one in plain]},
        )
        for place, name in enumerate(names)
    ]


async def _said(world: World, count: int, version: int) -> tuple[float, float]:
    tenant = world.tenant
    singles = [good(tenant, number, number + 1) for number in range(count)]
    bundles = [
        [good(tenant, count + at * BUNDLE + n, version) for n in range(BUNDLE)] for at in range(count // 10)
    ]

    async def each() -> None:
        for said in singles:
            async with world.source.transaction() as tx:
                await world.producer.publish(tx, said.event, tenant=said.tenant, version=said.version)

    async def many() -> None:
        for bundle in bundles:
            async with world.source.transaction() as tx:
                await world.producer.publish_many(tx, bundle)

    return await timed(each, count), await timed(many, len(bundles) * BUNDLE)


async def _inserted(world: World, rows: Sequence[tuple[Any, ...]], count: int) -> tuple[float, float]:
    singles = rows[:count]
    bundles = [list(zip(*rows[at : at + BUNDLE], strict=True)) for at in range(count, len(rows), BUNDLE)]

    async def each() -> None:
        for row in singles:
            async with world.source.transaction() as tx:
                await tx.execute(PLAIN, *row)

    async def many() -> None:
        for columns in bundles:
            async with world.source.transaction() as tx:
                await tx.execute(PLAIN_MANY, *columns)

    return await timed(each, count), await timed(many, len(bundles) * BUNDLE)
