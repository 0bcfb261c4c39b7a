"""A shop's source and its applications' databases, migrated once and copied for each test."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from headwater.broker import Broker
from headwater.database import Database
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.delivery import Consumer, Limits, Pace, Worker
from headwater.publish import Outgoing, Producer, Relay
from headwater.replay import History, Runner, Ways
from headwater.testing import RunningServers, controls
from tests.conftest import FAILED
from tests.engine import as_left

log = logging.getLogger(__name__)
QUICK = Pace(block=0.2, min_idle=0.6, heartbeat=0.2, look=0.2, drain=5.0)
LIMITS = Limits(attempts=3, first=0.05, longest=0.2)


KEPT = ["migration", "meta", "attached", "sink", "relay"]
SHAPE = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT concat_ws('.', attrelid::regclass, attname, atttypid, attnotnull) AS part
      FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
     WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'headwater')
       AND attnum > 0 AND NOT attisdropped
     UNION ALL SELECT concat_ws('.', conrelid::regclass, conname) FROM pg_constraint
     UNION ALL
    SELECT concat_ws('.', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
     UNION ALL SELECT concat_ws('.', seqrelid::regclass, seqcache, seqincrement, seqmax) FROM pg_sequence
     UNION ALL
    SELECT concat_ws('.', oid::regclass, relacl::text, relrowsecurity, relforcerowsecurity, reloptions::text)
      FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'headwater')
     UNION ALL
    SELECT concat_ws('.', oid::regprocedure, md5(prosrc), proacl::text) FROM pg_proc
     WHERE pronamespace::regnamespace::text IN ('public', 'headwater')
     UNION ALL
    SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database AS d ON d.oid = setdatabase
     WHERE datname = current_database()) AS parts
"""


class Stock:
    """Copies of one migrated database: emptied and used again as long as no test changed its shape."""

    def __init__(self, servers: RunningServers, role: tuple[str, Any], tables: str) -> None:
        self._servers = servers
        self._role = role
        self._tables = tables
        self._free: list[str] = []
        self._template = self._shape = self._empty = ""

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        url = await stack.enter_async_context(self._servers.fresh_database())
        await migrate(url, [self._role])
        connection = await asyncpg.connect(url)
        await connection.execute(self._tables)
        self._shape = await connection.fetchval(SHAPE)
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname IN ('public', 'headwater') AND tablename <> ALL ($1)",
            KEPT,
        )
        await connection.close()
        deletes = "".join(f"DELETE FROM {row['name']};" for row in tables)
        self._empty = f"SET session_replication_role = replica; {deletes}"
        self._template = url.rpartition("/")[2]

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[str]:
        """The URL of an empty copy."""
        if not self._free:
            self._free.append(
                await self._stack.enter_async_context(self._servers.fresh_database(self._template))
            )
        url = self._free.pop()
        yield url
        connection = await asyncpg.connect(url)
        try:
            # A killed process's session may still be at work.
            await connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if await connection.fetchval(SHAPE) == self._shape:
                await connection.execute(self._empty)
                self._free.append(url)
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def templates(servers: RunningServers) -> AsyncIterator[tuple[Stock, Stock]]:
    """Source and sink databases, migrated."""
    async with contextlib.AsyncExitStack() as stack:
        source = Stock(servers, SOURCE, controls.SOURCE_TABLES)
        sink = Stock(servers, APP, controls.SINK_TABLES)
        for stock in (source, sink):
            await stock.open(stack)
        yield source, sink


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
        return f"{self.catalogue.keys.prefix}{name}"

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
async def shop(
    servers: RunningServers, templates: tuple[Stock, Stock], request: pytest.FixtureRequest
) -> AsyncIterator[Shop]:
    """Empty databases, a key prefix of its own, and nothing running yet."""
    async with opened(templates, servers.redis_url) as world:
        yield world
        if request.node.stash.get(FAILED, False):
            log.error("%s", await as_left.told(world))


@contextlib.asynccontextmanager
async def opened(templates: tuple[Stock, Stock], redis_url: str) -> AsyncIterator[Shop]:
    """A shop on the Redis of this address; whatever runs in it is stopped at the end."""
    async with templates[0].one() as source_url, templates[1].one() as sink_url:
        source, sink = await Database.open(source_url, size=10), await Database.open(sink_url, size=10)
        broker = Broker(redis_url)
        catalogue = controls.CATALOGUE.with_prefix(f"t{uuid.uuid4().hex[:8]}:")
        outgoing = Outgoing(controls.CODEC, catalogue)
        world = Shop(source, sink, broker, outgoing, Producer(controls.CODEC, source="shop"), redis_url)
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
