"""What doctor asks of the user sync: doorbell, versions and indexes of the source, and its sweeps."""

from __future__ import annotations

from collections.abc import AsyncIterator

from backfill.user_sync.standing import SILENCE
from headwater.cli.checks import Finding, fail, ok, warn
from headwater.config import Settings
from headwater.database import Connection, connect, load
from headwater.errors import ServerUnavailable
from producers import accounts
from producers.accounts.examine import lacks

FULL = 0.5
"""Share of the queue of notifications from which on somebody should look: full, it fails commits."""
STUCK = 600.0
"""Seconds for which one transaction may be the oldest open one."""
_SETUP = "headwater sync users setup"


async def checks(settings: Settings) -> AsyncIterator[Finding]:
    """Findings; none where no source of users is named."""
    where = settings.user_sync.source
    if where is None:
        return
    try:
        connection = await connect(where.reveal())
    except ServerUnavailable as error:
        yield fail("user sync source", str(error), "start it, or correct SOURCE_DB_HOST and its like")
        return
    try:
        async for one in _source(connection, where.reveal()):
            yield one
    finally:
        await connection.close()


async def _source(connection: Connection, url: str) -> AsyncIterator[Finding]:
    lacking = await lacks(connection, url)
    for one in lacking:
        state = fail if one.serious else warn
        yield state(f"user sync {one.what}", one.detail, _SETUP)
    if any(one.serious for one in lacking):
        return
    yield ok("user sync source", "set up, and its doorbell rings")
    usage: float = await connection.fetchval("SELECT pg_notification_queue_usage()")
    if usage > FULL:
        detail = f"{usage:.0%} full: at 100 % commits fail that notify"
        fix = "end the session that listens and reads nothing: pg_stat_activity, in all databases"
        yield warn("user sync notifications", detail, fix)
    row = await connection.fetchrow(load(accounts.__file__, "standing"))
    if row is not None and row["horizon_age"] > STUCK:
        detail = f"one transaction has been open for {row['horizon_age']:.0f} s: its changes come at its end"
        yield warn("user sync horizon", detail, "find it: SELECT * FROM pg_stat_activity ORDER BY xact_start")
    if row is not None and row["quiet"] is not None and row["quiet"] > SILENCE:
        detail = f"the last one ended {row['quiet']:.0f} s ago"
        yield warn("user sync sweeps", detail, "headwater sync users realtime")
