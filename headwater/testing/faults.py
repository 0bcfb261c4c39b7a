"""A TCP proxy that fails on demand, to stand between your code and a real server.

    async with FaultProxy.before(redis_url) as proxy:
        broker = Broker(proxy.url)
        proxy.lose_reply(to=b"XADD")      # the server does it, the client never hears of it

Always holds: bytes pass unchanged and in order until a fault says otherwise; at the end of the block
no connection is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from headwater.embedded.server import free_port

_PIECE = 65_536


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.reply_is_lost = False

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class FaultProxy:
    """Made by `FaultProxy.before`. Faults hold for every connection, present and future, until `heal`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 0)
        self.port = free_port()
        account = parts.netloc.rpartition("@")[0]
        netloc = f"{account}@127.0.0.1:{self.port}" if account else f"127.0.0.1:{self.port}"
        self.url = urlunsplit(parts._replace(netloc=netloc))
        """As the server's, with the proxy's address."""
        self.connections = 0
        """How many were opened."""
        self.requests = 0
        """Pieces of at most 64 KiB that clients sent: a pipeline is one, as long as it fits."""
        self.lost = 0
        """Replies that were kept from their client."""
        self._delay = 0.0
        self._lose_to: bytes | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._door: asyncio.Server | None = None

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Self]:
        """A proxy in front of the server that `url` names; host and port must be in it."""
        proxy = cls(url)
        await proxy.heal()
        try:
            yield proxy
        finally:
            await proxy.refuse()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    @property
    def armed(self) -> bool:
        """Whether `lose_reply` still waits for its request."""
        return self._lose_to is not None

    def cut(self) -> None:
        """Break every connection there is; new ones pass."""
        for link in self._links:
            link.cut()

    async def refuse(self) -> None:
        """Break every connection and take no new one: the server is down."""
        if self._door is not None:
            self._door.close()
            self._door = None
        self.cut()

    def lose_reply(self, *, to: bytes) -> None:
        """Let the next request that contains `to` pass, swallow its reply and break that connection."""
        self._lose_to = to

    def black_hole(self) -> None:
        """Hold every byte back in both directions; connections stay open and silent."""
        self._open.clear()

    def delay(self, seconds: float) -> None:
        """Hold each piece back for so long, in both directions."""
        self._delay = seconds

    async def heal(self) -> None:
        """Take connections, and let everything pass again, also what a black hole held back."""
        self._delay, self._lose_to = 0.0, None
        self._open.set()
        if self._door is None:
            self._door = await asyncio.start_server(self._welcome, "127.0.0.1", self.port)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="fault-proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            replies, requests = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, requests)
        self._links.add(link)
        pumps = [
            asyncio.create_task(self._requests(link, reader)),
            asyncio.create_task(self._replies(link, replies)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._links.discard(link)
            link.cut()

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(_PIECE):
            self.requests += 1
            if self._lose_to is not None and self._lose_to in piece:
                self._lose_to = None
                link.reply_is_lost = True
            await self._pass_on(piece, link.server)

    async def _replies(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(_PIECE):
            if link.reply_is_lost:
                self.lost += 1
                return
            await self._pass_on(piece, link.client)

    async def _pass_on(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        if self._delay:
            await asyncio.sleep(self._delay)
        writer.write(piece)
        await writer.drain()
