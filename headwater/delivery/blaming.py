"""Sessions that end while a batch is applied, on a server that is well: which entry does it.

An outage is waited out and counts against nobody. But a handler can end its own session, and its batch
would be tried for ever. So who loses its session again and again while Postgres answers others is tried
in halves, and an entry that does so alone has failed like any other: it is tried again later, and parked.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from headwater.database import Database
from headwater.delivery.handlers import HandlerFailed
from headwater.delivery.outcome import Limits, Park, RetryAfter, decide
from headwater.delivery.work import Delivery, sort_out
from headwater.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from headwater.delivery.applier import Applier
    from headwater.delivery.settler import Settler

LOSSES = 3
"""Sessions lost in a row, each on a server that answers, that are nobody's fault yet."""


def patience(failures: Sequence[int], *, doubted: bool) -> int:
    """Sessions to lose with a batch before it is looked into. Pure.

    `failures`: how often each entry failed before. `doubted`: it is part of a batch that lost too many.
    An administrator who ends sessions one after the other hardly ever meets one entry so often.
    """
    if len(failures) == 1:
        return 1 if failures[0] else LOSSES
    return 1 if doubted else LOSSES


async def answers(database: Database) -> bool:
    """Whether Postgres is well, as a new session sees it."""
    try:
        return bool(await database.fetchval("SELECT true"))
    except (DatabaseUnavailable, asyncpg.PostgresError):
        return False


def judge(failures: int, limits: Limits) -> RetryAfter | Park:
    """What becomes of an entry that ended its session, after so many failures."""
    error = HandlerFailed("its database session ended while it was applied, and Postgres was well")
    return decide(error, failures=failures, limits=limits, chance=random.random())  # noqa: S311


async def blame(settler: Settler, applier: Applier, delivery: Delivery, failures: int) -> bool:
    """Count a failure of an entry that ended its session alone. As `Settler.settle`."""
    found = sort_out([delivery], applier.consumer, settler.codec)
    outcomes = [judge(failures, applier.limits) for _ in found.work]
    return await settler.conclude(applier, [delivery], found, outcomes)
