"""Do two databases agree? Compare (key, version) by bucket, both sides at once, while both move.

A bucket agrees once the application shows a digest that the source has shown since the comparison
began; only what never did is a difference. The source side is the backfill's own scope; the
sink side is the ledger joined with the rows that are really in the mapped table, so that a
truncated table shows as missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import msgspec

from headwater import clock, telemetry
from headwater.database import Database, Row, load
from headwater.errors import DeclarationError
from headwater.replay.backfill import Backfill

log = telemetry.logger(__name__)
BUCKETS = 1024
BRIEF = 2.0
"""Seconds that the same may take at the first try."""
PATIENCE = 600.0
"""Seconds that a statement over everything a tenant has may take."""


class Mirrored(msgspec.Struct, frozen=True):
    """Where an application keeps a subject: handed in by whoever knows the consumers."""

    app: str
    subject: str
    table: str
    key: str
    live: str | None = None
    """Further condition on the table."""
    retire: str | None = None
    """A column that is false for what is gone, in place of deleting the row."""
    columns: tuple[str, ...] = ()
    """What events write into the table beside tenant and key, for comparing its content."""


class Comparison(msgspec.Struct, frozen=True):
    """What a comparison of one subject found."""

    subject: str
    source_count: int
    applied_count: int
    differing: tuple[int, ...]
    """Numbers of the buckets that stayed different."""
    as_of: datetime

    @property
    def clean(self) -> bool:
        """Whether both sides agree."""
        return not self.differing


class Differences(msgspec.Struct, frozen=True):
    """Keys that differ, by kind."""

    missing: tuple[str, ...] = ()
    """In the source only."""
    stale: tuple[str, ...] = ()
    """Older in the application."""
    orphan: tuple[str, ...] = ()
    """In the application only."""
    ahead: tuple[str, ...] = ()
    """Newer in the application: the source's epoch was not raised after a restore, or a foreign writer."""


class Bucket(NamedTuple):
    """How many rows a bucket has, and their digest."""

    rows: int
    digest: int


NOTHING = Bucket(0, 0)
Buckets = dict[int, Bucket]


class Meeting:
    """Which buckets of two moving sides have met: the sink showed what the source had shown before."""

    def __init__(self) -> None:
        self._seen: dict[int, set[Bucket]] = {}
        self._met: set[int] = set()

    def look(self, source: Buckets, sink: Buckets) -> None:
        """Take both sides into account, the source read before the sink."""
        for number in self._seen.keys() | source.keys() | sink.keys():
            self._seen.setdefault(number, set()).add(source.get(number, NOTHING))
            if sink.get(number, NOTHING) in self._seen[number]:
                self._met.add(number)

    @property
    def differing(self) -> set[int]:
        """Buckets that have not met."""
        return self._seen.keys() - self._met


class Comparer:
    """Compares one source with one application."""

    def __init__(self, source: Database, sink: Database) -> None:
        self._source = source
        self._sink = sink
        self._hash: str | None = None
        self._sinks: dict[str, dict[str, str]] = {}

    async def compare(
        self,
        backfill: Backfill,
        mirrored: Mirrored,
        tenant: str,
        *,
        tries: int = 8,
        pause: float = 0.15,
        caught_up: Callable[[], Awaitable[None]] | None = None,
    ) -> Comparison:
        """Compare a tenant's rows of a subject; looks up to `tries` times, `pause` seconds apart.

        `caught_up` is awaited before the later looks: it returns when the application has applied
        what had been said by then, so that one that merely lags is not called different.
        Raises DatabaseUnavailable, DeclarationError.
        """
        meeting = Meeting()
        source: Buckets = {}
        sink: Buckets = {}
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(pause)
            if attempt > 1 and caught_up is not None:
                await caught_up()
            source = await self._buckets(self._source, backfill.versions, tenant, mirrored.app)
            sink = await self._buckets(self._sink, await self._applied(mirrored), tenant, mirrored.app)
            meeting.look(source, sink)
            if not meeting.differing:
                break
        return Comparison(
            mirrored.subject,
            sum(one.rows for one in source.values()),
            sum(one.rows for one in sink.values()),
            tuple(sorted(meeting.differing)),
            clock.now(),
        )

    async def differences(
        self, backfill: Backfill, mirrored: Mirrored, tenant: str, buckets: tuple[int, ...]
    ) -> Differences:
        """Which keys of the buckets differ, and how."""
        source = await self._keys(self._source, backfill.versions, tenant, mirrored.app, buckets)
        sink = await self._keys(self._sink, await self._applied(mirrored), tenant, mirrored.app, buckets)
        return classify(source, sink)

    async def reopen(self, mirrored: Mirrored, tenant: str, versions: Mapping[str, int]) -> None:
        """Let versions through the gate once more whose rows are gone from the application's table.

        The ledger says they were applied, so it would turn them away for ever. Rows that are there,
        newer versions and deletions stay as they are.
        """
        values = (tenant, mirrored.app, mirrored.subject, list(versions), list(versions.values()))
        await self._sink.execute(reopened(mirrored, await self._types(mirrored)), *values)

    async def _buckets(self, database: Database, versions: str, tenant: str, app: str) -> Buckets:
        # Hashed by the server, so that a million rows travel as a thousand.
        key, both = await self._hashes()
        query = (
            f"SELECT ({key} & {BUCKETS - 1})::int AS bucket, count(*) AS count, bit_xor({both}) AS digest "
            f"FROM (\n{versions}\n) AS v GROUP BY 1"
        )
        rows = await briefly(database, query, tenant, app)
        return {row["bucket"]: Bucket(row["count"], row["digest"]) for row in rows}

    async def _keys(
        self, database: Database, versions: str, tenant: str, app: str, buckets: tuple[int, ...]
    ) -> dict[str, int]:
        key, _ = await self._hashes()
        query = (
            f"SELECT v.key, v.version FROM (\n{versions}\n) AS v "
            f"WHERE ({key} & {BUCKETS - 1})::int = ANY ($3::int[])"
        )
        rows = await briefly(database, query, tenant, app, list(buckets))
        return {row["key"]: row["version"] for row in rows}

    async def _hashes(self) -> tuple[str, str]:
        if self._hash is None:
            self._hash = await common_hash(self._source, self._sink)
        return self._hash.format("v.key"), self._hash.format("v.key || ':' || v.version")

    async def _applied(self, mirrored: Mirrored) -> str:
        return applied(mirrored, await self._types(mirrored))

    async def _types(self, mirrored: Mirrored) -> dict[str, str]:
        if mirrored.subject not in self._sinks:
            rows = await self._sink.fetch(load(__file__, "key_types"), mirrored.table, mirrored.key)
            types = {row["name"]: row["type"] for row in rows}
            if len(types) != 2:
                raise DeclarationError(f"table {mirrored.table!r} lacks tenant_id or {mirrored.key!r}")
            self._sinks[mirrored.subject] = types
        return self._sinks[mirrored.subject]


