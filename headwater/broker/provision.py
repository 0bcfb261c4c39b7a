"""Streams and groups as declared, compared with what Redis has, and made so.

Groups start at the earliest entry: ledger and inbox make reading again harmless, and a group that
starts at the end would never see what came before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from headwater.broker.client import Broker
from headwater.topology import Catalogue


class Drift(NamedTuple):
    """One difference between declaration and Redis."""

    stream: str
    group: str
    state: str
    """missing_stream · missing_group · undeclared_group."""


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
