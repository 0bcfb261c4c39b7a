"""Whether a worker is well: judged by what answered last, and by loops that come round in time.

A connection that is open says nothing: a server that is frozen, or behind a cable that was cut, keeps it open
for hours. So each server is asked when it has been silent for a while, and what counts is its last answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg

from headwater import clock, telemetry
from headwater.errors import HeadwaterError
from headwater.patience import pause

if TYPE_CHECKING:
    from headwater.delivery.shift import Shift

log = telemetry.logger(__name__)
ASK_AFTER = 2.0
"""Seconds of silence after which a server is asked whether it is there."""
SILENT_AFTER = 8.0
"""Seconds without an answer after which a server counts as gone."""
WEDGED_AFTER = 120.0
"""Seconds that a loop may be late: longer than any one wait in it."""
REDIS, POSTGRES = "Redis", "Postgres"


class Vitals:
    """When each server was last heard, what holds deliveries up, and when each loop has to be back."""

    def __init__(self) -> None:
        self.held_up: dict[object, str] = {}
        """Batches that wait for somebody to mend tables or rights, with the error."""
        self._heard: dict[str, float] = {}
        self._due_back: dict[str, float] = {}

    def hear(self, server: str) -> None:
        """It answered just now."""
        self._heard[server] = clock.monotonic()

    def silence(self, server: str) -> float:
        """Seconds since it last answered; 0 before it ever did."""
        now = clock.monotonic()
        return now - self._heard.get(server, now)

    def leave(self, loop: str, within: float) -> None:
        """A loop begins something that takes so many seconds at most."""
        self._due_back[loop] = clock.monotonic() + within

    def back(self, loop: str) -> None:
        """It came round, and waits for nothing that ends by itself."""
        self._due_back.pop(loop, None)

    @property
    def trouble(self) -> str:
        """Why nothing can be applied; empty when all is well."""
        for server in (REDIS, POSTGRES):
            if (seconds := self.silence(server)) > SILENT_AFTER:
                return f"{server} has not answered for {seconds:.0f} s"
        return next(iter(self.held_up.values()), "")

    @property
    def wedged(self) -> str:
        """Loops that should have come round long ago, by name; empty when there is none."""
        now = clock.monotonic()
        return ", ".join(sorted(loop for loop, due in self._due_back.items() if now > due))


async def ask(shift: Shift, server: str, question: Callable[[], Awaitable[object]]) -> None:
    """Ask a server that was silent for a while, again and again, until a stop."""
    while not await pause(shift.stopping, ASK_AFTER):
        if shift.vitals.silence(server) < ASK_AFTER:
            continue
        shift.vitals.leave(f"asking {server}", WEDGED_AFTER)
        try:
            await question()
            shift.vitals.hear(server)
        except (HeadwaterError, asyncpg.PostgresError) as error:
            shift.last_error = str(error)
            log.debug("worker.no_answer", server=server, error=str(error))
        shift.vitals.back(f"asking {server}")
