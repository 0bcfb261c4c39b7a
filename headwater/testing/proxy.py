"""What all proxies have in common: a port, a door that can be closed, and links that can be cut."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from headwater.embedded.server import free_port

PIECE = 65_536
"""Bytes taken from a connection at once, at most."""


class Link:
    """One client's connection and ours to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def cut(self) -> None:
        """Break both, without a farewell."""
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy(ABC):
    """Made by `before`. Faults hold for every connection, present and future, until `heal`."""

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
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._door: asyncio.Server | None = None

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str, **options: Any) -> AsyncIterator[Self]:
        """A proxy in front of the server that `url` names; host and port must be in it."""
        proxy = cls(url, **options)
        await proxy.heal()
        try:
            yield proxy
        finally:
            await proxy.refuse()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

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

    async def heal(self) -> None:
        """Take connections, and forget every fault."""
        self._forget()
        if self._door is None:
            self._door = await asyncio.start_server(self._welcome, "127.0.0.1", self.port)

    @abstractmethod
    def _forget(self) -> None:
        """Let everything pass from now on."""

    @abstractmethod
    def _pumps(
        self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[Any, Any]
    ) -> tuple[Link, list[Coroutine[Any, Any, None]]]:
        """The link of a new connection, and what carries its bytes: there, and back."""

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            server = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        link, pumps = self._pumps((reader, writer), server)
        self._links.add(link)
        tasks = [asyncio.create_task(pump) for pump in pumps]
        try:
            await self._carry(link, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._links.discard(link)
            link.cut()

    async def _carry(self, link: Link, tasks: list[asyncio.Task[None]]) -> None:
        """Until one side has ended."""
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
