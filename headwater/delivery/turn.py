"""Whose turn it is to read an application's ordered streams: one worker's at a time.

The turn is a row in the application's database, held for a time and renewed. Whoever takes it raises
its epoch, and waits for the transactions of the one before; each transaction that applies or stores
ordered entries checks the epoch, so that a worker which was thought dead changes nothing.
"""

from __future__ import annotations

import uuid

from headwater.database import Database, Tx, load
from headwater.delivery.halving import Fenced


class Turn:
    """One worker's claim on it."""

    def __init__(self, database: Database, app: str, name: str, seconds: float) -> None:
        """`seconds`: how long it is held without being renewed."""
        self._database = database
        self._app = app
        self._holder = f"{name}#{uuid.uuid4().hex[:8]}"
        self._seconds = seconds
        self._epoch: int | None = None

    async def take(self) -> bool:
        """Take it if nobody holds it. Raises DatabaseUnavailable, LockNotAvailableError."""
        async with self._database.transaction() as tx:
            await tx.execute(load(__file__, "open_turn"), self._app)
            self._epoch = await tx.fetchval(
                load(__file__, "take_turn"), self._app, self._holder, self._seconds
            )
        return self._epoch is not None

    async def renew(self) -> None:
        """Hold it longer. Raises Fenced when somebody else has it."""
        held = await self._database.fetchval(
            load(__file__, "renew_turn"), self._app, self._epoch, self._seconds
        )
        if held is None:
            raise Fenced(f"{self._holder} lost the turn")

    async def check(self, tx: Tx) -> None:
        """Raise Fenced unless it is held; nobody takes it before this transaction ends."""
        if await tx.fetchval(load(__file__, "check_turn"), self._app, self._epoch) is None:
            raise Fenced(f"{self._holder} lost the turn")

    async def give_up(self) -> None:
        """Let the next one have it at once."""
        await self._database.execute(load(__file__, "give_up_turn"), self._app, self._epoch)
        self._epoch = None
