"""Who syncs a tenant: one run at a time over all processes, and nothing written by the one before.

A lease is a row in the database that is written. Taking it raises its token and waits for the transactions
that checked the one before; each transaction of a run checks its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from backfill.tenant_sync.errors import Superseded, SyncError
from backfill.tenant_sync.source import COLLECTIONS
from backfill.tenant_sync.states import Standing
from headwater.database import Database, Row, Tx, load

LEASE = 30.0
"""Seconds a run that says nothing keeps its tenant."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is to be made, and why."""

    method: str = "direct"
    requested: str = "direct"
    fallback: bool = False
    triggered_by: str = "login"
    whole: bool = True
    """False: only what is left in the background."""
    steal: bool = False
    """Take the lease from whoever has it."""


class Count(msgspec.Struct, kw_only=True, rename="camel"):
    """What became of a collection's rows."""

    fetched: int = 0
    stored: int = 0
    skipped: int = 0
    failed: int = 0
    gone: int = 0


class Lease(NamedTuple):
    """One run's hold on a tenant."""

    tenant: str
    token: int
    correlation: str


class State(NamedTuple):
    """How a tenant's sync stands."""

    row: Row
    collections: dict[str, Row]

    @property
    def standing(self) -> Standing:
        """What decides about the next step."""
        well = {name for name, one in self.collections.items() if one["status"] == "completed"}
        return Standing(
            phase=self.row["phase"],
            busy=self.row["busy"],
            known=self.row["known"],
            unfinished=not {one.name for one in COLLECTIONS} <= well,
            due=self.row["due"],
        )


class Leases:
    """The rows of all tenants."""

    def __init__(self, database: Database, holder: str, *, seconds: float = LEASE) -> None:
        """`holder` names this process."""
        self._database = database
        self._holder = holder
        self.seconds = seconds

    async def take(self, tenant: str, correlation: str, wish: Wish) -> Lease | None:
        """Begin a run, unless somebody else has begun one. Raises DatabaseUnavailable."""
        about = (tenant, self._holder, self.seconds, correlation, wish.whole, wish.steal)
        how = (wish.method, wish.requested, wish.fallback, wish.triggered_by)
        async with self._database.transaction() as tx:
            await tx.execute(load(__file__, "open"), tenant)
            token = await tx.fetchval(load(__file__, "take"), *about, *how)
        return None if token is None else Lease(tenant, token, correlation)

    async def check(self, lease: Lease, tx: Tx) -> None:
        """Raise Superseded unless it is held; nobody takes it before this transaction ends."""
        _held(await tx.fetchval(load(__file__, "check"), lease.tenant, lease.token), lease)

    async def renew(self, lease: Lease) -> None:
        """Hold it longer. Raises Superseded, DatabaseUnavailable."""
        _held(await self._database.fetchval(load(__file__, "renew"), *lease[:2], self.seconds), lease)

    async def let_go(self, lease: Lease) -> None:
        """Let whoever comes next go on."""
        await self._database.execute(load(__file__, "let_go"), *lease[:2])

    async def record(
        self, lease: Lease, name: str, status: str, count: Count, about: tuple[str | None, float]
    ) -> None:
        """Say how far a collection has come; `about`: its error and its seconds. Raises Superseded."""
        what = (name, status, *msgspec.structs.astuple(count), *about)
        _held(await self._database.fetchval(load(__file__, "collection"), *lease[:2], *what), lease)

    async def essential(self, lease: Lease) -> None:
        """Say that the essential data is in. Raises Superseded."""
        _held(await self._database.fetchval(load(__file__, "essential"), *lease[:2]), lease)

    async def finish(self, lease: Lease, error: SyncError | None = None) -> None:
        """Say that the run has ended, and let go. Raises Superseded."""
        text = None if error is None else msgspec.json.encode(error.as_data()).decode()
        about = ("completed", None, None) if error is None else ("failed", text, error.type)
        _held(await self._database.fetchval(load(__file__, "finish"), *lease[:2], *about), lease)

    async def state(self, tenant: str) -> State | None:
        """How a tenant's sync stands; None where nobody ever asked for one."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(load(__file__, "state"), tenant)
            some = await connection.fetch(load(__file__, "collections"), tenant) if row else []
        return None if row is None else State(row, {one["name"]: one for one in some})

    async def last_seconds(self, tenant: str) -> float:
        """How long the last sync took that came to its end; 0 for none."""
        return await self._database.fetchval(load(__file__, "last_seconds"), tenant) or 0.0


def _held(answer: Any, lease: Lease) -> None:
    if answer is None:
        raise Superseded(f"another run has the sync of {lease.tenant} now ({lease.correlation})")
