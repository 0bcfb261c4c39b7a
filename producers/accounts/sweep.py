"""Find what changed in `users` and put it into the outbox of that database.

A pass says the difference of two snapshots: rows whose transaction the new one sees and the old one did
not, and the tombstones among them. So nothing is missed however long a transaction stays open, nothing is
said twice for having been read twice, and no clock is asked. Rows, their place and the outbox are one
transaction a page: a crash goes on behind it.

Always holds: one pass at a time in all processes (a lock), and a pass that was taken over writes nothing
(an epoch).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import asyncpg
import msgspec

from headwater.database import Connection, Row, connect, is_unavailable, load
from headwater.errors import DatabaseUnavailable, EventError, HeadwaterError
from headwater.event import Event
from headwater.publish import Producer, Said
from producers.accounts.pace import next_size
from producers.accounts.rows import change, key

UNSAYABLE = (EventError, msgspec.MsgspecError, ValueError, TypeError, KeyError)
"""What a row raises that no event can be made of."""
TIMEOUT = 30.0
"""Seconds without an answer after which the source counts as gone."""
LEASE = 15.0
"""Seconds without a statement in a pass after which the source ends its session: others may sweep."""


class Superseded(HeadwaterError):
    """Another process sweeps."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did."""

    said: int
    gone: int
    """How many of them say that an account is gone."""
    refused: dict[str, str]
    """Accounts that no event can be made of, and why."""
    pages: int
    seconds: float


class Sweeper:
    """One process's passes, on a connection of its own."""

    def __init__(self, url: str, producer: Producer, *, realm: str, most: int = 500) -> None:
        """`most`: rows of a page; less while the database is slow."""
        self._url = url
        self._producer = producer
        self._realm = realm
        self._most = most
        self._connection: Connection | None = None
        self.size = most
        """Rows of the next page."""

    async def sweep(self) -> Swept:
        """One pass.

        Raises Superseded while another process sweeps, DatabaseUnavailable, HeadwaterError when the source
        was never set up.
        """
        try:
            return await self._sweep(await self._open())
        except BaseException as error:
            # Whatever it was, a session in an unknown state must not keep the lock.
            await self.close()
            if isinstance(error, asyncpg.PostgresError | OSError | TimeoutError) and is_unavailable(error):
                raise DatabaseUnavailable(f"the source of users went away ({error})") from error
            raise

    async def close(self) -> None:
        """Give the connection up. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _open(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url, command_timeout=TIMEOUT)
            # To compile a statement that reads a few rows takes a hundred times as long as to run it.
            await self._connection.execute("SET jit = off")
        return self._connection

    async def _sweep(self, connection: Connection) -> Swept:
        if not await connection.fetchval(load(__file__, "lock_pass")):
            raise Superseded("another process sweeps")
        await connection.execute(f"SET idle_session_timeout = {round(LEASE * 1000)}")
        begun = time.monotonic()
        place = await connection.fetchrow(load(__file__, "begin_pass"))
        if place is None:
            raise HeadwaterError("the source of users was never set up", hint="headwater sync users setup")
        swept = await self._pages(connection, place, begun)
        await self._fenced(connection, "end_pass", place["epoch"], swept.seconds)
        await connection.execute("SET idle_session_timeout = 0")
        await connection.execute(load(__file__, "unlock_pass"))
        return swept

    async def _pages(self, connection: Connection, place: Row, begun: float) -> Swept:
        at: tuple[str | None, str | None] = (place["at_xid"], place["at_key"])
        said = gone = pages = 0
        refused: dict[str, str] = {}
        while True:
            asked, started = self.size, time.monotonic()
            rows, problems = await self._page(connection, place, at, asked)
            if rows:
                at = rows[-1]["xid"], key(rows[-1])
                pages += 1
                said += len(rows) - len(problems)
                gone += sum(row["gone"] for row in rows)
                refused |= problems
            if len(rows) < asked:
                seconds = time.monotonic() - begun
                return Swept(said=said, gone=gone, refused=refused, pages=pages, seconds=seconds)
            self.size = next_size(asked, time.monotonic() - started, self._most)

    async def _page(
        self, connection: Connection, place: Row, at: tuple[str | None, str | None], most: int
    ) -> tuple[list[Row], dict[str, str]]:
        async with connection.transaction():
            query = load(__file__, "page")
            rows = await connection.fetch(query, place["seen"], place["target"], *at, most, self._realm)
            if not rows:
                return [], {}
            events, refused = _events(rows)
            refused |= await self._say(connection, events)
            said = len(rows) - len(refused)
            await self._fenced(connection, "mark_page", place["epoch"], rows[-1]["xid"], key(rows[-1]), said)
            return rows, refused

    async def _say(self, connection: Connection, events: Sequence[tuple[Event, int]]) -> dict[str, str]:
        said = [Said(event, self._realm, version) for event, version in events]
        try:
            await self._producer.publish_many(connection, said)
        except EventError:  # raised before anything was written: one that is too large costs only itself
            return await self._say_each(connection, said)
        return {}

    async def _say_each(self, connection: Connection, said: Sequence[Said]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for one in said:
            try:
                await self._producer.publish_many(connection, [one])
            except EventError as error:
                refused[one.event.key] = f"{error.reason}: {error}"[:300]
        return refused

    async def _fenced(self, connection: Connection, statement: str, *values: object) -> None:
        if not await connection.fetchval(load(__file__, statement), *values):
            raise Superseded("another process has taken this pass over")


def _events(rows: Sequence[Row]) -> tuple[list[tuple[Event, int]], dict[str, str]]:
    events: list[tuple[Event, int]] = []
    refused: dict[str, str] = {}
    for row in rows:
        try:
            events.append((change(row), row["version"]))
        except UNSAYABLE as error:
            refused[key(row)] = f"{type(error).__name__}: {error}"[:300]
    return events, refused
