"""Hear that something changed in a database: a connection of its own, kept alive, made again for ever.

What it hears is only that it is time to look. While it hears nothing, sweeps go on by the clock, and after
every reconnect there is one: what rang meanwhile was heard by nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from headwater import telemetry
from headwater.database import Connection, connect
from headwater.errors import ServerUnavailable
from headwater.patience import backoff, pause

log = telemetry.logger(__name__)
NAME = "user_changes"
HEARTBEAT = 10.0
"""Seconds between questions whether the connection still listens: a half-open one is silent for ever."""
TIMEOUT = 5.0
"""Seconds without an answer to one, after which it is taken for gone."""


class Bell:
    """Rings an event when something changed, and when it listens again."""

    def __init__(
        self, url: str, rung: asyncio.Event, *, heartbeat: float = HEARTBEAT, name: str = NAME
    ) -> None:
        """`name`: what is notified."""
        self._name = name
        self._url = url
        self._rung = rung
        self._heartbeat = heartbeat
        self._stopping = asyncio.Event()
        self._lost: Callable[[str], Awaitable[None]] | None = None
        self.listening = False
        self.attempts = 0
        """Connections in a row that did not come about, or broke; 0 while it listens."""
        self.reconnects = 0
        """How often it listened again."""

    def tell_losses(self, lost: Callable[[str], Awaitable[None]]) -> None:
        """`lost` hears why, once each time that the connection is lost."""
        self._lost = lost

    def stop(self) -> None:
        """Leave `run`. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Listen until stopped; a loss of the server only makes it try again, with growing random pauses."""
        while not self._stopping.is_set():
            try:
                await self._session()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ServerUnavailable) as error:
                await self._again(str(error) or type(error).__name__)

    async def _again(self, why: str) -> None:
        was, self.listening = self.listening, False
        self.attempts += 1
        seconds = backoff(self.attempts)
        log.warning("bell.lost", error=why, attempt=self.attempts, seconds=round(seconds, 2))
        if self._lost is not None and (was or self.attempts == 1):
            await self._lost(why)
        await pause(self._stopping, seconds)

    async def _session(self) -> None:
        connection = await connect(self._url, timeout=TIMEOUT, command_timeout=TIMEOUT)
        ended = asyncio.Event()
        try:
            connection.add_termination_listener(lambda *_: ended.set())
            await connection.add_listener(self._name, self._ring)
            if self.attempts:
                self.reconnects += 1
                log.info("bell.listens_again", attempts=self.attempts)
            self.listening, self.attempts = True, 0
            self._rung.set()  # first listen, then sweep: whatever rang before was heard by nobody
            while not self._stopping.is_set():
                await self._wait(ended)
                if ended.is_set():
                    raise OSError("the server ended the connection")
                await self._ask(connection)
        finally:
            connection.terminate()

    async def _wait(self, ended: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(one.wait()) for one in (ended, self._stopping)]
        try:
            await asyncio.wait(waits, timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _ask(self, connection: Connection) -> None:
        names = await connection.fetch("SELECT pg_listening_channels() AS name")
        if self._name not in [row["name"] for row in names]:
            raise OSError("the connection does not listen any more")

    def _ring(self, *_: Any) -> None:
        self._rung.set()
