"""Both sides of a comparison as SQL reads them: digests by bucket, then keys of a bucket, then single keys.

The source side is the backfill's own scope. The application's is its ledger beside the rows that are
really in the mapped table, so that a truncated table shows as missing, and a row without a line in the
ledger shows at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headwater.database import Database, Row, load
from headwater.errors import DeclarationError
from headwater.replay import reach
from headwater.replay.backfill import Backfill
from headwater.replay.digest import (
    BUCKETS,
    Bucket,
    Buckets,
    Mirrored,
    common_hash,
    patiently,
    reopened,
    whole,
)
from headwater.replay.kinds import Held


class Shown(NamedTuple):
    """An application's side by bucket."""

    buckets: Buckets
    astray: dict[int, int]
    """Rows that no line of the ledger speaks for, by bucket."""


class Sides:
    """One tenant's rows of one subject, in the source and in an application."""

    def __init__(
        self, source: Database, sink: Database, backfill: Backfill, mirrored: Mirrored, tenant: str
    ) -> None:
        self.source = source
        self.sink = sink
        self.backfill = backfill
        self.mirrored = mirrored
        self.tenant = tenant
        self.types: dict[str, str] = {}
        """Of the mapped table's columns."""
        self._hash = self._lookup = ""

    async def open(self) -> None:
        """Read the table's types, and agree on a hash. Raises DeclarationError, DatabaseUnavailable."""
        rows = await self.sink.fetch(load(__file__, "table_columns"), self.mirrored.table)
        self.types = {row["name"]: row["type"] for row in rows}
        wanted = ("tenant_id", self.mirrored.key, *self.mirrored.columns)
        missing = [name for name in wanted if name not in self.types]
        if missing:
            raise DeclarationError(f"table {self.mirrored.table!r} lacks {', '.join(missing)}")
        self._hash = await common_hash(self.source, self.sink)
        async with self.source.connection() as connection:
            self._lookup = await self.backfill.lookup(connection, *self._values)

    async def buckets(self) -> tuple[Buckets, Shown]:
        """Both sides, hashed by the servers at the same time: a million rows travel as a thousand."""
        return await asyncio.gather(self._said(), self._shown())

    async def _said(self) -> Buckets:
        query = (
            f"SELECT {self._number} AS bucket, count(*) AS count, bit_xor({self._digest}) AS digest "
            f"FROM (\n{self.backfill.versions}\n) AS v GROUP BY 1"
        )
        rows = await self._fetch(self.source, query)
        return {row["bucket"]: Bucket(row["count"], row["digest"]) for row in rows}

    async def _shown(self) -> Shown:
        query = (
            f"SELECT {self._number} AS bucket, count(*) FILTER (WHERE shown) AS count,\n"
            f"       coalesce(bit_xor({self._digest}) FILTER (WHERE shown), 0) AS digest,\n"
            "       count(*) FILTER (WHERE NOT shown) AS astray\n"
            f"  FROM (\n{rows_shown(self.mirrored, self.types)}\n) AS v WHERE shown OR stays GROUP BY 1"
        )
        rows = await self._fetch(self.sink, query)
        buckets = {row["bucket"]: Bucket(row["count"], row["digest"]) for row in rows if row["count"]}
        return Shown(buckets, {row["bucket"]: row["astray"] for row in rows if row["astray"]})

    async def keys_said(self, buckets: Sequence[int]) -> dict[str, int]:
        """Versions by key of what the source has in some buckets."""
        query = (
            f"SELECT v.key, v.version FROM (\n{self.backfill.versions}\n) AS v "
            f"WHERE {self._number} = ANY ($3::int[])"
        )
        return {row["key"]: row["version"] for row in await self._fetch(self.source, query, list(buckets))}

    async def keys_held(self, buckets: Sequence[int]) -> dict[str, Held]:
        """What the application has in some buckets, by key."""
        query = (
            f"SELECT v.* FROM (\n{held(self.mirrored, self.types)}\n) AS v "
            f"WHERE {self._number} = ANY ($3::int[])"
        )
        return _held(await self._fetch(self.sink, query, list(buckets)))

    async def said(self, keys: Sequence[str]) -> dict[str, int]:
        """Versions of these keys that the source has now."""
        query = f"SELECT v.key, v.version FROM (\n{self._lookup}\n) AS v"
        rows = await patiently(self.source, query, *self._values, list(keys))
        return {row["key"]: row["version"] for row in rows}

    async def rows(self, keys: Sequence[str]) -> list[Row]:
        """Rows of the source by key, as the backfill reads them."""
        values = (*self._values, list(keys))
        return await reach.rows(
            lambda query: patiently(self.source, query, *values), self._lookup, self.types_said
        )

    async def types_said(self) -> dict[str, str]:
        """Types of what the source says of a row, by column."""
        async with self.source.connection() as connection:
            return await self.backfill.types(connection)

    async def held(self, keys: Sequence[str]) -> dict[str, Held]:
        """What the application has of these keys now."""
        query = held(self.mirrored, self.types, single=True)
        return _held(await patiently(self.sink, query, *self._values, list(keys)))

    async def reopen(self, versions: Mapping[str, int]) -> None:
        """Let versions through the gate once more whose rows are gone from the application's table.

        The ledger says they were applied, so it would turn them away for ever. Rows that are there,
        newer versions and deletions stay as they are.
        """
        about = (self.tenant, self.mirrored.app, self.mirrored.subject)
        query = reopened(self.mirrored, self.types)
        await self.sink.execute(query, *about, list(versions), list(versions.values()))

    async def letters(self, keys: Sequence[str]) -> dict[str, int]:
        """Dead letters that stand for these keys."""
        about = (self.mirrored.app, self.tenant, self.mirrored.subject, list(keys))
        rows = await self.sink.fetch(load(__file__, "letters_of"), *about)
        return {row["key"]: row["letter"] for row in rows}

    async def _fetch(self, database: Database, query: str, *more: list[int]) -> list[Row]:
        return await whole(database, query, *self._values, *more)

    @property
    def _values(self) -> tuple[str, str]:
        return self.tenant, self.mirrored.app

    @property
    def _number(self) -> str:
        return f"({self._hash.format('v.key')} & {BUCKETS - 1})::int"

    @property
    def _digest(self) -> str:
        return self._hash.format("v.key || ':' || v.version")


