"""The only door to Redis: append, read, claim, acknowledge, inspect; typed.

Nothing here retries. A hidden retry would append twice, or read entries into a pending list that
nobody looks at; so a lost answer surfaces as BrokerUnavailable, and the caller decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import redis.asyncio as redis
import redis.exceptions as raised

from headwater.broker.address import new_pool
from headwater.broker.entry import ClaimedPage, ConsumerState, Entry, GroupState, Portion, StreamState
from headwater.broker.features import Features, probe
from headwater.broker.protocol import (
    Append,
    Command,
    arrived,
    entries,
    pack,
    pack_acknowledge,
    pack_appends,
    refused,
)
from headwater.errors import BrokerUnavailable, GroupMissing, HeadwaterError

_LOST = (
    raised.ConnectionError,
    raised.TimeoutError,
    raised.InvalidResponse,  # what answers there is no Redis
    OSError,
    asyncio.IncompleteReadError,
)

RELEASED = "released"
"""The consumer name that holds what nobody works on: given away at a drain, taken at the next reclaim."""


class Broker:
    """A pool of connections for short commands and one of its own for blocking reads."""

    def __init__(
        self, url: str, *, timeout: float = 5.0, connections: int = 8, name: str = "headwater"
    ) -> None:
        """`timeout`: seconds without an answer after which a connection counts as lost.

        Raises SettingsError for an address that can not be used.
        """
        self.timeout = timeout
        self._url = url
        self._pool = new_pool(url, timeout, connections, name)
        self._readers = new_pool(url, timeout, 1, f"{name}-reader")
        self._reader: Any = None
        self._reader_id: int | None = None
        self._blocked: int | None = None
        self._features: Features | None = None

    def beside(self, name: str) -> Broker:
        """Another one to the same server: a blocking read holds its connection for as long as it blocks."""
        return Broker(self._url, timeout=self.timeout, name=name)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._pool.disconnect()
        await self._readers.disconnect()

    @contextlib.asynccontextmanager
    async def _connection(self, pool: redis.BlockingConnectionPool) -> AsyncIterator[Any]:
        try:
            connection: Any = await pool.get_connection()  # type: ignore[no-untyped-call]
        except (*_LOST, raised.AuthenticationError, raised.ResponseError) as error:
            raise BrokerUnavailable(f"no connection to Redis ({error})", sent=False) from error
        try:
            yield connection
        except BaseException as error:
            # A reply may still be on its way: this connection must never be used again.
            await connection.disconnect(nowait=True)
            self._features = None  # whoever answers next may be another server
            if isinstance(error, _LOST):
                raise BrokerUnavailable(f"Redis gave no answer ({type(error).__name__}: {error})") from error
            raise
        finally:
            await pool.release(connection)

    async def _send(self, packed: bytes, replies: int) -> list[Any]:
        async with self._connection(self._pool) as connection:
            await connection.send_packed_command(packed)
            return await self._replies(connection, replies)

    async def _replies(self, connection: Any, count: int) -> list[Any]:
        found: list[Any] = []
        loop = asyncio.get_running_loop()
        # One deadline that moves on, in place of one for each reply: that was a sixth of a relay's time.
        async with asyncio.timeout(self.timeout) as limit:
            while len(found) < count:
                limit.reschedule(loop.time() + self.timeout)
                found.append(await _reply(connection, math.inf))
                found += arrived(connection, count - len(found))
        return found

    def appending(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """A connection for an Appender. Raises BrokerUnavailable, also out of the block."""
        return self._connection(self._pool)

    async def answers(self, connection: Any, count: int) -> list[str | HeadwaterError]:
        """What Redis answered to so many appends on this connection, each an id or an error."""
        replies = await self._replies(connection, count)
        return [reply if isinstance(reply, HeadwaterError) else reply.decode() for reply in replies]

    async def execute(self, *command: Any) -> Any:
        """One command's reply, RESP2 shape. Raises BrokerUnavailable, GroupMissing, BrokerRefused."""
        return (await self.pipeline([command]))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order; the first error reply is raised after all were read."""
        return _raise_first(await self.ask(commands))

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order; an error reply stands in its place. Raises BrokerUnavailable."""
        if not commands:
            return []
        return await self._send(b"".join(map(pack, commands)), len(commands))

    async def features(self) -> Features:
        """What the server can do beyond Redis 7.0; asked once a connection. Raises BrokerUnavailable."""
        if self._features is not None:
            return self._features
        found, lasting = await probe(self.ask)
        self._features = found if lasting else None
        return found

    async def append(self, appends: Sequence[Append]) -> list[str | HeadwaterError]:
        """Append entries in order, in one pipeline.

        Returns for each its entry id, or the error Redis answered. Raises BrokerUnavailable when an
        answer is missing: then any of them may have been appended.
        """
        if not appends:
            return []
        packed = pack_appends(appends)
        async with self.appending() as connection:
            await connection.send_packed_command(packed)
            return await self.answers(connection, len(appends))

    async def read(
        self, group: str, consumer: str, streams: Sequence[str], *, count: int | Portion, block: float
    ) -> list[Entry]:
        """New entries, up to `count` of each stream; waits up to `block` seconds for the first.

        The further bounds of a `Portion` hold where the server knows them (`Features.bounded_read`).

        Raises BrokerUnavailable: what was read may now be pending under this consumer, read it with
        `pending_of`. Raises GroupMissing when a stream or its group is gone.
        """
        bounds = await self._bounds(count)
        command = ("XREADGROUP", "GROUP", group, consumer, *bounds, "BLOCK", max(1, int(block * 1000)))
        packed = pack((*command, "STREAMS", *streams, *(b">" for _ in streams)))
        async with self._connection(self._readers) as connection:
            if connection is not self._reader or self._reader_id is None:
                self._reader, self._reader_id = connection, None
                await connection.send_packed_command(pack(("CLIENT", "ID")))
                number = await _reply(connection)
                self._reader_id = number if isinstance(number, int) else None  # not everybody may ask
            identity, self._reader_id = self._reader_id, None
            self._blocked = identity
            await connection.send_packed_command(packed)
            reply = await _reply(connection)
            # Only a connection that answered keeps its number: after a reconnect it has another one.
            self._blocked, self._reader_id = None, identity
        if isinstance(reply, HeadwaterError):
            raise reply
        return [entry for stream, part in reply or () for entry in entries(stream.decode(), part)]

    async def _bounds(self, count: int | Portion) -> Command:
        if isinstance(count, int):
            return ("COUNT", count)
        if not (await self.features()).bounded_read:
            return ("COUNT", count.each)
        return ("COUNT", count.each, "MAXCOUNT", max(count.each, count.most), "MAXSIZE", count.size)

    async def unblock(self) -> None:
        """Let a blocked `read` return at once, empty-handed. Harmless when none is blocked."""
        if self._blocked is not None:
            await self.execute("CLIENT", "UNBLOCK", self._blocked)

    async def pending_of(
        self, group: str, consumer: str, stream: str, *, after: str = "0", count: int = 500
    ) -> list[Entry]:
        """Entries this consumer holds, in id order after `after`. Raises as `read` does.

        Source: https://redis.io/docs/latest/commands/xreadgroup/ (an id other than `>`)
        """
        reply = await self.execute(
            "XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", stream, after
        )
        return [entry for name, part in reply or () for entry in entries(name.decode(), part)]

    async def bodies(self, stream: str, ids: Sequence[str]) -> list[Entry]:
        """Entries by their ids, in this order; without fields those that are gone."""
        replies = await self.pipeline([("XRANGE", stream, identity, identity) for identity in ids])
        found = zip(ids, replies, strict=True)
        return [(entries(stream, reply) or [Entry(stream, identity, None)])[0] for identity, reply in found]

    async def claim_idle(
        self,
        stream: str,
        group: str,
        consumer: str,
        *,
        min_idle: float,
        cursor: str = "0-0",
        count: int = 100,
    ) -> ClaimedPage:
        """Take over up to `count` deliveries idle for at least `min_idle` seconds.

        Many workers may call this at once: Redis lets exactly one of them win an entry.
        Source: https://redis.io/docs/latest/commands/xautoclaim/ (third element: since Redis 7)
        """
        reply = await self.execute(
            "XAUTOCLAIM", stream, group, consumer, int(min_idle * 1000), cursor, "COUNT", count
        )
        lost = [identity.decode() for identity in (reply[2] if len(reply) > 2 else ())]
        return ClaimedPage(entries(stream, [part for part in reply[1] if part]), lost, reply[0].decode())

    async def claim(
        self, stream: str, group: str, consumer: str, ids: Sequence[str], *, min_idle: float
    ) -> list[Entry]:
        """Take over those of these deliveries that are idle for at least `min_idle` seconds.

        Source: https://redis.io/docs/latest/commands/xclaim/
        """
        reply = await self.execute("XCLAIM", stream, group, consumer, int(min_idle * 1000), *ids)
        return entries(stream, [part for part in reply if part])

    async def heartbeat(
        self, group: str, consumer: str, held: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Reset the idle time of everything this consumer holds, without raising its delivery counts.

        Returns by stream the ids that are pending no more: acknowledged by somebody, or deleted.
        """
        asked = {stream: ids for stream, ids in held.items() if ids}
        if not asked:
            return {}
        replies = await self.pipeline(
            [("XCLAIM", stream, group, consumer, 0, *ids, "JUSTID") for stream, ids in asked.items()]
        )
        return {
            stream: gone
            for (stream, ids), reply in zip(asked.items(), replies, strict=True)
            if (gone := _without(ids, reply))
        }

    async def held_by(self, group: str, consumer: str, stream: str) -> set[str]:
        """Ids of everything that is pending under this consumer's name."""
        found: set[str] = set()
        start = "-"
        while page := await self.execute("XPENDING", stream, group, start, "+", 1000, consumer):
            found.update(identity.decode() for identity, *_ in page)
            start = f"({page[-1][0].decode()}"
        return found

    async def give_back(self, group: str, consumer: str, stream: str, *, idle: float) -> int:
        """Give away everything that is pending under this consumer's name; how much that was.

        Any worker takes it at its next reclaim. What somebody else took over meanwhile stays with them.
        """
        ids = sorted(await self.held_by(group, consumer, stream))
        if ids and (await self.features()).nack:
            await self.execute("XNACK", stream, group, "SILENT", "IDS", len(ids), *ids)
        elif ids:
            await self.execute("XCLAIM", stream, group, RELEASED, 0, *ids, "IDLE", int(idle * 1000), "JUSTID")
        return len(ids)

    async def acknowledge(self, group: str, ids: Mapping[str, Sequence[str]]) -> list[str]:
        """Take entries off the group's pending list. Idempotent.

        Returns the streams of which some were pending no more.
        """
        asked = {stream: some for stream, some in ids.items() if some}
        if not asked:
            return []
        packed = [pack_acknowledge(stream, group, some) for stream, some in asked.items()]
        replies = await self._send(b"".join(packed), len(packed))
        _raise_first(replies)
        counts = zip(asked.items(), replies, strict=True)
        return [stream for (stream, some), count in counts if count < len(some)]

    async def create_group(self, stream: str, group: str, *, start: str = "0") -> bool:
        """Create stream and group where missing; True when the group is new."""
        try:
            await self.execute("XGROUP", "CREATE", stream, group, start, "MKSTREAM")
        except HeadwaterError as error:
            if str(error).startswith("BUSYGROUP"):
                return False
            raise
        return True

    async def groups(self, stream: str) -> list[GroupState]:
        """The stream's groups; empty when the stream does not exist."""
        try:
            reply = await self.execute("XINFO", "GROUPS", stream)
        except GroupMissing:
            return []
        return list(map(GroupState.read, reply))

    async def consumers(self, stream: str, group: str) -> list[ConsumerState]:
        """The group's consumer names on one stream; empty when there is no such group."""
        try:
            reply = await self.execute("XINFO", "CONSUMERS", stream, group)
        except GroupMissing:
            return []
        return list(map(ConsumerState.read, reply))

    async def stream(self, stream: str) -> StreamState | None:
        """The stream as it is, None when it does not exist."""
        try:
            return StreamState.read(await self.execute("XINFO", "STREAM", stream))
        except GroupMissing:
            return None

    async def range(self, stream: str, *, start: str = "-", end: str = "+", count: int = 100) -> list[Entry]:
        """Entries from `start` to `end`, both included unless written `(id`, in id order."""
        return entries(stream, await self.execute("XRANGE", stream, start, end, "COUNT", count))

    async def pending_upto(self, stream: str, group: str, upto: str) -> int:
        """How many pending entries have an id not above `upto`, counted up to 1,000."""
        return len(await self.execute("XPENDING", stream, group, "-", upto, 1000))

    async def deliveries(
        self, group: str, consumer: str, stream: str, *, first: str, last: str
    ) -> dict[str, int]:
        """How often each entry that this consumer holds, from `first` to `last`, was given out."""
        found: dict[str, int] = {}
        while page := await self.execute("XPENDING", stream, group, first, last, 1000, consumer):
            found.update((identity.decode(), count) for identity, _, _, count in page)
            first = f"({page[-1][0].decode()}"
        return found

    async def version(self) -> str:
        """Server name and version, for people."""
        text = (await self.execute("INFO", "server")).decode()
        found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "valkey_version" in found:
            return f"valkey {found['valkey_version']}"
        return f"redis {found.get('redis_version', 'unknown')}"


def _raise_first(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, HeadwaterError):
            raise reply
    return replies


async def _reply(connection: Any, timeout: float | None = None) -> Any:
    try:
        return await connection.read_response(timeout=timeout)
    except raised.ConnectionError:
        raise
    except raised.ResponseError as error:
        return refused(error)


def _without(ids: Sequence[str], reply: list[bytes]) -> list[str]:
    if len(reply) == len(ids):
        return []
    found = {one.decode() for one in reply}
    return [one for one in ids if one not in found]
