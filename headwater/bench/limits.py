"""What the servers give when nothing of ours stands between: the limits that our figures are shares of."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import asyncpg

from headwater.bench.handlers import Way
from headwater.bench.world import SHELF, BenchFailed, World
from headwater.broker.protocol import pack, pack_append
from headwater.database import load
from headwater.delivery import applier
from headwater.delivery.mirror import Mirror, compile_mirror
from headwater.event import Envelope, Fields
from headwater.publish import Said
from headwater.testing import controls

if TYPE_CHECKING:
    Bound = asyncpg.Connection[asyncpg.Record]

PLAIN = """
INSERT INTO goods (tenant_id, good_id, name, price, note)
SELECT tenant::uuid, key::uuid, name, price::numeric, note
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
       AS e (tenant, key, name, price, note)
ON CONFLICT (tenant_id, good_id) DO UPDATE
   SET name = excluded.name, price = excluded.price, note = excluded.note
"""
SALE = "INSERT INTO sales VALUES ($1, $2, $3, $4)"
BATCH = 1000
CONNECTIONS = 2
TILL = "till"


class Raw:
    """A socket to Redis that counts replies and reads nothing in them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "localhost", parts.port or 6379))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.password:
            user = unquote(parts.username or "default")
            self.send(pack(("AUTH", user, unquote(parts.password))), 1)

    def send(self, packed: bytes, lines: int) -> None:
        """Send commands and wait for that many lines of replies."""
        self._socket.sendall(packed)
        while lines > 0:
            answer = self._socket.recv(1 << 20)
            if not answer or answer.startswith(b"-"):
                raise BenchFailed(f"Redis answered {answer[:100]!r}")
            lines -= answer.count(b"\n")

    def until(self, packed: bytes, mark: bytes) -> None:
        """Send commands and wait for the reply that ends with `mark`."""
        self._socket.sendall(packed)
        end = b""
        while not end.endswith(mark):
            answer = self._socket.recv(1 << 20)
            if not answer or (not end and answer.startswith(b"-")):
                raise BenchFailed(f"Redis answered {answer[:100]!r}")
            end = (end + answer)[-len(mark) :]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def appends(world: World, entries: Sequence[Fields], pipeline: int) -> float:
    """XADD of these entries, `pipeline` at a time, by a raw socket: entries a second."""
    key = f"{world.prefix}raw".encode()
    packed = [pack_append(key, fields) for fields in entries]
    together = [b"".join(packed[at : at + pipeline]) for at in range(0, len(packed), pipeline)]
    raw = Raw(world.redis_url)
    try:
        begun = time.perf_counter()
        for part in together:
            raw.send(part, 2 * min(pipeline, len(entries)))
        return len(entries) / (time.perf_counter() - begun)
    finally:
        raw.send(pack(("DEL", key)), 1)
        raw.close()


async def drain(world: World, way: Way) -> float:
    """Entries a second of a way's stream, read and acknowledged a thousand at a time, not looked at."""
    key, mark = (world.prefix + way.stream).encode(), b"$16\r\nend-of-the-reply\r\n"
    ids = await _ids(world, key)
    raw = Raw(world.redis_url)
    try:
        raw.send(pack(("XGROUP", "CREATE", key, "raw", "0")), 1)
        read = pack(("XREADGROUP", "GROUP", "raw", "raw", "COUNT", BATCH, "STREAMS", key, ">"))
        # Redis answers in order: what follows the entries shows where they end.
        end = pack(("ECHO", "end-of-the-reply"))
        acknowledge = [pack(("XACK", key, "raw", *ids[at : at + BATCH])) for at in range(0, len(ids), BATCH)]
        begun = time.perf_counter()
        for one in acknowledge:
            raw.until(read + end, mark)
            raw.send(one, 1)
        took = time.perf_counter() - begun
        raw.send(pack(("XGROUP", "DESTROY", key, "raw")), 1)
    finally:
        raw.close()
    return len(ids) / took


async def _ids(world: World, key: bytes) -> list[bytes]:
    found: list[bytes] = []
    while page := await world.broker.execute(
        "XRANGE", key, b"(" + found[-1] if found else b"-", b"+", "COUNT", 5 * BATCH
    ):
        found += [entry[0] for entry in page]
    return found


class Prepared(NamedTuple):
    """One batch, its arguments ready."""

    events: int
    arguments: list[Any]


