"""The slow sweep that keeps a group's names at those in use.

A name is looked at when no lease holds it and it asked for nothing for a while, and it goes only
when it holds nothing: what it holds is for the living to claim first. While it goes, the sweep holds
its lease, so that no worker takes it up in between.
"""

from __future__ import annotations

import random

import asyncpg
import msgspec

from headwater import telemetry
from headwater.broker import Broker, ConsumerState, hygiene
from headwater.broker.client import RELEASED
from headwater.database import Database, load
from headwater.delivery.names import Lease, NameHeld, held
from headwater.delivery.shift import TROUBLES, Shift
from headwater.patience import pause

log = telemetry.logger(__name__)
SILENT = 300.0
"""Seconds without asking after which a name that nobody holds counts as unused."""
EVERY = 60.0
"""Seconds between sweeps, about."""


class Place(msgspec.Struct, frozen=True):
    """A group, where it lives on both servers."""

    broker: Broker
    database: Database
    app: str
    group: str
    streams: tuple[str, ...]


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """One unused name."""

    name: str
    streams: int
    """How many streams know it."""
    pending: int
    """Entries it holds; above 0 it stays."""
    idle: float
    """Seconds since it last asked."""
    removed: bool
    """Whether it went, or would without `dry_run`."""
    put_back: int = 0
    """Entries that it was given at the very last moment: pending again, for others to claim."""
    lost: int = 0
    """Those of them that are gone: recorded as a gap."""


async def unused(place: Place, *, silent: float = SILENT) -> list[Pruned]:
    """Names that nobody uses, with what they hold; changes nothing."""
    known = await hygiene.consumers(place.broker, place.streams, place.group)
    leased = await held(place.database, place.app)
    names: dict[str, list[ConsumerState]] = {}
    for some in known.values():
        for one in some:
            names.setdefault(one.name, []).append(one)
    return [
        Pruned(
            name=name,
            streams=len(some),
            pending=sum(one.pending for one in some),
            idle=min(one.idle for one in some),
            removed=not any(one.pending for one in some),
        )
        for name, some in sorted(names.items())
        if len(hygiene.unused(some, leased, silent)) == len(some)
    ]


async def prune(place: Place, *, silent: float = SILENT) -> list[Pruned]:
    """Remove unused names that hold nothing, and forget how far they were.

    Raises BrokerUnavailable, BrokerRefused, DatabaseUnavailable, TablesUnfit.
    """
    found = [await remove(place, one) if one.removed else one for one in await unused(place, silent=silent)]
    known = await hygiene.consumers(place.broker, place.streams, place.group)
    names = sorted({one.name for some in known.values() for one in some} | {RELEASED})
    await place.database.execute(load(__file__, "forget_names"), place.app, names)
    return found


async def remove(place: Place, one: Pruned) -> Pruned:
    """Remove one name from every stream, unless somebody took it up since. Raises as `prune`."""
    lease = Lease(place.database, place.app, wanted=one.name)
    try:
        await lease.take()
    except NameHeld:  # somebody took it up since we looked
        return msgspec.structs.replace(one, removed=False)
    put_back = lost = 0
    try:
        for stream in place.streams:
            done = await hygiene.remove(place.broker, stream, place.group, one.name)
            put_back += len(done.put_back)
            lost += len(done.lost) + done.unknown
            await _record(place, stream, done)
    finally:
        await lease.free()
    return msgspec.structs.replace(one, put_back=put_back, lost=lost)


async def _record(place: Place, stream: str, done: hygiene.Removed) -> None:
    losses = [(identity, 1) for identity in done.lost] + ([("", done.unknown)] if done.unknown else [])
    for entry, count in losses:
        await place.database.execute(load(__file__, "record_dropped"), place.app, stream, entry, count)
        log.error("worker.entries_dropped", app=place.app, stream=stream, entry=entry, entries=count)


async def sweep(shift: Shift, place: Place) -> None:
    """Prune now and then, until a stop. The timer is jittered, so that workers do not sweep together."""
    while not await pause(shift.stopping, EVERY * random.uniform(0.5, 1.5)):  # noqa: S311
        try:
            for one in await prune(place, silent=SILENT):
                if one.removed:
                    log.info("worker.name_removed", app=place.app, consumer=one.name, idle=round(one.idle))
        except (*TROUBLES, asyncpg.PostgresError) as error:
            log.warning("worker.sweep_failed", app=place.app, error=str(error))
