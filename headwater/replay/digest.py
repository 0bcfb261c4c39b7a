"""What a comparison stands on: where a subject is kept, buckets, a hash that both servers compute alike."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from headwater.database import Database, Row

BUCKETS = 1024
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


class Bucket(NamedTuple):
    """How many rows a bucket has, and their digest."""

    rows: int
    digest: int


NOTHING = Bucket(0, 0)
Buckets = dict[int, Bucket]


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
