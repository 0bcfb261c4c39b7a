"""The servers, the shop's databases and its processes: what every figure is measured on."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec

from headwater.bench import usage
from headwater.bench.handlers import Way, good
from headwater.bench.process import Order
from headwater.broker import Broker, provision
from headwater.broker.entry import GroupState
from headwater.database import Database
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.errors import HeadwaterError
from headwater.publish import DirectProducer, Outgoing, Producer, Said
from headwater.testing import RunningServers, controls
from headwater.topology import Catalogue

SHELF = "shelf"


class BenchFailed(HeadwaterError):
    """What was to be measured did not do its work: there is no figure."""


class World:
    """One shop with nothing in it."""

    def __init__(self, running: RunningServers, source: Database, sink: Database) -> None:
        self.redis_url = running.redis_url
        self.source = source
        self.sink = sink
        self.broker = Broker(running.redis_url, connections=16)
        self.catalogue: Catalogue = controls.CATALOGUE.with_prefix(f"bench{uuid.uuid4().hex[:8]}:")
        self.prefix = self.catalogue.keys.prefix
        self.outgoing = Outgoing(controls.CODEC, self.catalogue)
        self.producer = Producer(controls.CODEC, source="bench")
        self.tenant = str(uuid.uuid4())
        self.neighbour = str(uuid.uuid4())
        """Another tenant on the same streams, for live events beside a backfill."""

    @property
    def key(self) -> str:
        """The stream of the shelf's goods."""
        return f"{self.prefix}{SHELF}:goods"

    def direct(self) -> DirectProducer:
        """A direct producer for which the shelf is always enabled."""

        async def enabled(tenants: Any) -> dict[str, set[str]]:
            return {tenant: {SHELF} for tenant in tenants}

        return DirectProducer(self.outgoing, self.broker, enabled=enabled, source="bench")

    def good(self, number: int, version: int) -> Said:
        """The state of a good of the tenant."""
        return good(self.tenant, number, version)

    async def group(self, way: Way) -> GroupState:
        """How far a way's group is on its stream."""
        return next(
            one for one in await self.broker.groups(self.prefix + way.stream) if one.name == way.group
        )

    async def enable(self) -> None:
        """Give both tenants the shelf."""
        for tenant in (self.tenant, self.neighbour):
            await self.source.execute(
                "INSERT INTO enabled VALUES ($1, 'shelf') ON CONFLICT DO NOTHING", tenant
            )

    async def keys(self) -> list[Any]:
        """Every key of ours."""
        found: list[Any] = await self.broker.execute("KEYS", f"{self.prefix}*")
        return found

    async def empty(self) -> None:
        """Take everything out of streams and tables, and make the groups again."""
        keys = await self.keys()
        if keys:
            await self.broker.execute("DEL", *keys)
        await provision.apply(self.broker, self.catalogue)
        await self.sink.execute(
            "TRUNCATE goods, sales, headwater.ledger, headwater.inbox, headwater.position, headwater.mark"
        )  # with the marks: streams that were emptied on purpose lost nothing
        await self.source.execute("TRUNCATE headwater.outbox, headwater.job CASCADE")
        for database in (self.sink, self.source):
            await database.execute("CHECKPOINT")

    async def redis_cpu(self) -> float:
        """Seconds of CPU that Redis took so far, by its own account."""
        text = (await self.broker.execute("INFO", "cpu")).decode()
        said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return float(said["used_cpu_sys"]) + float(said["used_cpu_user"])

    async def postgres_cpu(self) -> float | None:
        """Seconds of CPU that Postgres with all its processes took so far."""
        backend = int(await self.sink.fetchval("SELECT pg_backend_pid()"))
        parent = usage.parent_of(backend, "postgres")
        return None if parent is None else usage.cpu_of_family(parent, "postgres")

    @contextlib.asynccontextmanager
    async def process(self, role: str, **options: Any) -> AsyncIterator[Process]:
        """A worker, relay or runner in a process of its own, at work while the block lasts."""
        async with self.built(role, **options) as process:
            process.go()
            yield process

    @contextlib.asynccontextmanager
    async def built(self, role: str, **options: Any) -> AsyncIterator[Process]:
        """The same, but it waits for `go`."""
        order = Order(
            role=role,
            redis=self.redis_url,
            source=self.source.url,
            sink=self.sink.url,
            prefix=self.prefix,
            **options,
        )
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "headwater.bench.process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        process = Process(running)
        try:
            await process.ready(order)
            yield process
        finally:
            await process.end()


class Process:
    """A running process of the shop."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running

    @property
    def pid(self) -> int:
        """Its number, for /proc."""
        return self._running.pid

    @property
    def cpu(self) -> float | None:
        """Seconds of CPU so far."""
        return usage.cpu_of(self.pid)

    async def ready(self, order: Order) -> None:
        """Say what it is, and wait until that is built. Raises BenchFailed when it ended instead."""
        self._say(msgspec.json.encode(order))
        if self._running.stdout is None or not await self._running.stdout.readline():
            raise BenchFailed(f"a {order.role} ended at its start ({await self._running.wait()})")

    def go(self) -> None:
        """Let it work."""
        self._say(b"go")

    def _say(self, text: bytes) -> None:
        if self._running.stdin is not None:
            self._running.stdin.write(text + b"\n")

    async def kill(self) -> None:
        """End it as a crash does."""
        self._running.kill()
        await self._running.wait()

    async def end(self) -> None:
        """Let it drain and end."""
        if self._running.stdin is not None:
            self._running.stdin.close()
        try:
            async with asyncio.timeout(60.0):
                await self._running.wait()
        except TimeoutError:
            await self.kill()


@contextlib.asynccontextmanager
async def world(running: RunningServers) -> AsyncIterator[World]:
    """A migrated shop; gone at the end."""
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
        found = World(running, source, sink)
        try:
            await found.empty()
            yield found
        finally:
            keys = await found.keys()
            if keys:
                await found.broker.execute("DEL", *keys)
            await found.broker.close()
            await source.close()
            await sink.close()
