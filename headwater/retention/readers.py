"""Which groups read a stream, how far they are, and which of them still hold it.

A group is heard of when one of its consumers asks Redis, or a worker renews its name in the application's
database. The source remembers that, so that neither a flushed Redis nor removed names make a group look dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headwater import telemetry
from headwater.broker import START, Broker, ConsumerState, Seen, hygiene
from headwater.broker.client import RELEASED
from headwater.broker.look import everyone
from headwater.database import Database, load
from headwater.delivery.losses import floor
from headwater.delivery.names import silence as presence
from headwater.errors import BrokerRefused
from headwater.retention.holding import Reader, holds, silence
from headwater.topology import Catalogue

log = telemetry.logger(__name__)


class Leases(NamedTuple):
    """Seconds of silence after which a group holds nothing back any more."""

    declared: float
    undeclared: float


class Heard(NamedTuple):
    """A group as it is known."""

    app: str
    silent: float
    holds: bool


async def groups_of(broker: Broker, keys: Sequence[str]) -> dict[str, dict[str, Seen]]:
    """Every group on each stream, by name; empty where a stream does not exist.

    A key that Redis refuses to read as a stream is left out: it stops no other. Raises BrokerUnavailable.
    """
    found = {}
    for key in keys:
        try:
            found[key] = await everyone(broker, key)
        except BrokerRefused as error:
            log.error("stream.not_trimmed", stream=key, error=str(error))
    return found


async def hear(
    ground: tuple[Broker, Database, Mapping[str, Database]],
    catalogue: Catalogue,
    found: Mapping[str, Mapping[str, Seen]],
    leases: Leases,
) -> dict[str, Heard]:
    """Every group that is declared or there, and whether it holds its streams."""
    broker, source, sinks = ground
    apps = {group.name: group.app for group in catalogue.groups.values()}
    names = {name: apps.get(name, "") for some in found.values() for name in some} | apps
    known = {row["name"]: row["silent"] for row in await source.fetch(load(__file__, "readers"))}
    heard = {}
    for name, app in sorted(names.items()):
        keys = [key for key, some in found.items() if name in some]
        seen = await presence(sinks[app], app) if app in sinks else None
        silent = silence(_asked(await hygiene.consumers(broker, keys, name)), seen, known.get(name))
        holding = holds(app, silent, lease=leases.declared, undeclared_lease=leases.undeclared)
        heard[name] = Heard(app, silent, holding)
    return heard


def _asked(consumers: Mapping[str, Sequence[ConsumerState]]) -> float | None:
    idle = [one.idle for some in consumers.values() for one in some if one.name != RELEASED]
    return max(0.0, min(idle)) if idle else None


async def remember(source: Database, heard: Mapping[str, Heard]) -> None:
    """Keep when each was heard of."""
    rows = [(name, one.app, one.silent, not one.holds) for name, one in sorted(heard.items())]
    if rows:
        await source.execute(load(__file__, "keep_readers"), *zip(*rows, strict=True))


def readers(
    catalogue: Catalogue, key: str, seen: Mapping[str, Seen], heard: Mapping[str, Heard]
) -> list[Reader]:
    """The groups of one stream. One that is declared and not there has applied nothing of it."""
    declared = {group.name for group in catalogue.all_keys()[key][1]}
    return [
        Reader(name, one.app, floor(seen[name]) if name in seen else START, one.holds)
        for name, one in heard.items()
        if name in seen or name in declared
    ]
