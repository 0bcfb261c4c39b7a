"""Pages of a backfill's rows: while one is said, the next is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from headwater.database import Database, Row
from headwater.replay import reach
from headwater.replay.backfill import Backfill
from headwater.replay.jobs import Job, Part


class Pages:
    """Reads what is left of one subject of a job, up to its last key."""

    def __init__(self, source: Database, backfill: Backfill, job: Job, chunk: int) -> None:
        """`chunk`: rows of a page; two pages are held at most."""
        self._source = source
        self._backfill = backfill
        self._job = job
        self._chunk = chunk

    async def of(self, part: Part) -> AsyncGenerator[list[Row], None]:
        """Pages behind the part's checkpoint, in key order. Close it. Raises DatabaseUnavailable."""
        if not part.bound:
            return
        async with self._source.connection() as connection:
            types = await self._backfill.types(connection)
        reading = self._begin(types, part.bound, part.checkpoint)
        try:
            while rows := await reading:
                if len(rows) == self._chunk:
                    reading = self._begin(types, part.bound, self._backfill.position(rows[-1]))
                yield rows
                if len(rows) < self._chunk:
                    return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)  # its page is not wanted any more

    def _begin(
        self, types: dict[str, str], bound: list[str], after: list[str] | None
    ) -> asyncio.Task[list[Row]]:
        job, since = self._job, [] if self._job.since is None else [self._job.since]
        query = self._backfill.page(types, after=after is not None, since=bool(since), bound=True)
        values = (job.tenant, job.app, self._chunk, *since, *bound, *(after or []))
        return asyncio.create_task(self._read(query, values, types), name="page")

    async def _read(self, query: str, values: tuple[Any, ...], types: Mapping[str, str]) -> list[Row]:
        async def known() -> Mapping[str, str]:
            return types

        return await reach.rows(lambda some: self._source.fetch(some, *values), query, known)
