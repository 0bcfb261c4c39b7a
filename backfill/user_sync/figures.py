"""The user sync's metrics: the six names of the existing service, and ours beside them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from backfill.user_sync.standing import Standing, error_rate, health

SEED = {
    "sync_total_synced": "Users written to the chat since start.",
    "sync_errors": "Users and sweeps that failed since start.",
    "sync_consecutive_failures": "Sweeps in a row that failed; 5 or more: alarm.",
    "sync_realtime_active": "1 while changes are heard of.",
    "sync_scheduled_active": "1 while sweeps run by the clock.",
    "sync_last_duration_seconds": "How long the last sweep took.",
}
"""As the existing service names them."""
OWN = {
    "headwater_user_sync_interval_ratio": "Time of the last sweep, in intervals; above 0.8: alarm.",
    "headwater_user_sync_error_ratio": "Failed users among all that were tried; above 0.01: alarm.",
    "headwater_user_sync_pool_ratio": "Connections in use, of the busier pool; above 0.8: alarm.",
    "headwater_user_sync_memory_mib": "Memory of the process; above 500: alarm.",
    "headwater_user_sync_horizon_seconds": "How long the oldest open transaction of the source has been it.",
    "headwater_user_sync_since_success_seconds": "Since a sweep last worked, or since start.",
    "headwater_user_sync_breaker_open": "1 while only probes are made.",
    "headwater_user_sync_healthy": "1 while /health answers 200.",
}
"""By name."""


class Figures:
    """Gauges in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            name: Gauge(name, about, registry=registry) for name, about in {**SEED, **OWN}.items()
        }

    def show(self, standing: Standing) -> None:
        """Bring them up to date."""
        seconds = standing.last_seconds or 0.0
        values = {
            "sync_total_synced": standing.synced,
            "sync_errors": standing.errors,
            "sync_consecutive_failures": standing.failures,
            "sync_realtime_active": standing.listening,
            "sync_scheduled_active": standing.scheduled,
            "sync_last_duration_seconds": seconds,
            "headwater_user_sync_interval_ratio": seconds / standing.interval,
            "headwater_user_sync_error_ratio": error_rate(standing),
            "headwater_user_sync_pool_ratio": standing.pool,
            "headwater_user_sync_memory_mib": standing.memory,
            "headwater_user_sync_horizon_seconds": standing.horizon_age,
            "headwater_user_sync_since_success_seconds": standing.since_last,
            "headwater_user_sync_breaker_open": standing.breaker == "open",
            "headwater_user_sync_healthy": health(standing).status == "HEALTHY",
        }
        for name, value in values.items():
            # Unknown is no zero.
            self._gauges[name].set(float("nan") if value is None else float(value))
