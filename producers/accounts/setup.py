"""Make a source of users ready: headwater's tables, versions, doorbell, indexes, and where sweeps begin.

Safe to repeat, and while the application writes: each change of its table waits only briefly for its lock,
and indexes are built concurrently. What an older service left under the doorbell's name is replaced.
"""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec

from headwater import clock
from headwater.database import Connection, connect, load
from headwater.database.attach import attach
from headwater.database.migrate import SOURCE, migrate
from headwater.errors import HeadwaterError
from producers.accounts import MIGRATIONS, attached

INDEXES = {
    "idx_users_status_updated": "users (status, updated_at DESC)",
    "users_headwater_change": "users (headwater_xid, id)",
    "tombstone_of_accounts": "headwater.tombstone (xid) WHERE subject = 'accounts'",
}
"""What set-up creates: the first is the one that the existing service asks for."""
PATIENCE = 60.0
"""Seconds in which the lock of `users` is asked for, two at a time."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What set-up did."""

    migrations: list[str]
    stamped: int
    """Rows that were given their first version."""
    indexes: list[str]


async def set_up(url: str, realm: str) -> Done:
    """Do all of it. Raises DatabaseUnavailable, HeadwaterError where `users` is not what it has to be."""
    connection = await connect(url)
    try:
        await _check(connection)
        migrations = await migrate(url, [SOURCE, MIGRATIONS])
        stamped = await attach(connection, [attached], realm=realm)
        await _ring(connection, realm)
        indexes = [name for name in INDEXES if await _index(connection, name)]
        await connection.execute(load(__file__, "start_from_now"))
    finally:
        await connection.close()
    return Done(migrations=migrations, stamped=stamped, indexes=indexes)


async def lacking_columns(connection: Connection) -> list[str]:
    """The columns of `users` that events carry and it does not have; `users` itself when there is none."""
    there = {row["name"] for row in await connection.fetch(load(__file__, "columns"))}
    wanted = {"id", "created_at", "updated_at", *(attached.watched or ())}
    return sorted(wanted - there) if there else ["users"]


async def _check(connection: Connection) -> None:
    lacking = await lacking_columns(connection)
    if lacking == ["users"]:
        raise HeadwaterError(
            "the source has no table 'users'", hint="name the right database: SOURCE_DB_NAME"
        )
    if lacking:
        raise HeadwaterError(
            f"the source's users lack columns ({', '.join(lacking)})",
            hint="run the source's own migrations first",
        )


async def _ring(connection: Connection, realm: str) -> None:
    deadline = clock.monotonic() + PATIENCE
    while True:
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                await connection.execute(load(__file__, "doorbell"))
                await connection.execute(_truncate(realm))
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if clock.monotonic() > deadline:
                raise HeadwaterError(
                    f"table 'users' stayed locked for {PATIENCE:g} s",
                    hint="end the long transaction (pg_stat_activity) and run it again",
                ) from None
            await asyncio.sleep(0.1)
        else:
            return


def _truncate(realm: str) -> str:
    # The engine refuses TRUNCATE; this application's writes never fail because of us.
    arguments = ", ".join("'" + one.replace("'", "''") + "'" for one in (attached.subject, realm, "id"))
    return (
        "CREATE OR REPLACE TRIGGER zz_headwater_truncate BEFORE TRUNCATE ON users FOR EACH STATEMENT "
        f"EXECUTE FUNCTION user_sync.bury_all({arguments})"
    )


async def _index(connection: Connection, name: str) -> bool:
    """Build an index where it is missing or not whole; whether it was built now."""
    row = await connection.fetchrow(load(__file__, "indexes"), [name])
    if row is not None and row["valid"]:
        return False
    if row is not None:
        schema = "headwater." if INDEXES[name].startswith("headwater.") else ""
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}{name}")
    await connection.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {INDEXES[name]}")
    return True
