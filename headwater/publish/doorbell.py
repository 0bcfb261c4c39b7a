"""When the relay looks for rows: woken by commits while little happens, by itself while much does.

A notification makes commits wait for each other. So a busy relay says that it looks by itself, and
commits are silent. Before it lies down again it says so, and goes on looking until every transaction has
ended that may still believe it awake: no wake-up is lost in between. The poll stays what all else rests on.
"""

from __future__ import annotations

import asyncio

from headwater import clock
from headwater.database import Connection, load

BUSY = 50
"""Rows within a second from which on the relay looks by itself.

Where a commit takes milliseconds, a few more notifications keep all commits waiting for each other."""
QUIET = 0.25
"""Seconds without a row after which it wants to be woken again."""
LOOK = 0.003
"""Seconds between looks."""


class Doorbell:
    """Of one leader."""

    def __init__(self, connection: Connection, epoch: int) -> None:
        """`connection`: the one that hears the bell."""
        self._connection = connection
        self._epoch = epoch
        self._rung = asyncio.Event()
        self._rows = 0
        self._since = self._last = clock.monotonic()
        self._until: str | None = None
        self.looking = False
        """Whether commits are silent, or were a moment ago."""

    def ring(self, *_: object) -> None:
        """Somebody committed, or the relay is to stop."""
        self._rung.set()

    def clear(self) -> None:
        """What rings from now on is about rows that the next look may not see."""
        self._rung.clear()

    async def wait(self, rows: int, seconds: float) -> None:
        """Wait for something to do after a look that found so many rows; `seconds` at most."""
        now = clock.monotonic()
        if self._busy(rows, now):
            await self._awake()
        elif self.looking and now - self._last > QUIET:
            await self._lie_down()
        await self._rest(min(seconds, LOOK) if self.looking else seconds)

    def _busy(self, rows: int, now: float) -> bool:
        if now - self._since > 1.0:
            self._rows, self._since = 0, now
        self._rows += rows
        if rows:
            self._last = now
        return self._rows >= BUSY

    async def _awake(self) -> None:
        self._until = None
        if not self.looking:
            self.looking = True
            await self._say(listening=False)

    async def _lie_down(self) -> None:
        if self._until is None:
            await self._say(listening=True)
            # After that commit: whoever was told otherwise has a number below this one.
            self._until = await self._connection.fetchval(load(__file__, "transactions_until_now"))
        elif await self._connection.fetchval(load(__file__, "transactions_ended"), self._until):
            self.looking, self._until = False, None
            self._rung.set()  # one more look, at what they left

    async def _say(self, *, listening: bool) -> None:
        await self._connection.execute(load(__file__, "say_listening"), listening, self._epoch)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return
