"""Streams and groups as declared, compared with what Redis has, and made so.

Groups start at the earliest entry: ledger and inbox make reading again harmless, and a group that
starts at the end would never see what came before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from headwater.broker.client import RELEASED, Broker
from headwater.topology import Catalogue


class Drift(NamedTuple):
    """One difference between declaration and Redis."""

    stream: str
    group: str
    state: str
    """missing_stream · missing_group · undeclared_group."""


class Lag(NamedTuple):
    """How far behind a group is on one stream."""

    stream: str
    group: str
    entries: int
    """Entries not yet given to the group; counted up to a bound when Redis can not tell."""
    exact: bool
    pending: int
    seconds: float
    """Age of the first entry not yet given out, 0 when there is none."""
    living: int
    """Consumers that asked within the last 15 seconds."""


ALIVE_WITHIN = 15.0
"""Seconds of silence after which a consumer counts as gone."""
COUNT_BOUND = 10_000
"""Entries that are counted one by one where Redis can not tell the lag."""


def plan(catalogue: Catalogue, found: dict[str, set[str] | None]) -> list[Drift]:
    """What differs; `found` maps each declared key to its groups, None where the stream is missing. Pure."""
    drift = []
    for key, (_, groups) in catalogue.all_keys().items():
        existing = found.get(key)
        declared = {group.name for group in groups}
        for name in sorted(declared - (existing or set())):
            drift.append(Drift(key, name, "missing_stream" if existing is None else "missing_group"))
        for name in sorted((existing or set()) - declared):
            drift.append(Drift(key, name, "undeclared_group"))
    return drift


async def compare(broker: Broker, catalogue: Catalogue) -> list[Drift]:
    """Differences between the catalogue and Redis, by stream and group."""
    found: dict[str, set[str] | None] = {}
    for key in catalogue.all_keys():
        if await broker.stream(key) is None:
            found[key] = None
        else:
            found[key] = {group.name for group in await broker.groups(key)}
    return plan(catalogue, found)


async def apply(broker: Broker, catalogue: Catalogue) -> list[Drift]:
    """Create what is missing, at the earliest entry; returns what was created. Never removes."""
    missing = [drift for drift in await compare(broker, catalogue) if drift.state != "undeclared_group"]
    for drift in missing:
        await broker.create_group(drift.stream, drift.group)
    return missing


async def ensure(broker: Broker, streams: Iterable[str], group: str) -> list[str]:
    """Create one group on streams where it is missing; returns the streams where it was."""
    return [stream for stream in streams if await broker.create_group(stream, group)]


async def lag(broker: Broker, stream: str, group: str, *, now_ms: float) -> Lag | None:
    """How far the group is behind, never unknown; None when stream or group does not exist."""
    state = next((state for state in await broker.groups(stream) if state.name == group), None)
    if state is None:
        return None
    entries, exact = state.lag, True
    after = f"({state.last_delivered}"
    first = await broker.range(stream, start=after, count=1)
    if entries is None:
        entries = len(await broker.range(stream, start=after, count=COUNT_BOUND)) if first else 0
        exact = entries < COUNT_BOUND
    elif not first:
        entries = 0  # Redis's own figure can stay above zero after a trim when nothing is left to read
    age = max(0.0, (now_ms - int(first[0].id.partition("-")[0])) / 1000) if first else 0.0
    return Lag(stream, group, entries, exact, state.pending, age, await living(broker, stream, group))


async def living(broker: Broker, stream: str, group: str) -> int:
    """How many consumers of the group asked for entries of the stream within `ALIVE_WITHIN` seconds."""
    consumers = await broker.consumers(stream, group)
    return sum(one.idle < ALIVE_WITHIN and one.name != RELEASED for one in consumers)
