"""Pace a backfill by what the groups of a stream have not taken yet, so that live events stay quick.

The slowest *living* group counts. A group nobody runs can not be made slower; it would only stop
every backfill, so it is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from headwater.broker import Broker, lag

PAUSE, LONGEST = 0.004, 0.02
"""Seconds between looks for room: at first, and when there is none for long."""
REFRESH = 2.0
"""Seconds for which a group is believed to be alive or not."""


class Window:
    """Credit on streams: how many more entries may be appended now."""

    def __init__(self, broker: Broker, size: int) -> None:
        """`size`: entries of a stream that its slowest living group may have before it."""
        self._broker = broker
        self.size = size
        self._alive: dict[tuple[str, str], tuple[float, bool]] = {}

    async def room(self, stream: str) -> int:
        """How many entries fit now; negative when the groups are further behind than the window."""
        behind = [0]
        for group in await self._broker.groups(stream):
            if await self._living(stream, group.name):
                unread = group.lag
                if unread is None:
                    found = await lag.lag(self._broker, stream, group.name)
                    unread = found.entries if found else 0
                behind.append(unread + group.pending)
        return self.size - max(behind)

    async def wait_for(
        self, streams: Iterable[str], entries: int, keep: Callable[[], Awaitable[None]]
    ) -> None:
        """Wait until `entries` fit on each stream; `keep` runs once a second meanwhile, and may raise."""
        kept = time.monotonic()
        for stream in streams:
            pause = PAUSE
            while await self.room(stream) < min(entries, self.size):
                await asyncio.sleep(pause)
                pause = min(LONGEST, pause * 1.5)
                if time.monotonic() - kept > 1.0:
                    await keep()
                    kept = time.monotonic()

    async def _living(self, stream: str, group: str) -> bool:
        known = self._alive.get((stream, group))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        alive = await lag.living(self._broker, stream, group) > 0
        self._alive[stream, group] = (time.monotonic() + REFRESH, alive)
        return alive
