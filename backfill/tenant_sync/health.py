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


class Alert(msgspec.Struct, frozen=True):
    """A documented threshold that is passed now."""

    name: str
    """As in `deploy/prometheus/tenant-sync.yml`."""
    severity: Literal["warning", "critical"]
    value: float
    threshold: float


def alerts(hour: Hour, *, average: float | None, credits_lacking: int) -> list[Alert]:
    """Which are; `average`: seconds of whole runs, `credits_lacking`: tenants without their credits."""
    status = float(STATUSES.index(status_of(hour)))
    watched = (
        Alert("TenantSyncFailing", "warning", hour.failure_rate, DEGRADED),
        Alert("TenantSyncSlow", "warning", average or 0.0, SLOW),
        Alert("TenantSyncStuck", "critical", hour.stuck, 0),
        Alert("TenantSyncEntityCredits", "critical", credits_lacking, 0),
        Alert("TenantSyncUnhealthy", "warning", status, 0),
    )
    return [one for one in watched if one.value > one.threshold]


def status_of(hour: Hour) -> Status:
    """The judgement."""
    if hour.failure_rate > UNHEALTHY or hour.stuck > STUCK:
        return "unhealthy"
    if hour.failure_rate > DEGRADED or hour.stuck:
        return "degraded"
    return "healthy"
