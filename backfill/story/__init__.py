"""The story that the demo plays: a tenant's first day, and the changes of every day after.

Nothing in it knows of streams or applications: it changes rows of the wrapper, says so, and the
rest is headwater's. The same seed tells the same story.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from random import Random

import asyncpg

from backfill.story.changes import Changes, NothingToDo
from backfill.story.day_one import Size, found
from backfill.story.dice import Dice
from headwater import clock
from headwater.database import Database
from headwater.publish import Producer
from producers import Producers

_LOST = (asyncpg.IntegrityConstraintViolationError, asyncpg.DeadlockDetectedError)
"""Somebody else was quicker: the transaction is gone, another change will do."""


class Story:
    """Some tenants of a wrapper, and what happens to them."""

    def __init__(
        self,
        database: Database,
        producers: Producers | Producer,
        *,
        organizations: int = 5,
        users: int = 10,
        tenants: int = 1,
        seed: int = 7,
    ) -> None:
        """`organizations` and `users` are for each tenant. A database hears a seed's story once."""
        self._database = database
        self._producers = producers if isinstance(producers, Producers) else Producers(producers)
        self._size = Size(organizations=organizations, users=users)
        self._dice = Dice(Random(seed))  # noqa: S311 (a story, not a secret)
        self._tenants = [self._dice.id() for _ in range(tenants)]
        self._changes = Changes(self._producers, self._dice)

    @property
    def tenants(self) -> list[str]:
        """The tenants' ids."""
        return [str(tenant) for tenant in self._tenants]

    async def day_one(self) -> None:
        """Found the tenants: HR is enabled, the CRM is not. One transaction each."""
        for tenant in self._tenants:
            async with self._database.transaction() as tx:
                await found(tx, self._producers, self._dice, tenant, self._size)

    async def change(self, n: int = 1) -> int:
        """Make `n` changes, each in a transaction of its own; how many were made."""
        for _ in range(n):
            while not await self._try():
                pass
        return n

    async def _try(self) -> bool:
        try:
            async with self._database.transaction() as tx:
                await self._changes.one(tx, self._dice.choice(self._tenants))
        except (NothingToDo, *_LOST):
            return False
        return True

    async def live(self, stop: asyncio.Event, rate: float) -> int:
        """Make `rate` changes a second until `stop`; how many were made. Late ones are made up for."""
        made, began = 0, clock.monotonic()
        while not stop.is_set():
            ahead = began + made / rate - clock.monotonic()
            if ahead > 0:
                await _either(stop.wait(), ahead)
            if not stop.is_set():
                made += await self.change()
        return made


async def _either(stopping: Awaitable[object], seconds: float) -> None:
    await asyncio.wait([task := asyncio.ensure_future(stopping)], timeout=seconds)
    task.cancel()
