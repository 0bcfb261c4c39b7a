"""What was read goes through the gate of the application, as if events had said it.

Always holds: a row counts as stored only when the application's table has it, at the version that was read or
a newer one; what the ledger says was applied and the table lacks is applied once more. What is gone is marked
so at the version that was known of it, so that anything the source says of it later still wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import asyncpg

from backfill.tenant_sync.source import Fact
from headwater.database import Database, Tx, is_unfit, load
from headwater.delivery.consumer import Upsert
from headwater.delivery.mirror import Mirror, compile_mirror
from headwater.errors import DeclarationError
from headwater.event import Envelope
from headwater.replay import Mirrored
from headwater.replay.sides import rows_shown

SERVICE = "tenant-sync"
"""Who speaks, as it would stand in an envelope."""
Fence = Callable[[Tx], Awaitable[None]]
"""Raises Superseded when the transaction is not this run's to make."""
_OF_A_ROW = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


class Table(NamedTuple):
    """Where a subject is kept."""

    mirror: Mirror
    mirrored: Mirrored
    types: dict[str, str]


class Gate:
    """One application's tables."""

    def __init__(self, database: Database, app: str, kept: Sequence[Upsert]) -> None:
        """`kept`: where the application keeps what is synced."""
        self.database = database
        self._app = app
        self._kept = kept
        self._tables: dict[str, Table] = {}
        self._generations: dict[str, int] = {}

    async def open(self) -> None:
        """Read the types of the tables, and which generation each is in. Raises DeclarationError."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(load(__file__, "generations"), self._app)
            self._generations = {row["subject"]: row["generation"] for row in rows}
            if self._tables:
                return
            tables = {}
            for one in self._kept:
                rows = await connection.fetch(load(__file__, "columns"), one.table)
                mirrored = Mirrored(self._app, one.subject, one.table, one.key, one.live, one.retire)
                types = {row["name"]: row["type"] for row in rows}
                tables[one.subject] = Table(await compile_mirror(connection, one), mirrored, types)
            self._tables = tables  # all at once: another tenant's run may look at any moment

    def _table(self, subject: str) -> Table:
        if subject not in self._tables:
            raise DeclarationError(f"{self._app} keeps no {subject}")
        return self._tables[subject]

    async def known(self, tenant: str, subject: str) -> dict[str, int]:
        """Keys that the application shows, with their versions."""
        table = self._table(subject)
        query = f"SELECT key, version FROM (\n{rows_shown(table.mirrored, table.types)}\n) AS v WHERE shown"
        rows = await self.database.fetch(query, tenant, self._app)
        return {row["key"]: row["version"] for row in rows}

    async def store(self, tenant: str, subject: str, facts: Sequence[Fact], fence: Fence) -> dict[str, str]:
        """Apply facts, in one transaction where all can be; those that are not stored, with the reason.

        Raises DatabaseUnavailable, Superseded.
        """
        if not facts:
            return {}
        try:
            async with self.database.transaction() as tx:
                await fence(tx)
                return await self._stored(tx, tenant, self._table(subject), facts)
        except (*_OF_A_ROW, asyncpg.InterfaceError) as error:
            if isinstance(error, asyncpg.InterfaceError) and not is_unfit(error):
                raise
            if len(facts) == 1:
                return {facts[0].event.key: f"{type(error).__name__}: {error}"[:300]}
        half = len(facts) // 2
        first = await self.store(tenant, subject, facts[:half], fence)
        return first | await self.store(tenant, subject, facts[half:], fence)

    async def _stored(self, tx: Tx, tenant: str, table: Table, facts: Sequence[Fact]) -> dict[str, str]:
        newest = {fact.event.key: fact for fact in sorted(facts, key=lambda one: one.version)}
        await self._apply(tx, tenant, table, [newest[key] for key in sorted(newest)])
        lost = await self._absent(tx, tenant, table, newest)
        again = [key for key in sorted(lost) if lost[key] == newest[key].version]
        if again:
            about = (self._app, tenant, table.mirrored.subject)
            await tx.execute(load(__file__, "reopen"), *about, again, [newest[key].version for key in again])
            await self._apply(tx, tenant, table, [newest[key] for key in again])
            lost = await self._absent(tx, tenant, table, newest)
        return {
            key: f"the application lacks it, and knows version {version}" for key, version in lost.items()
        }

    async def _apply(self, tx: Tx, tenant: str, table: Table, facts: Sequence[Fact]) -> None:
        states = [
            Envelope(
                id="",
                event=one.event,
                tenant=tenant,
                time="",
                source=SERVICE,
                version=one.version,
                op=one.event.op,
            )
            for one in facts
        ]
        subject = table.mirrored.subject
        await table.mirror.apply(tx, self._app, self._generations.get(subject, 1), states)

    async def _absent(
        self, tx: Tx, tenant: str, table: Table, newest: Mapping[str, Fact]
    ) -> dict[str, int | None]:
        """Which facts do not stand in the table, and the version that the ledger knows of each."""
        facts = newest.values()
        columns = (
            list(newest),
            [one.version for one in facts],
            [one.event.op == "d" for one in facts],
        )
        rows = await tx.fetch(absent(table), tenant, self._app, *columns)
        return {row["key"]: row["version"] for row in rows}

    async def retire(self, tenant: str, subject: str, gone: Mapping[str, int], fence: Fence) -> int:
        """Take keys out of the application's sight that the source does not have any more; how many went.

        What was said anew of a key since its version was known stays.
        """
        table = self._table(subject)
        if not gone:
            return 0
        async with self.database.transaction() as tx:
            await fence(tx)
            about = (self._app, tenant, subject, list(gone), list(gone.values()))
            keys = [row["key"] for row in await tx.fetch(load(__file__, "retire"), *about)]
            await tx.execute(table.mirror.removal, [tenant] * len(keys), keys)
        return len(keys)


def absent(table: Table) -> str:
    """SQL: which of what was read does not stand in the table as it should.

    $1 tenant, $2 app, $3 keys, $4 versions, $5 whether each is to be gone -> (key, version of the ledger)
    """
    one, types = table.mirrored, table.types
    subject = one.subject.replace("'", "''")
    # Each key is looked up by itself: of tables that were filled a moment ago the planner knows nothing, and
    # would walk through all that a tenant has once for every key.
    return (
        "SELECT e.key, l.version\n"
        "  FROM unnest($3::text[], $4::bigint[], $5::bool[]) AS e (key, version, gone)\n"
        "  LEFT JOIN LATERAL (SELECT version, deleted FROM headwater.ledger\n"
        f"         WHERE app = $2::text AND tenant = $1::text AND subject = '{subject}' AND key = e.key\n"
        "         LIMIT 1) AS l ON true\n"
        f"  LEFT JOIN LATERAL (SELECT true AS there FROM {one.table} AS t\n"
        f"         WHERE t.tenant_id = $1::text::{types['tenant_id']}\n"
        f"           AND t.{one.key} = e.key::{types[one.key]} LIMIT 1) AS t ON true\n"
        " WHERE l.version IS NULL OR l.version < e.version\n"
        "    OR CASE WHEN l.deleted THEN l.version = e.version AND NOT e.gone ELSE t.there IS NULL END"
    )
