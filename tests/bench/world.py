"""The servers, the shop's databases and its processes: what every figure is measured on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg

from headwater.broker import Broker, provision
from headwater.database import Database
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.embedded import Servers
from headwater.publish import DirectProducer, Outgoing, Producer, Said
from headwater.testing import RunningServers, controls
from headwater.topology import Catalogue

SHELF = "shelf"
GROUP = "shelf-group"
FIRST = 1 << 48
"""The first version of epoch 1: figures use versions of the size that real ones have."""


class Usage(NamedTuple):
    """What a process needed."""

    cpu: float
    """Seconds, from its start of work to its end."""
    peak: float
    """Largest resident memory, MiB."""


class World:
    """One shop with nothing in it."""

    def __init__(self, running: RunningServers, source: Database, sink: Database, bytecode: str) -> None:
        """`bytecode`: a folder for that of processes, so that it is compiled once."""
        self._bytecode = bytecode
        self.redis_url = running.redis_url
        self.source = source
        self.sink = sink
        self.broker = Broker(running.redis_url, connections=16)
        self.catalogue: Catalogue = controls.CATALOGUE.with_prefix(f"bench{uuid.uuid4().hex[:8]}:")
        self.outgoing = Outgoing(controls.CODEC, self.catalogue)
        self.producer = Producer(controls.CODEC, source="bench")
        self.tenant = str(uuid.uuid4())
        self.neighbour = str(uuid.uuid4())
        """Another tenant on the same streams, for live events beside a backfill."""

    @property
    def key(self) -> str:
        """The stream of the shelf's goods."""
        return f"{self.catalogue.keys.prefix}{SHELF}:goods"

    def direct(self) -> DirectProducer:
        """A direct producer for which the shelf is always enabled."""

        async def enabled(tenants: Any) -> dict[str, set[str]]:
            return {tenant: {SHELF} for tenant in tenants}

        return DirectProducer(self.outgoing, self.broker, enabled=enabled, source="bench")

    def good(self, number: int, version: int) -> Said:
        """The state of a good, with the bytes that a usual event has."""
        identity = f"{number:08x}-0000-4000-8000-{self.tenant[-12:]}"
        note = f"version {version} of a good with the number {number}"
        event = controls.GoodChanged(good_id=identity, name=f"good {number}", note=note)
        return Said(event, self.tenant, FIRST + version)

    async def enable(self) -> None:
        """Give both tenants the shelf."""
        for tenant in (self.tenant, self.neighbour):
            await self.source.execute(
                "INSERT INTO enabled VALUES ($1, 'shelf') ON CONFLICT DO NOTHING", tenant
            )

    async def empty(self) -> None:
        """Take everything out of streams and tables, and make the groups again."""
        keys = await self.broker.execute("KEYS", self.catalogue.keys.prefix + "*")
        if keys:
            await self.broker.execute("DEL", *keys)
        await provision.apply(self.broker, self.catalogue)
        await self.sink.execute(
            "TRUNCATE goods, sales, headwater.ledger, headwater.inbox, headwater.position"
        )
        await self.source.execute("TRUNCATE headwater.outbox, headwater.job CASCADE")
        for database in (self.sink, self.source):
            await database.execute("CHECKPOINT")

    @contextlib.asynccontextmanager
    async def process(self, role: str, **options: int) -> AsyncIterator[Process]:
        """A worker, relay or runner in a process of its own, while the block lasts."""
        environment = {
            "SHOP_REDIS": self.redis_url,
            "SHOP_SOURCE": self.source.url,
            "SHOP_SINK": self.sink.url,
            "SHOP_PREFIX": self.catalogue.keys.prefix,
            "SHOP_OPTIONS": json.dumps(options),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": self._bytecode,
        }
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.process", role),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
        )
        process = Process(running)
        try:
            await process.line()
            yield process
        finally:
            await process.end()


class Process:
    """A running process of the shop."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running
        self.usage = Usage(0.0, 0.0)

    async def line(self) -> dict[str, float]:
        """The next thing it reports. Raises AssertionError when it ended instead."""
        if self._running.stdout is None:
            raise AssertionError("the process has no output")
        text = await self._running.stdout.readline()
        if not text:
            raise AssertionError(f"the process ended ({await self._running.wait()})")
        found: dict[str, float] = json.loads(text)
        return found

    async def now(self) -> Usage:
        """CPU and peak memory so far."""
        if self._running.stdin is not None:
            self._running.stdin.write(b"\n")
        return Usage(**await self.line())

    async def end(self) -> None:
        """Let it drain and end."""
        if self._running.stdin is not None:
            self._running.stdin.close()
        await self._running.wait()


@contextlib.asynccontextmanager
async def servers(*, careful: bool = True) -> AsyncIterator[RunningServers]:
    """Ours, as careful as real ones (fsync, append-only file) or not; or those named in the environment."""
    redis = os.environ.get("HEADWATER_TEST_REDIS_URL")
    postgres = os.environ.get("HEADWATER_TEST_POSTGRES_URL")
    if redis and postgres:
        yield RunningServers(redis, postgres, None)
        return
    async with Servers.start(durable=careful, redis=not redis, postgres=not postgres) as embedded:
        yield RunningServers(redis or embedded.redis_url, postgres or embedded.postgres_url(), embedded)


@contextlib.asynccontextmanager
async def world(running: RunningServers) -> AsyncIterator[World]:
    """A migrated shop; gone at the end."""
    bytecode = tempfile.TemporaryDirectory()
    async with running.fresh_database() as source_url, running.fresh_database() as sink_url:
        for url, role, tables in (
            (source_url, SOURCE, controls.SOURCE_TABLES),
            (sink_url, APP, controls.SINK_TABLES),
        ):
            await migrate(url, [role])
            connection = await asyncpg.connect(url)
            await connection.execute(tables)
            await connection.close()
        source, sink = await Database.open(source_url, size=12), await Database.open(sink_url, size=4)
        found = World(running, source, sink, bytecode.name)
        try:
            await found.empty()
            yield found
        finally:
            keys = await found.broker.execute("KEYS", found.catalogue.keys.prefix + "*")
            await found.broker.execute("DEL", *keys)
            await found.broker.close()
            await source.close()
            await sink.close()
            bytecode.cleanup()
