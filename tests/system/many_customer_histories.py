"""Thousands of two-sided histories on real databases: `python -m tests.system.many_customer_histories`.

Half of them with databases that end their sessions in the middle. Each has to end with both sides alike,
every concurrent edit told, and nothing written any more when all of it arrives once more; else it ends with
1, naming the seed.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack

from consumers import migrations
from consumers.customer_records.meeting import SIDES, Side
from headwater.database import Database
from headwater.database.migrate import APP, migrate
from headwater.testing import running_servers
from tests.system.test_customer_histories import COUNTING, played
from tests.system.test_customer_sync import TABLE, Sided

EMPTY = (
    "TRUNCATE customer_sync.copy, customer_sync.conflict, customer_sync.quarantine, public.writes, public.{}"
)


async def main(count: int, first: int) -> None:
    """Play them one after the other on the same two databases."""
    edits = concurrent = crashes = 0
    async with running_servers() as servers, AsyncExitStack() as stack:
        both: dict[Side, Sided] = {}
        for side in SIDES:
            url = await stack.enter_async_context(servers.fresh_database())
            await migrate(url, [APP, (side, migrations[side])])
            database = await Database.open(url)
            stack.push_async_callback(database.close)
            await database.execute(COUNTING.replace("customer_table", TABLE[side]))
            both[side] = Sided(side, database)
        for seed in range(first, first + count):
            for one in both.values():
                await one.database.execute(EMPTY.format(TABLE[one.side]))
            try:
                history = await played(both, seed, steps=40, crashes=seed % 2 == 1)
            except AssertionError as error:
                raise SystemExit(f"seed {seed}: {error}") from error
            edits, concurrent = edits + history.edits, concurrent + history.concurrent
            crashes += history.crashes
            if seed % 100 == 99:
                print(f"{seed + 1 - first} histories", flush=True)
    print(f"{count} histories, {edits} edits, {concurrent} concurrent ones told, {crashes} sessions ended")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    asyncio.run(main(given.count, given.first))
