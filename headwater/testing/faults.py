"""A TCP proxy that fails on demand, to stand between your code and a real server.

    async with FaultProxy.before(redis_url) as proxy:
        broker = Broker(proxy.url)
        proxy.lose_reply(to=b"XADD")      # the server does it, the client never hears of it

It knows no protocol: `RedisProxy` and `PostgresProxy` do. Always holds: bytes pass unchanged and in
order until a fault says otherwise; at the end of the block no connection is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from headwater.testing.proxy import PIECE, Link, Proxy


class _Link(Link):
    reply_is_lost = False


class FaultProxy(Proxy):
    """Made by `FaultProxy.before`. Faults hold for every connection, present and future, until `heal`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.requests = 0
        """Pieces of at most 64 KiB that clients sent: a pipeline is one, as long as it fits."""
        self.lost = 0
        """Replies that were kept from their client."""
        self._delay = 0.0
        self._lose_to: bytes | None = None
        self._open = asyncio.Event()

    @property
    def armed(self) -> bool:
        """Whether `lose_reply` still waits for its request."""
        return self._lose_to is not None

    def lose_reply(self, *, to: bytes) -> None:
        """Let the next request that contains `to` pass, swallow its reply and break that connection."""
        self._lose_to = to

    def black_hole(self) -> None:
        """Hold every byte back in both directions; connections stay open and silent.

        `heal` lets pass what was held back.
        """
        self._open.clear()

    def delay(self, seconds: float) -> None:
        """Hold each piece back for so long, in both directions."""
        self._delay = seconds

    def _forget(self) -> None:
        self._delay, self._lose_to = 0.0, None
        self._open.set()

    def _pumps(
        self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[Any, Any]
    ) -> tuple[Link, list[Coroutine[Any, Any, None]]]:
        link = _Link(client[1], server[1])
        return link, [self._requests(link, client[0]), self._replies(link, server[0])]

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(PIECE):
            self.requests += 1
            if self._lose_to is not None and self._lose_to in piece:
                self._lose_to = None
                link.reply_is_lost = True
            await self._pass_on(piece, link.server)

    async def _replies(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(PIECE):
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
