"""What keeps tenant syncs tidy: stuck ones are ended, old runs forgotten, locks taken away on demand.

A run is stuck when its lease ran out and nobody took it over. Whoever ends it raises its token first, under
the row's lock: a process that was only slow writes nothing afterwards. All of it stands in the audit trail.
"""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec

from backfill.tenant_sync.errors import TooLong
from headwater import telemetry
from headwater.database import Database, Row, load
from headwater.errors import HeadwaterError, ServerUnavailable
from headwater.patience import pause

log = telemetry.logger(__name__)
EVERY = 300.0
"""Seconds between two clean-ups."""
GRACE = 600.0
"""Seconds for which a run must have been stuck until it is ended."""
KEPT = 30 * 86_400.0
"""Seconds that ended runs and the audit trail are kept; the last run of each tenant stays."""
BATCH = 5000
STUCK = TooLong(
    "Sync marked as failed due to stuck lock",
    hint="the process that made it is gone: the next login or headwater sync tenants makes it again",
)


class StillWriting(HeadwaterError):
    """A lock can not be taken away now: its run is in the middle of a long transaction."""


class Freed(msgspec.Struct, frozen=True, rename="camel"):
    """A lock that somebody asked to be removed."""

    tenant_id: str
    released: bool
    """False: nobody had it."""
    held_by: str | None


class Upkeep:
    """Of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin no further clean-up. Idempotent."""
        self._stopping.set()

    async def run(self, *, every: float = EVERY) -> None:
        """Now, and every so many seconds; an outage only delays."""
        while True:
            try:
                await self.clean_up("clock")
                await self.prune()
            except (ServerUnavailable, asyncpg.PostgresError) as error:
                log.warning("tenant_sync.not_cleaned_up", reason=telemetry.safe_text(error))
            if await pause(self._stopping, every):
                return

    async def stuck(self, older: float = GRACE) -> list[Row]:
        """Runs stuck for so many seconds, the oldest first."""
        return await self._database.fetch(load(__file__, "stuck"), older, BATCH)

    async def clean_up(self, actor: str, older: float = GRACE) -> list[Row]:
        """End those; what was ended. Raises DatabaseUnavailable."""
        about = (STUCK.type, type(STUCK).__name__, str(STUCK), STUCK.hint)
        rows = await self._database.fetch(load(__file__, "clean_up"), older, actor, *about, BATCH)
        for row in rows:
            known = {"tenant": row["tenant"], "correlation": row["correlation"], "holder": row["holder"]}
            log.warning("tenant_sync.stuck", **known, seconds=round(row["seconds"], 1), by=actor)
        return rows

    async def release(self, tenant: str, actor: str) -> Freed | None:
        """Take a tenant's lock from whoever has it; None where nobody ever synced the tenant.

        Waits for the transaction that the run is in; it writes nothing after that. The sync is pending then,
        and due: whoever waits for it makes it again. Raises StillWriting, DatabaseUnavailable.
        """
        try:
            row = await self._database.fetchrow(load(__file__, "release"), tenant, actor)
        except asyncpg.LockNotAvailableError as error:
            raise StillWriting(f"the run of {tenant} is in a transaction that does not end") from error
        if row is None:
            return None
        if row["released"]:
            log.warning("tenant_sync.lock_removed", tenant=tenant, holder=row["holder"], by=actor)
        return Freed(tenant, row["released"], row["holder"] if row["released"] else None)

    async def make_due(self, actor: str) -> int:
        """Let what failed be tried at once instead of when its time has come; how many."""
        made: int = await self._database.fetchval(load(__file__, "make_due"), actor)
        return made

    async def note(self, tenant: str | None, actor: str, action: str, detail: str | None = None) -> None:
        """Add to the audit trail."""
        await self._database.execute(load(__file__, "note"), tenant, actor, action, detail)

    async def prune(self, *, kept: float = KEPT) -> tuple[int, int]:
        """Forget runs and notes older than that; how many of each."""
        return await self._pruned("prune_runs", kept), await self._pruned("prune_notes", kept)

    async def _pruned(self, statement: str, kept: float) -> int:
        total = 0
        while not self._stopping.is_set():
            gone: int = await self._database.fetchval(load(__file__, statement), kept, BATCH)
            total += gone
            if gone < BATCH:
                break
        return total
