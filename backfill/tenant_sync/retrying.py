"""How often a step of a sync is tried again, and after how long: by the class of its error alone."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from backfill.tenant_sync.errors import Superseded, SyncError, classified

T = TypeVar("T")
Report = Callable[[SyncError, int, float], None]
"""Hears each failure that is retried: the error, which attempt it was, seconds until the next."""


class Patience(msgspec.Struct, frozen=True):
    """How long is waited before which attempt. All in seconds."""

    first: float = 2.0
    longest: float = 60.0
    """Without what the other side asks for."""
    jitter: float = 1.0
    """Added at random, so that many do not come at once."""
    attempts: int = 5
    obeyed: float = 300.0
    """Most that is waited because the other side asked for it."""

    def wait(self, failures: int, asked: float = 0.0) -> float:
        """Seconds before the next attempt after so many failures, and never less than was asked for."""
        grown = min(self.longest, self.first * 2.0 ** min(failures - 1, 60))
        noise = random.uniform(0.0, self.jitter)  # noqa: S311 (jitter)
        return max(grown, min(asked, self.obeyed)) + noise


def worth_it(error: BaseException) -> bool:
    """Whether the same step may succeed later, and was not tried again already. Pure."""
    return isinstance(error, SyncError) and error.retryable and not error.tried


async def tried(step: Callable[[], Awaitable[T]], patience: Patience, report: Report) -> T:
    """Run a step until it works, or raise its last error as a SyncError that says it was tried.

    A cancel passes through, and so does Superseded: it is no failure.
    """

    async def classed() -> T:
        try:
            return await step()
        except Exception as error:
            if isinstance(error, Superseded):
                raise
            if (found := classified(error)) is error:
                raise
            raise found from error

    def told(state: RetryCallState) -> None:
        report(_error(state), state.attempt_number, state.upcoming_sleep)

    patient = AsyncRetrying(
        retry=retry_if_exception(worth_it),
        wait=lambda state: patience.wait(state.attempt_number, _error(state).after),
        stop=stop_after_attempt(patience.attempts),
        before_sleep=told,
        reraise=True,
    )
    try:
        return await patient(classed)
    except SyncError as error:
        error.tried |= patience.attempts > 1  # with one attempt it is somebody else who tries again
        raise


def _error(state: RetryCallState) -> SyncError:
    error = state.outcome.exception() if state.outcome else None
    return classified(error or RuntimeError("no attempt was made"))
