"""Do one thing while the next is made ready: one at a time, in order.

A thing begins when the one before it has ended well. Whoever leaves early leaves nothing running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Beside:
    """What is under way beside its maker. Use it as a context."""

    def __init__(self) -> None:
        self._going: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Beside:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave off, whatever is not done."""
        if self._going is not None:
            self._going.cancel()
            # What it raises is told by `begin` and `end`; here something else ends the work already.
            await asyncio.gather(self._going, return_exceptions=True)

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin this when what is under way has ended. Raises what that raised."""
        try:
            await self.end()
        except BaseException:
            work.close()
            raise
        self._going = asyncio.create_task(work, name="beside")
        await asyncio.sleep(0)  # it begins now, and not when its maker waits for the next time

    async def end(self) -> None:
        """Wait for what is under way. Raises what it raised."""
        if self._going is not None:
            await self._going
