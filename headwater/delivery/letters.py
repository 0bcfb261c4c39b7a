"""Dead letters: what could not be applied, kept in the application's own database.

They survive a Redis that is full or flushed, and commit with the failure count they end. Replaying
one marks it; a worker of the application takes it through the same path as any entry, to no other
group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from headwater.database import Database, load
from headwater.delivery.outcome import Ack, Hold, Outcome, Park, RetryAfter
from headwater.delivery.work import Delivery
from headwater.event import Envelope, Fields
from headwater.event.codec import SIZE_LIMIT

OPEN = ("parked", "replaying", "waiting", "held")


class Parked(NamedTuple):
    """A delivery and why it is parked; one that is ordered may also wait or be held."""

    delivery: Delivery
    outcome: Park | RetryAfter | Hold
    envelope: Envelope | None = None
    ordered: bool = False


def mark(delivery: Delivery) -> str:
    """A digest of an entry: Redis may give its id to another event after it lost its streams."""
    text = msgspec.msgpack.encode(list(delivery.fields.items()))
    return hashlib.blake2b(text, digest_size=12).hexdigest()


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters."""

    states: tuple[str, ...] = OPEN
    tenant: str | None = None
    type: str | None = None
    reason: str | None = None
    before: int | None = None
    limit: int = 100


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it is shown."""

    id: int
    state: str
    parked_at: datetime
    stream: str
    entry: str
    type: str
    tenant: str
    key: str
    event_id: str
    reason: str
    error: str
    failures: int
    size: int
    settled_at: datetime | None
    note: str
    fields: dict[str, str] | None = None


async def park(database: Database, app: str, parked: Sequence[Parked]) -> None:
    """Store deliveries as dead letters; succeeds before they are acknowledged, so that none is lost."""
    if parked:
        await database.execute(load(__file__, "park"), app, *zip(*map(_row, parked), strict=True))


def _row(parked: Parked) -> tuple[Any, ...]:
    delivery, outcome, envelope, ordered = parked
    fields = delivery.fields
    size = sum(len(name) + len(value) for name, value in fields.items())
    about = (
        (envelope.id, envelope.type, envelope.tenant, envelope.key, envelope.job)
        if envelope
        else (
            *(
                _shown(fields.get(name, b""))[:200]
                for name in (b"eventId", b"eventType", b"tenantId", b"entityId")
            ),
            _shown(fields.get(b"job", b""))[:200],
        )
    )
    kept = msgspec.msgpack.encode(list(fields.items())) if size <= 4 * SIZE_LIMIT else None
    state, reason, error, failures, pause = _standing(outcome)
    reasons = (reason, error.replace("\x00", "�"))
    subject = envelope.subject if envelope else ""
    place = (mark(delivery), subject, ordered, state, pause)
    return (delivery.stream, delivery.entry, *reasons, *about, failures, size, kept, *place)


def _standing(outcome: Park | RetryAfter | Hold) -> tuple[str, str, str, int, float | None]:
    """State, reason, error, failures and seconds until the next try."""
    if isinstance(outcome, Park):
        return "parked", outcome.reason, outcome.error, outcome.failures, None
    if isinstance(outcome, RetryAfter):
        return "waiting", "failed", outcome.error, outcome.failures, outcome.seconds
    return "held", "behind", "waits behind an earlier event", 0, None


def unpack(kept: bytes) -> Fields:
    """The fields of an entry as it was parked."""
    return dict(msgspec.msgpack.decode(kept, type=list[tuple[bytes, bytes]]))


def _shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


async def listed(database: Database, app: str, which: Filter) -> list[Letter]:
    """Dead letters of an application, newest first."""
    rows = await database.fetch(
        load(__file__, "list_letters"),
        *(app, list(which.states), which.tenant, which.type, which.reason, which.before, which.limit),
    )
    return [Letter(**dict(row)) for row in rows]


async def shown(database: Database, app: str, letter: int) -> Letter | None:
    """One dead letter with its fields as text; None when there is none. Large ones keep no fields."""
    row = await database.fetchrow(load(__file__, "show_letter"), app, letter)
    if row is None:
        return None
    values = {name: value for name, value in row.items() if name not in {"fields", "job"}}
    kept = row["fields"]
    fields = {_shown(name): _shown(value) for name, value in unpack(kept).items()} if kept else None
    return Letter(**values, fields=fields)


async def replay(database: Database, app: str, ids: Sequence[int], *, note: str = "") -> list[int]:
    """Ask that parked dead letters be delivered again; the ids that will be."""
    rows = await database.fetch(load(__file__, "change_letters"), app, list(ids), "replaying", note)
    return sorted(row["id"] for row in rows)


async def discard(database: Database, app: str, ids: Sequence[int], *, note: str) -> list[int]:
    """Give parked dead letters up; the ids that were. They stay listed as discarded."""
    rows = await database.fetch(load(__file__, "change_letters"), app, list(ids), "discarded", note)
    return sorted(row["id"] for row in rows)


async def take(database: Database, app: str, limit: int = 100) -> list[tuple[Delivery, int]]:
    """Dead letters to replay now, with their failures so far; taken for a minute."""
    rows = await database.fetch(load(__file__, "take_letters"), app, limit)
    return [
        (Delivery(row["stream"], row["entry"], unpack(row["fields"]), row["id"]), row["failures"])
        for row in rows
    ]


async def settle(database: Database, delivery: Delivery, outcome: Outcome) -> None:
    """Write what became of a replayed dead letter: replayed, or parked again with the new reason."""
    if isinstance(outcome, Ack | Hold):
        await database.execute(load(__file__, "settle_letter"), delivery.letter, "replayed", None, None)
        return
    reason = outcome.reason if isinstance(outcome, Park) else "failed_again"
    await database.execute(load(__file__, "settle_letter"), delivery.letter, "parked", reason, outcome.error)
