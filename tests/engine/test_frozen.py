"""A worker that stands still in the middle of a statement: no timeout of Postgres ends its session."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from headwater.config import DatabaseSettings
from headwater.database import Database
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import applied, letters, put, sale

CHILD = Path(__file__).with_name("frozen_child.py")
STANDS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND state = 'active' AND wait_event = 'ClientRead'
   AND query_start < now() - interval '0.5 s'
"""


async def test_the_locks_of_a_process_that_stands_still_within_a_statement_are_given_up(shop: Shop) -> None:
    limits = DatabaseSettings(lock_timeout=0.2, idle_in_transaction=0.5)
    sink = await Database.open(shop.sink.url, limits=limits)
    event_id = sale(shop, "held")[b"eventId"].decode()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), shop.sink.url, event_id), cwd=CHILD.parents[2]
    )
    try:
        await until(lambda: shop.sink.fetchval(STANDS), within=30)  # past both timeouts of that session
        worker = shop.start(shop.worker(sink=sink))
        await put(shop, sale(shop, "held"), sale(shop, "other"))
        await applied(shop, "held", "other")
        assert await letters(shop) == {}
        assert await shop.sink.fetchval(STANDS) == 0
        await shop.stop(worker)
    finally:
        child.kill()
        await child.wait()
        await sink.close()
