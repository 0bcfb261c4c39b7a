"""How the user sync is doing, judged from figures alone, in the words of the existing service. Pure.

Unhealthy is what it is there: five failures in a row, ten minutes without a sweep that worked, or nothing
heard of changes for as many lost connections as the setting says. The five warning thresholds are checks
beside that: a failed one shows, and says what to do, while the sync goes on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from headwater import clock

FAILURES = 5
"""Failed sweeps in a row."""
SILENCE = 600.0
"""Seconds without a sweep that worked."""
ERRORS = 0.01
"""Share of users that could not be synchronised."""
POOL = 0.8
"""Share of a pool's connections in use."""
MEMORY = 500.0
"""MiB."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one moment."""

    synced: int = 0
    """Users written to the chat since start."""
    errors: int = 0
    """Users and sweeps that failed since start, each once."""
    failures: int = 0
    """Sweeps in a row that failed."""
    last_error: str = ""
    last_at: datetime | None = None
    """When a sweep last worked."""
    last_seconds: float | None = None
    since_last: float | None = None
    """Seconds since then, or since start."""
    interval: float = 60.0
    horizon_age: float = 0.0
    """Seconds the oldest open transaction of the source has been it."""
    listening: bool = False
    attempts: int = 0
    """Lost connections in a row."""
    most_attempts: int = 10
    scheduled: bool = False
    sweeping: bool = False
    breaker: str = "closed"
    slow: bool = False
    pool: float = 0.0
    """Share of connections in use, of the busier pool."""
    memory: float | None = None
    """MiB; None where this system does not tell."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is well, and what to do about what is not."""

    status: str
    """HEALTHY or UNHEALTHY."""
    checks: dict[str, bool]
    recommendations: list[str]


ADVICE = {
    "realtimeSyncActive": "changes are not heard of: see that the source answers; sweeps find them meanwhile",
    "scheduledSyncActive": "no sweeps run: start the sync again",
    "recentSyncSuccess": "no sweep worked for ten minutes: headwater -q doctor",
    "lowErrorRate": "more than 1 % of users fail: headwater sync users errors --unresolved --by-type",
    "sweepWithinInterval": "sweeps take over 80 % of the interval: raise SYNC_INTERVAL_MINUTES",
    "poolHeadroom": "over 80 % of a pool is in use: raise SOURCE_DB_POOL_SIZE or CHAT_DB_POOL_SIZE",
    "memoryBelowLimit": "over 500 MB of memory: lower the batch sizes",
    "fewConsecutiveFailures": "five sweeps in a row failed: only probes run until one works; see last error",
}
"""By check."""
DECISIVE = ("scheduledSyncActive", "recentSyncSuccess", "fewConsecutiveFailures")
"""Any of these false is unhealthy; hearing nothing is after so many lost connections."""


def health(standing: Standing) -> Health:
    """The judgement on one moment. Pure."""
    silent = standing.since_last is not None and standing.since_last > SILENCE
    checks = {
        "realtimeSyncActive": standing.listening,
        "scheduledSyncActive": standing.scheduled,
        "recentSyncSuccess": not silent,
        "lowErrorRate": error_rate(standing) <= ERRORS,
        "sweepWithinInterval": not standing.slow,
        "poolHeadroom": standing.pool <= POOL,
        "memoryBelowLimit": standing.memory is None or standing.memory <= MEMORY,
        "fewConsecutiveFailures": standing.failures < FAILURES,
    }
    deaf = not standing.listening and standing.attempts >= standing.most_attempts
    unhealthy = deaf or not all(checks[name] for name in DECISIVE)
    return Health(
        status="UNHEALTHY" if unhealthy else "HEALTHY",
        checks=checks,
        recommendations=[ADVICE[name] for name, well in checks.items() if not well]
        or ["All systems operational"],
    )


def error_rate(standing: Standing) -> float:
    """Failures among all that was tried; 0 before anything was."""
    tried = standing.synced + standing.errors
    return standing.errors / tried if tried else 0.0


def as_seed(standing: Standing) -> dict[str, Any]:
    """What `getSyncStats()` of the existing service gives, and what it does not know behind it."""
    seconds = standing.last_seconds
    return {
        "totalSynced": standing.synced,
        "lastSyncTime": None if standing.last_at is None else clock.stamp(standing.last_at),
        "lastSyncDuration": None if seconds is None else round(seconds * 1000),
        "errors": standing.errors,
        "consecutiveFailures": standing.failures,
        "lastError": standing.last_error or None,
        "realtimeSyncActive": standing.listening,
        "scheduledSyncActive": standing.scheduled,
        "isRealTimeActive": standing.listening,
        "isSyncInProgress": standing.sweeping,
        "timeSinceLastSyncSeconds": None if standing.since_last is None else round(standing.since_last),
        "lastSyncDurationSeconds": None if seconds is None else round(seconds, 3),
        "realtimeReconnectAttempts": standing.attempts,
        "healthStatus": msgspec.structs.asdict(health(standing)),
        "circuitBreaker": standing.breaker,
        "horizonAgeSeconds": round(standing.horizon_age, 3),
        "errorRate": round(error_rate(standing), 6),
        "poolUsage": round(standing.pool, 3),
        "memoryMb": None if standing.memory is None else round(standing.memory, 1),
    }
