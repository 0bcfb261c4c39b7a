"""Empty tables of what is old, in transactions of bounded size, with pauses, passing by what others hold.

A table without an index on its times is walked page by page: an index would cost every apply more than the
walk costs here. Nothing waits for a row's lock, so that no worker waits for this in a ring.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from headwater import clock
from headwater.database import Database, load
from headwater.patience import pause

PAGES = 256
"""Pages of one transaction: 2 MiB, some 20,000 marks."""
ROWS = 5_000
"""Rows of one transaction, where an index finds them."""
REST = 1.0
"""Longest pause between two transactions in seconds; each rests as long as it worked."""
WALKED = ("ledger", "inbox", "dead_letter", "gap", "failure")
"""Tables of an application's database."""
FOUND = ("outbox", "tombstone", "job", "reconcile_event", "republish")
"""Tables of the source."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one table, or would."""

    database: str
    table: str
    removed: int
    before: datetime | None
    """What is older goes; None: nothing may go yet."""
    held_by: str = ""
    """What keeps things that are older than their retention."""


class Sweeper:
    """Removes rows of one database, or counts them."""

    def __init__(self, database: Database, *, dry: bool, stopping: asyncio.Event) -> None:
        self._database = database
        self._dry = dry
        self._stopping = stopping

    async def walk(self, table: str, app: str, before: datetime) -> int:
        """Rows of an application in one of its tables. Raises DatabaseUnavailable."""
        pages = await self._database.fetchval(load(__file__, "pages"), f"headwater.{table}")
        removed = 0
        for page in range(0, pages, PAGES):
            if self._stopping.is_set():
                break
            began = clock.monotonic()
            about = (app, before, page, page + PAGES, not self._dry)
            count = await self._database.fetchval(load(__file__, f"sweep_{table}"), *about)
            removed += count
            await self._rest(began if count else clock.monotonic())
        return removed

    async def find(self, table: str, before: datetime) -> int:
        """Rows of one of the source's tables. Raises DatabaseUnavailable."""
        query = load(__file__, f"sweep_{table}")
        if self._dry:
            return int(await self._database.fetchval(query, before, ROWS, False))
        removed = 0
        while not self._stopping.is_set():
            began = clock.monotonic()
            count = await self._database.fetchval(query, before, ROWS, True)
            removed += count
            if count < ROWS:
                break
            await self._rest(began)
        return removed

    async def _rest(self, began: float) -> None:
        worked = clock.monotonic() - began
        if not self._dry and worked > 0:
            await pause(self._stopping, min(REST, worked))