def rows_shown(mirrored: Mirrored, types: dict[str, str]) -> str:
    """SQL for the rows of the table, each with its line in the ledger. Parameters: tenant, app.

    Yields key, version, shown (the line speaks for the row), stays (the row is not a retired one).
    """
    return (
        "SELECT t.id::text AS key, l.version, l.deleted IS FALSE AS shown, t.stays\n"
        f"  FROM ({_rows(mirrored, types)}) AS t\n"
        f"  LEFT JOIN ({_lines(mirrored)}) AS l ON t.id = l.key::{plain_type(types[mirrored.key])}"
    )


def held(mirrored: Mirrored, types: dict[str, str], *, single: bool = False) -> str:
    """SQL for all that an application has. Parameters: tenant, app, and the keys when `single`.

    Yields key, version, gone, row.
    """
    keys = "$3::text[]"
    rows = f" AND {mirrored.key} = ANY ({keys}::{plain_type(types[mirrored.key])}[])" if single else ""
    lines = f" AND key = ANY ({keys})" if single else ""
    return (
        "SELECT coalesce(l.key, t.id::text) AS key, l.version, l.deleted IS TRUE AS gone,\n"
        "       t.id IS NOT NULL AND (l.deleted IS FALSE OR t.stays) AS row\n"
        f"  FROM ({_rows(mirrored, types)}{rows}) AS t\n"
        f"  FULL JOIN ({_lines(mirrored)}{lines}) AS l ON t.id = l.key::{plain_type(types[mirrored.key])}"
    )


def _rows(mirrored: Mirrored, types: dict[str, str]) -> str:
    stays = f"{mirrored.retire} IS NOT FALSE" if mirrored.retire else "true"
    live = f" AND ({mirrored.live})" if mirrored.live else ""
    return (
        f"SELECT {mirrored.key} AS id, {stays} AS stays FROM {mirrored.table}\n"
        f"         WHERE tenant_id = $1::text::{types['tenant_id']}{live}"
    )


def _lines(mirrored: Mirrored) -> str:
    subject = mirrored.subject.replace("'", "''")
    return (
        "SELECT key, version, deleted FROM headwater.ledger\n"
        f"         WHERE tenant = $1::text AND app = $2::text AND subject = '{subject}'"
    )


def plain_type(column_type: str) -> str:
    """A type without its length."""
    return column_type.partition("(")[0]


def _held(rows: Sequence[Row]) -> dict[str, Held]:
    return {row["key"]: Held(row["version"], row["gone"], row["row"]) for row in rows}
