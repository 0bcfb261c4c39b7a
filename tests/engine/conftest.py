"""A shop's source and its applications' databases, migrated once and copied for each test."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest_asyncio

from headwater.broker import Broker
from headwater.database import Database
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.delivery import Consumer, Limits, Pace, Worker
from headwater.publish import Outgoing, Producer, Relay
from headwater.replay import History, Runner, Ways
from headwater.testing import RunningServers, controls

QUICK = Pace(block=0.2, min_idle=0.6, heartbeat=0.2, drain=5.0)
LIMITS = Limits(attempts=3, first=0.05, longest=0.2)


async def _template(servers: RunningServers, url: str, role: tuple[str, Any], tables: str) -> str:
    await migrate(url, [role])
    connection = await asyncpg.connect(url)
    await connection.execute(tables)
    await connection.close()
    return url.rpartition("/")[2]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def templates(servers: RunningServers) -> AsyncIterator[tuple[str, str]]:
    """Names of the migrated source and sink databases."""
    async with servers.fresh_database() as source, servers.fresh_database() as sink:
        yield (
            await _template(servers, source, SOURCE, controls.SOURCE_TABLES),
            await _template(servers, sink, APP, controls.SINK_TABLES),
        )


@dataclass
class Shop:
    """One test's world."""

    source: Database
    sink: Database
    broker: Broker
    outgoing: Outgoing
    producer: Producer
    redis_url: str
    tenant: str = field(default_factory=lambda: str(uuid.uuid4()))
    running: list[tuple[Any, asyncio.Task[Any]]] = field(default_factory=list)

    @property
    def catalogue(self) -> Any:
        return self.outgoing.catalogue

    def key(self, name: str) -> str:
        return self.catalogue.keys.prefix + name

    async def enable(self, app: str = "shelf") -> None:
        await self.source.execute(
            "INSERT INTO enabled VALUES ($1, $2) ON CONFLICT DO NOTHING", self.tenant, app
        )

    async def put(self, name: str, good: str | None = None) -> str:
        """Write a good and say so."""
        good = good or str(uuid.uuid4())
        async with self.source.transaction() as tx:
            row = await tx.fetchrow(
                "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, $3) "
                "ON CONFLICT (good_id) DO UPDATE SET name = excluded.name, updated_at = now() RETURNING *",
                *(good, self.tenant, name),
            )
            assert row is not None
            event = controls.GoodChanged(good_id=good, name=name, price=row["price"])
            await self.producer.publish(tx, event, tenant=self.tenant, version=row["headwater_version"])
        return good

    async def remove(self, good: str) -> None:
        async with self.source.transaction() as tx:
            await tx.execute("DELETE FROM goods WHERE good_id = $1", good)
            await self.producer.publish(tx, controls.GoodRemoved(good_id=good), tenant=self.tenant)

    async def sell(self, sale: str, behave: str = "", amount: int = 1) -> None:
        async with self.source.transaction() as tx:
            event = controls.GoodSold(sale_id=sale, good_id="g", amount=amount, behave=behave)
            await self.producer.publish(tx, event, tenant=self.tenant, operation_id=sale)

    def start(self, thing: Any, **options: Any) -> Any:
        """Run a relay, worker or runner until the test ends."""
        self.running.append((thing, asyncio.create_task(thing.run(**options))))
        return thing

    async def stop(self, thing: Any) -> None:
        thing.stop()
        for other, task in self.running:
            if other is thing:
                await task
        self.running = [pair for pair in self.running if pair[0] is not thing]

    def relay(self) -> Relay:
        return Relay(self.source.url, self.broker, self.outgoing, controls.ENABLEMENT)

    def worker(self, consumer: Consumer | None = None, name: str = "w1", **settings: Any) -> Worker:
        settings = {"pace": QUICK, "limits": LIMITS, "name": name, **settings}
        broker = settings.pop("broker", self.broker)
        sink = settings.pop("sink", self.sink)
        return Worker(consumer or controls.shelf(), broker, sink, controls.CODEC, self.catalogue, **settings)

    def ways(self) -> Ways:
        return Ways(
            source=self.source,
            broker=self.broker,
            outgoing=self.outgoing,
            backfills=(controls.BACKFILL,),
            mirrored=controls.MIRRORED,
            sinks={"shelf": self.sink},
        )

    def runner(self) -> Runner:
        return Runner(self.ways(), holder="runner")

    def history(self) -> History:
        return History(self.ways(), controls.ENABLEMENT)

    async def goods(self) -> dict[str, str]:
        rows = await self.sink.fetch(
            "SELECT good_id::text, name FROM goods WHERE tenant_id = $1", self.tenant
        )
        return {row["good_id"]: row["name"] for row in rows}

    async def sales(self) -> list[str]:
        return [row["sale_id"] for row in await self.sink.fetch("SELECT sale_id FROM sales ORDER BY sale_id")]

    async def pending(self) -> int:
        return sum(
            [
                state.pending
                for key in self.catalogue.keys_of("shelf")
                for state in await self.broker.groups(key)
            ]
        )


@pytest_asyncio.fixture(loop_scope="session")
async def shop(servers: RunningServers, templates: tuple[str, str]) -> AsyncIterator[Shop]:
    """Fresh databases, a key prefix of its own, and nothing running yet."""
    async with (
        servers.fresh_database(templates[0]) as source_url,
        servers.fresh_database(templates[1]) as sink_url,
    ):
        source, sink = await Database.open(source_url, size=10), await Database.open(sink_url, size=10)
        broker = Broker(servers.redis_url)
        catalogue = controls.CATALOGUE.with_prefix(f"t{uuid.uuid4().hex[:8]}:")
        outgoing = Outgoing(controls.CODEC, catalogue)
        world = Shop(
            source, sink, broker, outgoing, Producer(controls.CODEC, source="shop"), servers.redis_url
        )
        try:
            yield world
        finally:
            for thing, _ in world.running:
                thing.stop()
            await asyncio.gather(*(task for _, task in world.running))
            keys = await broker.execute("KEYS", catalogue.keys.prefix + "*")
            if keys:
                await broker.execute("DEL", *keys)
            await broker.close()
            with contextlib.suppress(TimeoutError):
                await source.close()
                await sink.close()
