"""How far a job is: read, published, delivered and applied, subject by subject, and how long it may take yet.

Delivered and applied are counted by chunks: a chunk counts once the application's group has been
given, or has applied, the last entry it appended to each stream. So no figure is ever taken from
another, none is negative, and none runs ahead of the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headwater import clock
from headwater.broker import Broker, EntryId
from headwater.database import Database, load
from headwater.errors import HeadwaterError
from headwater.publish import Outgoing
from headwater.replay.jobs import Job


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one subject of a job is, in rows."""

    subject: str
    state: str
    expected: int | None
    """Rows in scope when the job began; None before they were counted."""
    read: int
    published: int
    delivered: int
    applied: int
    failed: int
    chunks: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is."""

    subjects: tuple[Progress, ...]
    eta: float | None
    """Seconds until everything is read and applied, at the present pace; None when nothing tells."""
    parked: int | None = None
    """Entries of the job that lie parked, among the applied ones; None where nobody looked."""


class Floors(NamedTuple):
    """How far a group is on one stream."""

    delivered: EntryId
    """The last entry it was given."""
    applied: EntryId
    """Everything up to here it has acknowledged."""


class Pace(NamedTuple):
    """What the latest chunks tell."""

    rows: int
    seconds: float


def floors(last_delivered: str, first_pending: str | None) -> Floors:
    """How far a group is, from what Redis says about it. Pure."""
    delivered = EntryId.parse(last_delivered)
    if first_pending is None:
        return Floors(delivered, delivered)
    first = EntryId.parse(first_pending)
    return Floors(delivered, min(delivered, EntryId(first.milliseconds, first.sequence - 1)))


def seconds_left(job: Job, subjects: Sequence[Progress], pace: Pace, elapsed: float) -> float | None:
    """Seconds until everything is read and applied; None when nothing tells. Pure, never negative."""
    if job.state == "catching_up":
        applied = sum(one.applied for one in subjects)
        waiting = sum(one.published for one in subjects) - applied
        return max(0, waiting) * elapsed / applied if applied and elapsed > 0 else None
    if job.state != "running" or pace.rows <= 0 or pace.seconds <= 0:
        return 0.0 if job.finished else None
    open_parts = [one for one in subjects if one.state not in {"done", "failed"}]
    if any(one.expected is None for one in open_parts):
        return None
    left = sum(max(0, (one.expected or 0) - one.read) for one in open_parts)
    return left * pace.seconds / pace.rows


async def standing(source: Database, broker: Broker, outgoing: Outgoing, job: Job) -> Standing:
    """How far a job is now. Raises DatabaseUnavailable, BrokerUnavailable."""
    group = outgoing.catalogue.group(job.app).name
    known = {stream: await _floors(broker, stream, group) for stream in job.upto()}
    found = {stream: one for stream, one in known.items() if one is not None}
    rows = await source.fetch(
        load(__file__, "chunks"),
        job.id,
        list(found),
        [f"{one.delivered.milliseconds},{one.delivered.sequence}" for one in found.values()],
        [f"{one.applied.milliseconds},{one.applied.sequence}" for one in found.values()],
    )
    subjects = _subjects(job, {row["subject"]: row for row in rows})
    pace = await source.fetchrow(load(__file__, "pace"), job.id)
    elapsed = (clock.now() - job.started_at).total_seconds() if job.started_at else 0.0
    latest = Pace(pace["rows"], pace["seconds"]) if pace else Pace(0, 0.0)
    return Standing(subjects=subjects, eta=seconds_left(job, subjects, latest, elapsed))


async def parked(sink: Database, job: Job) -> int:
    """Entries of a job that its application parked. Raises DatabaseUnavailable."""
    return int(await sink.fetchval(load(__file__, "letters_of_job"), job.app, job.id))


def _subjects(job: Job, chunks: Mapping[str, Any]) -> tuple[Progress, ...]:
    found = []
    for part in job.parts:
        row = chunks.get(part.subject) or {"chunks": 0, "delivered": 0, "applied": 0}
        delivered = min(part.published, row["delivered"])
        found.append(
            Progress(
                subject=part.subject,
                state=part.state,
                expected=None if part.expected is None else max(part.expected, part.read),
                read=part.read,
                published=part.published,
                delivered=delivered,
                applied=min(delivered, row["applied"]),
                failed=part.failed,
                chunks=row["chunks"],
            )
        )
    return tuple(found)


async def _floors(broker: Broker, stream: str, group: str) -> Floors | None:
    (pending,) = await broker.ask([("XPENDING", stream, group)])
    if isinstance(pending, HeadwaterError):
        return None  # a stream or group that is gone was given nothing
    state = next((one for one in await broker.groups(stream) if one.name == group), None)
    return floors(state.last_delivered, pending[1] and pending[1].decode()) if state else None
