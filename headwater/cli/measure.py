"""How fast events travelled, read from what both databases recorded about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from headwater.database import Database, load


class Spread(msgspec.Struct, frozen=True):
    """Milliseconds from the commit's statement to somewhere, over `events`."""

    events: int
    p50: float | None
    p99: float | None


def spread(seconds: Sequence[float]) -> Spread:
    """Median and 99th percentile; unknown when there is nothing to look at. Pure."""
    if not seconds:
        return Spread(0, None, None)
    ordered = sorted(seconds)
    return Spread(len(ordered), _at(ordered, 0.50), _at(ordered, 0.99))


def _at(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)


async def relayed(source: Database, since: datetime) -> Spread:
    """From said to on its stream, for events said since."""
    rows = await source.fetch(load(__file__, "relayed"), since)
    return spread([row["seconds"] for row in rows])


async def applied(source: Database, sinks: Iterable[tuple[str, Database]], since: datetime) -> Spread:
    """From said to applied, for states said since that are still the newest of their thing."""
    said: dict[tuple[str, str, int], datetime] = {}
    for row in await source.fetch(load(__file__, "said"), since):
        said[row["tenant"], row["key"], row["version"]] = row["said_at"]
    seconds: list[float] = []
    for app, sink in sinks:
        for row in await sink.fetch(load(__file__, "applied"), app, since):
            at = said.get((row["tenant"], row["key"], row["version"]))
            if at is not None:
                seconds.append((row["applied_at"] - at).total_seconds())
    return spread(seconds)


def per_second(count: int, seconds: float) -> int:
    """A rate, whole; 0 when there was nothing to do."""
    return round(count / seconds) if seconds > 0 else 0


def as_dict(found: Spread) -> dict[str, Any]:
    """For reports."""
    return {"events": found.events, "p50Ms": found.p50, "p99Ms": found.p99}
