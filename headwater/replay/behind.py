"""Write steps of a job down behind its appends: those that come while one is written become one.

Always holds: a step is written after it was appended, and steps are written in order. A crash appends what
was not written down once more, and the gate drops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from headwater.replay.jobs import Step

MOST = 2000
"""Rows that may be appended and not written down, beside those of the step that is being written."""


class Behind:
    """One subject's steps. Use it as a context: it leaves nothing running."""

    def __init__(self, write: Callable[[Step], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: Step | None = None
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Behind:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave off, whatever is not written."""
        if self._writing is not None:
            self._writing.cancel()
            # What it raises is told by `take` and `end`; here something else ends the work already.
            await asyncio.gather(self._writing, return_exceptions=True)

    async def take(self, step: Step) -> None:
        """Write a step soon. Raises what writing an earlier one raised."""
        self._waiting = step if self._waiting is None else self._waiting.plus(step)
        if self._writing is None or self._writing.done() or self._waiting.read >= MOST:
            await self._written()
            self._writing = asyncio.create_task(self._all(), name="checkpoint")

    async def end(self) -> None:
        """Write everything. Raises what writing raised."""
        await self._written()
        await self._all()

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _all(self) -> None:
        while (step := self._waiting) is not None:
            self._waiting = None
            await self._write(step)
