"""End the sessions of workers that stand still in the middle of a statement.

Postgres ends a transaction whose client is silent between two statements. Where the client stopped
between the two halves of one, parsed and not yet bound, no timeout of Postgres before 17 ever comes,
and its locks would be kept for as long as that process is there.
"""

from __future__ import annotations

import random

import asyncpg

from headwater import telemetry
from headwater.database import Database, load
from headwater.delivery.shift import Shift
from headwater.errors import DatabaseUnavailable
from headwater.patience import pause

log = telemetry.logger(__name__)


async def end_frozen(shift: Shift, database: Database) -> None:
    """Look for them about twice in `min_idle`, until a stop."""
    while not await pause(shift.stopping, shift.post.pace.min_idle * random.uniform(0.3, 0.6)):  # noqa: S311
        try:
            if ended := await database.fetchval(load(__file__, "end_frozen")):
                log.warning("worker.frozen_sessions_ended", app=shift.post.app, sessions=ended)
        except (DatabaseUnavailable, asyncpg.PostgresError) as error:
            log.debug("worker.frozen_not_looked_for", app=shift.post.app, error=str(error))
