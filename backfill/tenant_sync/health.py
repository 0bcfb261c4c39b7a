"""Whether tenant syncs go well, judged from figures of the last hour alone. Pure.

Degraded: more than 5 % of the runs failed, or one is stuck. Unhealthy: more than 20 %, or more than five.
"""

from __future__ import annotations

from typing import Literal

import msgspec

HOUR = 3600.0
"""Seconds of the sliding window."""
DEGRADED, UNHEALTHY = 0.05, 0.20
"""Share of runs that failed; above."""
STUCK = 5
"""Stuck runs; above."""
SLOW = 10.0
"""Seconds that runs take on average; above: somebody should look."""

Status = Literal["healthy", "degraded", "unhealthy"]
STATUSES: tuple[Status, ...] = ("healthy", "degraded", "unhealthy")


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that decide."""

    completed: int = 0
    failed: int = 0
    stuck: int = 0
    active: int = 0

    @property
    def failure_rate(self) -> float:
        """Share of the runs that ended; 0 where none did."""
        ended = self.completed + self.failed
        return self.failed / ended if ended else 0.0


def status_of(hour: Hour) -> Status:
    """The judgement."""
    if hour.failure_rate > UNHEALTHY or hour.stuck > STUCK:
        return "unhealthy"
    if hour.failure_rate > DEGRADED or hour.stuck:
        return "degraded"
    return "healthy"
