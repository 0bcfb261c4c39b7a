"""When sweeps run: at once after the bell rang, by the clock otherwise, never two at a time.

A sweep that is due while one runs waits for its end and then runs at once; from there the interval counts
again. A failed one is retried with growing waits. After five in a row that failed in spite of that, rings
are not answered any more: one probe after each pause, until one works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import asyncpg

from headwater import clock, telemetry
from headwater.cli.loops import cut_off
from headwater.errors import HeadwaterError
from headwater.patience import either, pause
from producers.accounts.pace import Breaker, Waits
from producers.accounts.sweep import Superseded, Swept

log = telemetry.logger(__name__)
WARN_AT = 0.8
"""Share of the interval from which on a sweep is too slow."""
DRAIN = 25.0
"""Seconds of `drain`: within the thirty of a graceful stop the relay and the worker end, too."""
ELSEWHERE = 0.5
"""Seconds until the next look, after another process was found sweeping."""

Tell = Callable[[str, str | None, str, Mapping[str, Any]], Awaitable[None]]
"""Writes an error down: its type, the user it is about, what happened, and more."""


class Sweeps(Protocol):
    """What makes passes."""

    async def sweep(self) -> Swept:
        """One pass."""
        ...


class Turns:
    """Runs the sweeps of one process."""

    def __init__(
        self, sweeper: Sweeps, rung: asyncio.Event, *, interval: float, waits: Waits, tell: Tell
    ) -> None:
        """`interval`: seconds between sweeps by the clock; `waits`: what a failed one is retried with."""
        self._sweeper = sweeper
        self._rung = rung
        self._interval = interval
        self._waits = waits
        self._tell = tell
        self._stopping = asyncio.Event()
        self.breaker = Breaker(pause=interval)
        self.drain = DRAIN
        """Seconds that the pass in hand may go on after a stop."""
        self.active = False
        self.sweeping = False
        self.swept = 0
        """Changes said since start."""
        self.passes = 0
        self.overlaps = 0
        """Sweeps that were due while one was running."""
        self.errors = 0
        self.last_error = ""
        self.last_seconds: float | None = None
        self.last_at: float | None = None
        """When one last worked, by the monotonic clock."""

    def stop(self) -> None:
        """Finish the pass in hand, then leave `run`. Idempotent."""
        self._stopping.set()

    @property
    def slow(self) -> bool:
        """Whether the last sweep took nearly the interval, or longer."""
        return self.last_seconds is not None and self.last_seconds > WARN_AT * self._interval

    async def run(self) -> None:
        """Sweep until stopped. The first one is at once."""
        self.active, due = True, clock.monotonic()
        try:
            while await self._wait(due):
                begun = clock.monotonic()
                due = begun + self._interval if begun >= due else due
                await self._turn(due)
        finally:
            self.active = False

    async def _wait(self, due: float) -> bool:
        """Until the next one; False when stopping."""
        if rest := self.breaker.rest:
            return not await pause(self._stopping, rest)
        left = due - clock.monotonic()
        if left > 0:
            await either(self._rung, self._stopping, left)
        return not self._stopping.is_set()

    async def _turn(self, due: float) -> None:
        self._rung.clear()  # what rings from now on may be about what this pass does not see
        self.sweeping = True
        working = asyncio.create_task(self._tries(), name="sweep")
        try:
            if not await self._ended(working, max(0.0, due - clock.monotonic())):
                self.overlaps += 1
                log.warning("sweep.still_running", text="Previous sync still in progress, the next one waits")
                await self._ended(working, None)
        finally:
            self.sweeping = False
            await cut_off([working])  # its place is kept: the next process goes on behind its last page
        if not working.cancelled():
            working.result()

    async def _ended(self, working: asyncio.Task[None], seconds: float | None) -> bool:
        """Whether it ended in that time. After a stop it has `drain` more seconds, and counts as ended."""
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            await asyncio.wait({working, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set() and not working.done():
                await asyncio.wait({working}, timeout=self.drain)
        finally:
            stopping.cancel()
        return working.done() or self._stopping.is_set()

    async def _tries(self) -> None:
        retries = 0 if self.breaker.state == "open" else self._waits.retries
        for retry in range(retries + 1):
            if retry and await pause(self._stopping, self._waits.before(retry)):
                return
            why = await self._try()
            if not why:
                return
            self.last_error = why
            log.warning("sweep.failed", error=why, attempt=retry + 1)
        self.errors += 1
        self.breaker = self.breaker.failed()
        if self.breaker.state == "open":
            log.error("sweep.paused", failures=self.breaker.failures, seconds=self.breaker.rest)
        about = {"attempts": retries + 1, "consecutiveFailures": self.breaker.failures}
        await self._tell("SCHEDULED_SYNC_FAILED", None, self.last_error, about)

    async def _try(self) -> str:
        """One pass; why it failed."""
        try:
            swept = await self._sweeper.sweep()
        except Superseded:
            asyncio.get_running_loop().call_later(ELSEWHERE, self._rung.set)
            return ""
        except (HeadwaterError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            return telemetry.safe_text(error) or type(error).__name__
        await self._worked(swept)
        return ""

    async def _worked(self, swept: Swept) -> None:
        self.breaker = self.breaker.worked()
        self.passes += 1
        self.swept += swept.said
        self.last_seconds, self.last_at = swept.seconds, clock.monotonic()
        if self.slow:
            share = round(swept.seconds / self._interval, 2)
            log.warning("sweep.slow", seconds=round(swept.seconds, 1), share=share, said=swept.said)
        for user, why in swept.refused.items():
            self.errors += 1
            await self._tell("SYNC_USER_FAILED", user, why, {"where": "sweep"})