async def briefly(database: Database, query: str, *values: object) -> list[Row]:
    """The same as `whole`; at once where that is enough: a tenant that keeps changing is looked at often."""
    async with database.connection() as connection:
        try:
            return await connection.fetch(query, *values, timeout=BRIEF)
        except (TimeoutError, asyncpg.QueryCanceledError):
            log.debug("compare.takes_longer", seconds=BRIEF)
    return await whole(database, query, *values)


async def whole(database: Database, query: str, *values: object) -> list[Row]:
    """Run a statement over everything a tenant has. Raises DatabaseUnavailable."""
    # Of tables that were filled a moment ago the planner knows nothing, and would visit one of them again
    # for each row of the other.
    return await patiently(database, query, *values, first="SET LOCAL enable_nestloop = off")


async def patiently(database: Database, query: str, *values: object, first: str = "") -> list[Row]:
    """Run a statement that may take long, after another one. Raises DatabaseUnavailable."""
    async with database.connection() as connection, connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = {round(PATIENCE * 1000)}; {first}")
        return await connection.fetch(query, *values, timeout=PATIENCE)


async def common_hash(source: Database, sink: Database) -> str:
    """SQL of a hash that both servers compute alike, with `{}` where the text goes."""
    probe = "SELECT hashtextextended('headwater', 0)"
    # The quick hash is not promised to be the same in every version of Postgres: ask, and fall back.
    if await source.fetchval(probe) == await sink.fetchval(probe):
        return "hashtextextended({}, 0)"
    return "('x' || substr(md5({}), 1, 16))::bit(64)::bigint"


def applied(mirrored: Mirrored, types: dict[str, str]) -> str:
    """SQL for (key, version) of what an application holds. Parameters: tenant, app."""
    live = f" AND ({mirrored.live})" if mirrored.live else ""
    subject = mirrored.subject.replace("'", "''")
    return (
        "SELECT l.key, l.version FROM headwater.ledger AS l\n"
        f"  JOIN (SELECT {mirrored.key} AS id FROM {mirrored.table}\n"
        f"         WHERE tenant_id = $1::text::{types['tenant_id']}{live}) AS t\n"
        f"    ON t.id = l.key::{types[mirrored.key]}\n"
        f" WHERE l.tenant = $1::text AND l.app = $2::text AND l.subject = '{subject}' AND NOT l.deleted"
    )


def reopened(mirrored: Mirrored, types: dict[str, str]) -> str:
    """SQL that lowers the ledger below versions whose rows are gone.

    $1 tenant, $2 app, $3 subject, $4 keys, $5 versions -> nothing
    """
    return (
        "UPDATE headwater.ledger AS l SET version = l.version - 1\n"
        "  FROM unnest($4::text[], $5::bigint[]) AS lost (key, version)\n"
        " WHERE l.tenant = $1 AND l.app = $2 AND l.subject = $3 AND l.key = lost.key\n"
        "   AND l.version = lost.version AND NOT l.deleted AND NOT EXISTS (\n"
        f"       SELECT FROM {mirrored.table} AS t\n"
        f"        WHERE t.tenant_id = $1::text::{types['tenant_id']}\n"
        f"          AND t.{mirrored.key} = lost.key::{types[mirrored.key]})"
    )


def classify(source: dict[str, int], sink: dict[str, int]) -> Differences:
    """Differences of two maps from key to version. Pure."""
    both = source.keys() & sink.keys()
    return Differences(
        missing=tuple(sorted(source.keys() - sink.keys())),
        stale=tuple(sorted(key for key in both if sink[key] < source[key])),
        orphan=tuple(sorted(sink.keys() - source.keys())),
        ahead=tuple(sorted(key for key in both if sink[key] > source[key])),
    )


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """A comparison as it is shown to people and programs."""
    return {
        "subject": comparison.subject,
        "sourceCount": comparison.source_count,
        "appliedCount": comparison.applied_count,
        "bucketsDiffering": len(comparison.differing),
        "agree": comparison.clean,
        "asOf": comparison.as_of,
    }
