"""An open loop: things become due by the clock, whether or not those before them are done.

What was late starts its life when it was due, so that a stall shows in every figure it delayed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

TICK = 0.001
"""Seconds between two groups of things that become due together."""


def due(number: int, rate: float, tick: float = TICK) -> float:
    """Seconds after the beginning at which the thing with this number (from 0) is due. Pure."""
    return math.ceil(round(number / rate / tick, 6)) * tick


async def paced(rate: float, seconds: float) -> AsyncIterator[tuple[int, float]]:
    """(number, when it was due) of each thing, `rate` a second; the time is `perf_counter`'s."""
    loop, begun = asyncio.get_running_loop(), time.perf_counter()
    with ThreadPoolExecutor(1) as clock:  # it sleeps to a tenth of a millisecond; event loops to one
        for number in range(round(rate * seconds)):
            when = begun + due(number, rate)
            if when > time.perf_counter():
                await loop.run_in_executor(clock, _sleep_until, when)
            yield number, when


def _sleep_until(when: float) -> None:
    time.sleep(max(when - time.perf_counter(), 0.0))
