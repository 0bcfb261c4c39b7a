"""The figures of one process, in Prometheus' terms: base units, no tenant in any label.

One `Metrics` a process, handed down. Counters are told what happened; gauges are told what is, and
forgotten when it is unknown (`None`): an absent series is honest, a zero is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Gauge

_HANDLE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_END_TO_END = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Every metric of headwater. Constructing it is the first import of prometheus-client."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, version: str = "") -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, Info  # noqa: PLC0415 (0.1 s to import)

        self.registry = registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(f"headwater_{name}", doc, labels, registry=registry)

        self._published = counter("published", "Entries appended to streams.", "stream", "type")
        self._settled = counter(
            "settled", "Deliveries settled, by outcome.", "stream", "group", "type", "outcome"
        )
        self._claimed = counter(
            "claimed", "Deliveries taken over from workers that stopped answering.", "group"
        )
        self._lost = counter("lost", "Entries lost before a group was given them.", "stream", "group")
        self._trimmed = counter("trimmed", "Entries that retention removed from streams.", "stream")
        self._removed = counter("removed", "Rows that retention removed.", "database", "table")
        self._relayed = counter("relay_appended", "Outbox rows moved to streams.")
        self._relay_failed = counter("relay_failures", "Passes of the relay that ended with an error.")
        self._quarantined = counter("relay_quarantined", "Outbox rows that no stream can carry.")
        self._handled = Histogram(
            "headwater_handle_seconds",
            "Time of one transaction that applied deliveries.",
            ["group"],
            buckets=_HANDLE,
            registry=registry,
        )
        self._end_to_end = Histogram(
            "headwater_end_to_end_seconds",
            "Time from the fact to its commit in the application's database.",
            ["group"],
            buckets=_END_TO_END,
            registry=registry,
        )
        Info("headwater_build", "What runs here.", registry=registry).info({"version": version})

    def published(self, stream: str, type: str, count: int = 1) -> None:  # noqa: A002 (the label's name)
        """Entries of one event type were appended."""
        self._published.labels(stream, type).inc(count)

    def settled(self, stream: str, group: str, outcome: str, count: int = 1, type: str = "") -> None:  # noqa: A002
        """Deliveries got their outcome; `type` stays empty where a batch mixes types."""
        self._settled.labels(stream, group, type, outcome).inc(count)

    def claimed(self, group: str, count: int = 1) -> None:
        """Deliveries were taken over."""
        self._claimed.labels(group).inc(count)

    def lost(self, stream: str, group: str, count: int) -> None:
        """Entries were gone before the group was given them."""
        self._lost.labels(stream, group).inc(count)

    def trimmed(self, stream: str, count: int) -> None:
        """Retention removed entries."""
        self._trimmed.labels(stream).inc(count)

    def removed(self, database: str, table: str, count: int) -> None:
        """Retention removed rows."""
        self._removed.labels(database, table).inc(count)

    def group_silent(self, group: str, seconds: float | None, *, holds: bool) -> None:
        """How long nobody worked for a group, and whether it still holds its streams."""
        where = {"group": group}
        self._set(
            "group_silent_seconds", "Since anybody worked for the group, at the last trim.", seconds, where
        )
        doc = "1 while trimming spares what the group has not applied; 0: its lease is over."
        self._set("group_holds", doc, None if seconds is None else float(holds), where)

    def handled(self, group: str, seconds: float) -> None:
        """One transaction committed."""
        self._handled.labels(group).observe(seconds)

    def end_to_end(self, group: str, seconds: float) -> None:
        """A live event was applied this long after its fact."""
        self._end_to_end.labels(group).observe(seconds)

    def relayed(self, count: int) -> None:
        """The relay moved rows."""
        self._relayed.inc(count)

    def relay_failed(self) -> None:
        """A pass of the relay ended with an error."""
        self._relay_failed.inc()

    def quarantined(self, count: int) -> None:
        """The relay set rows aside."""
        self._quarantined.inc(count)

    def relay_leading(self, leading: bool) -> None:
        """Whether this process is the one that relays."""
        self._set("relay_leading", "1 in the process that relays.", float(leading))

    def outbox(self, *, backlog: int | None, oldest: float | None, horizon: float | None = None) -> None:
        """Rows not yet published, and the age in seconds of the oldest (0 when there is none).

        `horizon`: the age in seconds of the oldest open transaction that has said something.
        """
        self._set("outbox_backlog", "Outbox rows not yet published.", backlog)
        self._set("outbox_oldest_seconds", "Age of the oldest of them.", oldest)
        self._set("outbox_horizon_seconds", "Age of the oldest open transaction with events in it.", horizon)

    def group(  # noqa: PLR0913 (one reading of a group)
        self,
        stream: str,
        group: str,
        *,
        lag: int | None = None,
        lag_seconds: float | None = None,
        pending: int | None = None,
        oldest_pending: float | None = None,
        consumers: int | None = None,
    ) -> None:
        """One reading of a group on one stream."""
        where = {"stream": stream, "group": group}
        self._set("group_lag_entries", "Entries the group has not been given.", lag, where)
        self._set("group_lag_seconds", "Age of the first of them; 0 when there is none.", lag_seconds, where)
        self._set("group_pending", "Deliveries not yet acknowledged.", pending, where)
        self._set("group_oldest_pending_seconds", "Age of the oldest of them.", oldest_pending, where)
        self._set("group_consumers", "Workers known to the group.", consumers, where)

    def group_oldest(self, stream: str, group: str, seconds: float | None) -> None:
        """How long the oldest entry waits to be applied."""
        where = {"stream": stream, "group": group}
        doc = "Age of the oldest entry not applied, unread or pending; grows on while Redis is away."
        self._set("group_oldest_seconds", doc, seconds, where)

    def stream_length(self, stream: str, entries: int | None) -> None:
        """Entries in a stream."""
        self._set("stream_length", "Entries in the stream.", entries, {"stream": stream})

    def dead_letters(self, group: str, count: int | None) -> None:
        """Parked deliveries of a group that wait for a person."""
        self._set("dead_letters", "Parked deliveries.", count, {"group": group})

    def gaps_open(self, app: str, stream: str, kind: str, count: int | None) -> None:
        """Losses on a stream that nobody repairs yet."""
        where = {"app": app, "stream": stream, "kind": kind}
        self._set("gaps_open", "Recorded losses that nobody repairs yet.", count, where)

    def backfill(self, backfill: str, app: str, *, ratio: float | None, rows: int | None = None) -> None:
        """How far the running jobs of a backfill are, from 0 to 1; None when none runs."""
        where = {"backfill": backfill, "app": app}
        self._set("backfill_progress_ratio", "Share of the rows in scope that was said.", ratio, where)
        self._set("backfill_rows", "Rows said by the running jobs.", rows, where)

    def agreement(self, app: str, state: str, count: int) -> None:
        """What is known of source and application: `agreed`, `differing` or `unknown`."""
        doc = "Subjects of tenants whose rows agree with the source, differ, or are not known to."
        self._set("agreement_subjects", doc, count, {"app": app, "state": state})

    def exposition(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        from prometheus_client import generate_latest  # noqa: PLC0415 (imported by the constructor)

        return generate_latest(self.registry)

    def _set(self, name: str, doc: str, value: float | None, labels: dict[str, str] | None = None) -> None:
        from prometheus_client import Gauge  # noqa: PLC0415 (imported by the constructor)

        where = labels or {}
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(f"headwater_{name}", doc, list(where), registry=self.registry)
        if value is not None:
            (gauge.labels(**where) if where else gauge).set(value)
        elif where:
            gauge.remove_by_labels(where)
        else:
            gauge.set(float("nan"))
