"""How fast a backfill may append: a credit window on the streams, a number of rows a second, quiet hours.

Rows a second and quiet hours are decided by pure rules; the window is in `window`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from datetime import time as time_of_day
from typing import NamedTuple

from headwater import clock
from headwater.replay.window import Window

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_LOOK = 1.0


class Throttle:
    """At most so many rows a second, over any span of a second or more and one append."""

    def __init__(self, rate: int | None) -> None:
        """`rate`: rows a second; None: no limit."""
        self._rate = rate
        self._free_at = float("-inf")

    def wait(self, rows: int, now: float) -> float:
        """Seconds to wait before these rows may go; they count as gone then."""
        if self._rate is None:
            return 0.0
        begin = max(self._free_at, now)
        self._free_at = begin + rows / self._rate
        return begin - now


class Hours(NamedTuple):
    """A span of every day in UTC, over midnight too; the end is not part of it."""

    begin: time_of_day
    end: time_of_day

    @classmethod
    def parse(cls, text: str) -> Hours | None:
        """From `08:00-18:00`; None from an empty text. Raises ValueError."""
        if not text.strip():
            return None
        found = _HOURS.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no span of hours like 08:00-18:00")
        hour, minute, last_hour, last_minute = map(int, found.groups())
        return cls(time_of_day(hour, minute), time_of_day(last_hour, last_minute))

    def contain(self, moment: datetime) -> bool:
        """Whether an instant lies in them. Pure."""
        at = moment.time()
        if self.begin <= self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


def slower(*rates: int | None) -> int | None:
    """The lowest of the rates that are given. Pure."""
    return min((rate for rate in rates if rate is not None), default=None)


class Pacer:
    """Says when an append may go."""

    def __init__(self, window: Window, rate: int | None, quiet: Hours | None) -> None:
        self._window = window
        self._throttle = Throttle(rate)
        self._quiet = quiet

    async def wait_for(
        self, streams: Iterable[str], entries: int, keep: Callable[[], Awaitable[None]]
    ) -> None:
        """Wait until `entries` may be appended; `keep` runs once a second meanwhile, and may raise."""
        while self._quiet is not None and self._quiet.contain(clock.now()):
            await asyncio.sleep(_LOOK)
            await keep()
        due = time.monotonic() + self._throttle.wait(entries, time.monotonic())
        while (left := due - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK))
            await keep()
        await self._window.wait_for(streams, entries, keep)
