"""Give the source's tables their versions, also to rows that are there already, while writers go on.

Each table is altered in a transaction of its own that waits only briefly for its lock, so that
writers never queue behind it for long. Rows are stamped in batches that skip whatever a writer
holds: a batch waits for nobody, so it can be part of no deadlock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

import asyncpg
import msgspec

from headwater import clock
from headwater.database.pool import Connection, connect
from headwater.database.queries import load
from headwater.errors import HeadwaterError
from headwater.event import Event
from headwater.event.spelling import dump

BATCH = 5000
"""Rows stamped in one transaction."""
KEY = "{key}"
"""Stands for a row's key in what the database says by itself."""


class Moves(NamedTuple):
    """Which application a row belongs to, where that is a column of its own.

    When the column changes, the database itself says, in the same transaction, that the key is gone for the
    application before: whoever changed it, and whatever a producer says of the row. A producer has only to
    say the row as it is now.
    """

    column: str
    """It holds the application's name, and is among the watched ones."""
    gone: Callable[[str], Event]
    """The event that says a key is gone."""


class Attached(NamedTuple):
    """A source table whose rows carry versions."""

    table: str
    subject: str
    tenant_column: str | None
    """None: its rows belong to no tenant, and the realm stands there."""
    key_column: str
    watched: tuple[str, ...] | None
    """Columns whose changes draw a version: those that events carry. None: all."""
    recurring: bool = False
    """Whether a key may come back after its deletion while others write.

    Costs an insert a lock and a look at the row; who inserts needs the right to update, too. A transaction
    that inserts many takes few of these locks; it is ended with a serialization failure, and can be run
    again, when one of its keys was deleted in the moment it came.
    """
    moves: Moves | None = None


class Patience(msgspec.Struct, frozen=True):
    """How long to wait for others, in seconds."""

    lock: float = 2.0
    """For the lock of one `ALTER TABLE`: writers of the table wait behind it."""
    total: float = 60.0
    """Without progress, for one table: for its lock, or for rows that writers hold."""


async def attach(
    where: str | Connection,
    attached: Iterable[Attached],
    *,
    batch: int = BATCH,
    patience: Patience | None = None,
    realm: str | None = None,
) -> int:
    """Attach tables and stamp rows without a version; how many rows were stamped. May be run again.

    `where`: a URL, or a connection outside any transaction. `realm`: stands where a tenant would, for tables
    without a tenant column. Raises DatabaseUnavailable, and
    HeadwaterError when a table stays locked beyond the patience; what was done until then stays.
    """
    if isinstance(where, str):
        connection = await connect(where)
        try:
            return await attach(connection, attached, batch=batch, patience=patience, realm=realm)
        finally:
            await connection.close()
    stamped = 0
    for one in attached:
        deadline = _Deadline(one.table, patience or Patience())
        await _alter(where, one, deadline, None if one.tenant_column else realm)
        stamped += await _stamp(where, one.table, batch, deadline)
    return stamped


class _Deadline:
    def __init__(self, table: str, patience: Patience) -> None:
        self.patience = patience
        self._table = table
        self.progressed()

    def progressed(self) -> None:
        self._end = clock.monotonic() + self.patience.total

    async def pause(self) -> None:
        if clock.monotonic() > self._end:
            raise HeadwaterError(
                f"table {self._table!r} stayed locked for {self.patience.total:g} s",
                hint="end the long transaction (pg_stat_activity) and run it again",
            )
        await asyncio.sleep(0.1)


async def _alter(connection: Connection, one: Attached, deadline: _Deadline, realm: str | None) -> None:
    watched = None if one.watched is None else list(one.watched)
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {int(deadline.patience.lock * 1000)}")
                head = (one.table, one.subject, one.tenant_column, one.key_column)
                await connection.execute(load(__file__, "attach_table"), *head, watched, one.recurring, realm)
                about = (one.table, one.tenant_column, one.key_column, *_said(one.moves), realm)
                await connection.execute(load(__file__, "attach_moves"), *about)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await deadline.pause()
        else:
            return


def _said(moves: Moves | None) -> tuple[str | int | None, ...]:
    if moves is None:
        return (None,) * 5
    event = moves.gone(KEY)
    return moves.column, event.type, event.schema_version, dump(event).decode(), event.op


async def _stamp(connection: Connection, table: str, batch: int, deadline: _Deadline) -> int:
    name = await connection.fetchval("SELECT $1::text::regclass::text", table)
    stamped = 0
    while True:
        tag = await connection.execute(_stamp_statement(name), batch)
        done = int(tag.rpartition(" ")[2])
        stamped += done
        if done:
            deadline.progressed()
        elif await connection.fetchval(_stamped_statement(name)):
            return stamped
        else:
            await deadline.pause()  # writers hold what is left; their commit stamps it or lets it go


def _stamp_statement(table: str) -> str:
    return f"""
UPDATE {table}
   SET headwater_version = headwater.next_version(), headwater_xid = pg_current_xact_id()
 WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM {table} WHERE headwater_version IS NULL LIMIT $1 FOR UPDATE SKIP LOCKED))
   AND headwater_version IS NULL
"""


def _stamped_statement(table: str) -> str:
    return f"SELECT NOT EXISTS (SELECT FROM {table} WHERE headwater_version IS NULL)"
