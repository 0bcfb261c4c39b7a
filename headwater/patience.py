"""How a process waits for servers that do not answer: for ever, with growing random pauses, until stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_exception_type
from tenacity.wait import wait_random_exponential

FIRST, LONGEST = 0.1, 5.0
"""Bounds of the first and the longest pause in seconds; random below, so that many do not come at once."""


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling up to `LONGEST`, less a random part."""
    # Bounded before it is raised: an outage of an hour has failures enough to overflow a float.
    return min(LONGEST, FIRST * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # jitter


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait, but not beyond a stop; True when stopping."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True


async def either(event: asyncio.Event, stopping: asyncio.Event, seconds: float | None = None) -> None:
    """Wait for an event, a stop, or until so many seconds have passed."""
    waits = [asyncio.ensure_future(one.wait()) for one in (event, stopping)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def until_it_works(
    step: Callable[[], Awaitable[None]],
    stopping: asyncio.Event,
    *,
    failures: tuple[type[Exception], ...],
    report: Callable[[BaseException, float], None],
) -> bool:
    """Repeat `step` through `failures` until it works; True then, False when stopped before.

    `report` hears each failure and the seconds until the next try. Any other error is raised.
    """

    def told(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            report(error, state.upcoming_sleep)

    async def sleep(seconds: float) -> None:
        await pause(stopping, seconds)

    if stopping.is_set():
        return False
    patient = AsyncRetrying(
        retry=retry_if_exception_type(failures),
        wait=wait_random_exponential(multiplier=FIRST, max=LONGEST),
        stop=lambda _: stopping.is_set(),
        before_sleep=told,
        sleep=sleep,
    )
    try:
        await patient(step)
    except RetryError:
        return False
    return True
