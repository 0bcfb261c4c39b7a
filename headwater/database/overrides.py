"""Settings that an operator changes while processes run: rows in an application's database.

    live = await Live.open(database, settings)      # process-wide; run() keeps it up to date
    live.now().tenant_sync.use_temporal             # what is in force, without asking anybody

A row is in force within `LOOK` seconds in every process that runs a Live. While the database is away what
was in force last stays so. A row that is no setting, or out of range, is left out with a warning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import asyncpg

from headwater import telemetry
from headwater.config import Settings
from headwater.config.overriding import overlaid
from headwater.database.pool import Database, Row
from headwater.database.queries import load
from headwater.errors import HeadwaterError
from headwater.patience import pause

log = telemetry.logger(__name__)
LOOK = 2.0
"""Seconds between two looks."""


class Overrides:
    """The rows of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self) -> Sequence[Row]:
        """`name`, `value`, `set_by`, `set_at`, by name. Raises DatabaseUnavailable, HeadwaterError."""
        try:
            return await self._database.fetch(load(__file__, "overrides"))
        except asyncpg.UndefinedTableError:
            raise _not_migrated() from None

    async def set(self, name: str, value: str) -> None:
        """Put a value in force; both as `config.override` gives them. Raises as `rows`."""
        try:
            await self._database.execute(load(__file__, "override_set"), name, value)
        except asyncpg.UndefinedTableError:
            raise _not_migrated() from None

    async def unset(self, name: str) -> bool:
        """Take it back; whether there was one. Raises as `rows`."""
        try:
            return await self._database.fetchval(load(__file__, "override_unset"), name) is not None
        except asyncpg.UndefinedTableError:
            raise _not_migrated() from None


class Live:
    """The settings of a process with the overrides on top."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._overrides = Overrides(database)
        self._started_with = self._settings = settings
        self._rows: Mapping[str, str] = {}
        self._stopping = asyncio.Event()
        self._away_since: float | None = None

    @classmethod
    async def open(cls, database: Database, settings: Settings) -> Live:
        """One that has looked once. Raises DatabaseUnavailable, HeadwaterError."""
        live = cls(database, settings)
        await live.look()
        return live

    def now(self) -> Settings:
        """What is in force."""
        return self._settings

    @property
    def away(self) -> bool:
        """Whether the last look found no database."""
        return self._away_since is not None

    def stop(self) -> None:
        """Look no more. Idempotent."""
        self._stopping.set()

    async def run(self, *, every: float = LOOK) -> None:
        """Look every so many seconds until stopped."""
        while not await pause(self._stopping, every):
            try:
                await self.look()
            except (HeadwaterError, asyncpg.PostgresError) as error:
                self._away(error)

    async def look(self) -> None:
        """Read the rows now. Raises DatabaseUnavailable, HeadwaterError."""
        rows = {row["name"]: row["value"] for row in await self._overrides.rows()}
        if self._away_since is not None:
            log.info("overrides.read_again", seconds=round(time.monotonic() - self._away_since, 1))
            self._away_since = None
        if rows != self._rows:
            self._put_in_force(rows)

    def _put_in_force(self, rows: Mapping[str, str]) -> None:
        settings, refused = overlaid(self._started_with, rows)
        for name, error in refused.items():
            log.warning("overrides.refused", name=name, error=str(error))
        log.info("overrides.changed", rows=dict(rows))
        self._rows, self._settings = rows, settings

    def _away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("overrides.not_read", error=str(error))


def _not_migrated() -> HeadwaterError:
    return HeadwaterError("the table of overrides is missing", hint="run: headwater db migrate")