class Bare:
    """The runtime's own statement, and a plain upsert, run through asyncpg and nothing else."""

    def __init__(self, world: World, mirror: Mirror) -> None:
        self._world = world
        self._mirror = mirror

    @classmethod
    async def open(cls, world: World) -> Bare:
        """With the statement as the worker compiles it."""
        async with world.sink.connection() as connection:
            return cls(world, await compile_mirror(connection, controls.shelf().mirrors["goods"]))

    async def gated(self, events: Sequence[Envelope]) -> float:
        """Gate and upsert: events a second on two connections."""
        return await self._run(self._mirror.statement, list(self._batches(events)))

    async def plain(self, events: Sequence[Envelope]) -> float:
        """Upsert alone: events a second on two connections."""
        batches = [
            Prepared(count, [*arguments[3:5], *arguments[7:]]) for count, arguments in self._arrays(events)
        ]
        return await self._run(PLAIN, batches)

    def _batches(self, events: Sequence[Envelope]) -> Iterator[Prepared]:
        for count, arguments in self._arrays(events):
            packed = self._mirror.packed(arguments)
            if packed is None:
                raise AssertionError("a batch of the bench goes the usual way")
            yield Prepared(count, packed)

    def _arrays(self, events: Sequence[Envelope]) -> Iterator[Prepared]:
        for at in range(0, len(events), BATCH):
            some = events[at : at + BATCH]
            newest = [one for _, one in sorted({one.key: one for one in some}.items())]
            yield Prepared(len(some), self._mirror.arguments(SHELF, 1, newest))

    async def _run(self, statement: str, batches: list[Prepared]) -> float:
        waiting = iter(batches)

        async def lane(connection: Bound) -> None:
            prepared = await connection.prepare(statement)
            for batch in waiting:
                await prepared.fetch(*batch.arguments)

        return sum(batch.events for batch in batches) / await self._timed(lane)

    async def each(self, events: Sequence[Envelope]) -> float:
        """The inbox of a batch, then a statement an event, one after the other: events a second."""
        inbox = load(applier.__file__, "inbox")
        waiting = iter([events[at : at + BATCH] for at in range(0, len(events), BATCH)])

        async def lane(connection: Bound) -> None:
            for batch in waiting:
                async with connection.transaction():
                    await connection.fetch(
                        inbox, TILL, [one.id for one in batch], [one.tenant for one in batch]
                    )
                    for one in batch:
                        await connection.execute(SALE, *_sale(one))

        return len(events) / await self._timed(lane)

    async def _timed(self, lane: Callable[[Bound], Awaitable[None]]) -> float:
        await self._world.empty()
        connections = [await asyncpg.connect(self._world.sink.url) for _ in range(CONNECTIONS)]
        begun = time.perf_counter()
        await asyncio.gather(*map(lane, connections))
        took = time.perf_counter() - begun
        await asyncio.gather(*(connection.close() for connection in connections))
        return took


def _sale(envelope: Envelope) -> tuple[Any, ...]:
    event: Any = envelope.event
    return event.sale_id, envelope.tenant, event.good_id, event.amount


async def keyset(world: World) -> float:
    """Pages of 1,000 in key order, and nothing done with them: rows a second."""
    connection = await asyncpg.connect(world.source.url)
    try:
        types = await controls.BACKFILL.types(connection)
        first = controls.BACKFILL.page(types, after=False, since=False)
        later = controls.BACKFILL.page(types, after=True, since=False)
        begun, read = time.perf_counter(), 0
        rows = await connection.fetch(first, world.tenant, SHELF, BATCH)
        while rows:
            read += len(rows)
            after = controls.BACKFILL.position(rows[-1])
            rows = await connection.fetch(later, world.tenant, SHELF, BATCH, *after)
        return read / (time.perf_counter() - begun)
    finally:
        await connection.close()


async def said(world: World, pipeline: int = 500) -> float:
    """The same pages as events, appended `pipeline` at a time, one after the other: rows a second."""
    past, rows = controls.BACKFILL, 0
    async with world.source.connection() as connection:
        types = await past.types(connection)
        query, after, begun = past.page(types, after=False, since=False), list[str](), time.perf_counter()
        while page := await connection.fetch(query, world.tenant, SHELF, BATCH, *after):
            for at in range(0, len(page), pipeline):
                some = page[at : at + pipeline]
                told = [Said(past.say(row), world.tenant, row["version"]) for row in some]
                envelopes = [one.envelope("bench", target=SHELF, job="limit") for one in told]
                appends = [one for said in envelopes for one in world.outgoing.appends(said, ())]
                await world.broker.append(appends)
            rows, after = rows + len(page), past.position(page[-1])
            query = past.page(types, after=True, since=False)
        took = time.perf_counter() - begun
    await world.empty()
    return rows / took
