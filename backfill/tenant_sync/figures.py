"""Tenant syncs as figures for Prometheus: the last hour, and what stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from backfill.tenant_sync.health import STATUSES, status_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Gauge

    from backfill.tenant_sync.statistics import Reading

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "headwater_tenant_sync_failure_ratio": (
        "Failed runs among those that ended in the last hour; above 0.05: alarm.",
        (),
    ),
    "headwater_tenant_sync_average_seconds": (
        "Completed runs of the last hour, the whole and the part that a login waits for; above 10: look.",
        ("part",),
    ),
    "headwater_tenant_sync_slowest_seconds": ("The same, the 95th percentile.", ("part",)),
    "headwater_tenant_sync_hour_runs": (
        "Runs that ended in the last hour, by method, whether it was a fallback, and outcome.",
        ("method", "fallback", "outcome"),
    ),
    "headwater_tenant_sync_stuck": (
        "Runs whose lease ran out, and nobody took over; above 0: alarm.",
        (),
    ),
    "headwater_tenant_sync_active": ("Runs that somebody makes now.", ()),
    "headwater_tenant_sync_waiting": ("Tenants whose sync was asked for and has not begun.", ()),
    "headwater_tenant_sync_waiting_seconds": ("Age of the oldest of those requests.", ()),
    "headwater_tenant_sync_failed_collections": (
        "Tenants whose last attempt at a collection failed; entityCredits above 0: alarm.",
        ("collection",),
    ),
    "headwater_tenant_sync_health": ("1 for the status that /api/sync/health tells, else 0.", ("status",)),
}
"""What each says, and its labels, by name."""
NAMES = tuple(GAUGES)
_OUTCOMES = ("completed", "failed", "superseded")


_MADE: WeakKeyDictionary[CollectorRegistry, dict[str, Gauge]] = WeakKeyDictionary()
"""By registry: a process may serve the same figures twice."""


class Figures:
    """Gauges in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Gauge  # noqa: PLC0415 (0.1 s to import)

        if registry not in _MADE:
            _MADE[registry] = {
                name: Gauge(name, about, labels, registry=registry)
                for name, (about, labels) in GAUGES.items()
            }
        self._gauges = _MADE[registry]

    def show(self, reading: Reading | None) -> None:
        """Bring them up to date; None: it can not be read, and no old figure is shown for a new one."""
        for name, (_, labels) in GAUGES.items():
            if labels:
                self._gauges[name].clear()
            else:
                self._gauges[name].set(float("nan"))
        if reading is not None:
            self._show(reading)

    def _show(self, reading: Reading) -> None:
        self._set("failure_ratio", reading.hour.failure_rate)
        self._set("stuck", reading.hour.stuck)
        self._set("active", reading.hour.active)
        self._set("waiting", reading.counts["waiting"])
        self._set("waiting_seconds", reading.counts["waiting_seconds"])
        for part, prefix in (("whole", ""), ("essential", "essential_")):
            marks = reading.ended[f"{prefix}percentiles"]
            self._set("average_seconds", reading.ended[f"{prefix}average"], part)
            self._set("slowest_seconds", marks[1] if marks else None, part)
        for row in reading.by_method:
            for outcome in _OUTCOMES:
                self._set("hour_runs", row[outcome], row["method"], str(row["fallback"]).lower(), outcome)
        for collection, tenants in reading.lacking.items():
            self._set("failed_collections", tenants, collection)
        for one in STATUSES:
            self._set("health", one == status_of(reading.hour), one)

    def _set(self, name: str, value: Any, *labels: str) -> None:
        gauge = self._gauges[f"headwater_tenant_sync_{name}"]
        (gauge.labels(*labels) if labels else gauge).set(float("nan") if value is None else float(value))
