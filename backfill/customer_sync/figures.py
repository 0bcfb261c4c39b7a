"""How far two services are apart, as figures for Prometheus and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.customer_records.meeting import SIDES, Side
from consumers.customer_records.store import Standing

if TYPE_CHECKING:
    from backfill.customer_sync.exchange import Outcome
    from headwater.telemetry import Metrics


NAMES = (
    *("headwater_customers_unsynced", "headwater_customers_conflicts", "headwater_customers_quarantined"),
    *("headwater_customers_last_sync_age_seconds", "headwater_customers_synced_total"),
)
"""Every one of them, by `side`."""


class Figures:
    """One process's. A direction is called by the service that tells: `auth` is auth → customer."""

    def __init__(self, metrics: Metrics) -> None:
        from prometheus_client import Counter, Gauge  # noqa: PLC0415 (0.1 s to import)

        def gauge(name: str, doc: str) -> Gauge:
            return Gauge(f"headwater_customers_{name}", doc, ["side"], registry=metrics.registry)

        self._gauges = {
            "unsynced": gauge("unsynced", "Records whose last change the other service was not told of."),
            "conflicts": gauge("conflicts", "Conflicts that nobody has resolved."),
            "quarantined": gauge("quarantined", "Records whose e-mail does not open."),
            "age": gauge("last_sync_age_seconds", "Since a record was last synced."),
        }
        self._synced = Counter(
            "headwater_customers_synced",
            "Records told from one side to the other, by what became of them.",
            ["side", "verdict"],
            registry=metrics.registry,
        )

    def standing(self, side: Side, standing: Standing | None) -> None:
        """One reading of a side; None: it can not be read, and nothing is shown."""
        for name, gauge in self._gauges.items():
            value = getattr(standing, name) if standing is not None else None
            if value is None:
                gauge.remove_by_labels({"side": side})
            else:
                gauge.labels(side).set(value)

    def synced(self, side: Side, outcome: Outcome) -> None:
        """A sync that this side ran: what it pulled was told by the other."""
        told = {side: outcome.pushed, SIDES[1 - SIDES.index(side)]: outcome.pulled}
        for teller, tally in told.items():
            for verdict, count in tally.verdicts.items():
                self._synced.labels(teller, verdict).inc(count)
