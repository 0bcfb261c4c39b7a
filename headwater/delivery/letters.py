"""Dead letters: what could not be applied, kept in the application's own database.

They survive a Redis that is full or flushed, and commit with the failure count they end. Replaying
one marks it; a worker of the application takes it through the same path as any entry, to no other
group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from headwater.database import Database, Tx, load
from headwater.delivery.halving import Fenced, Thing
from headwater.delivery.outcome import Ack, Hold, Outcome, Park, RetryAfter
from headwater.delivery.work import Delivery
from headwater.event import Envelope, Fields
from headwater.event.codec import SIZE_LIMIT

OPEN = ("parked", "replaying", "waiting", "held")
TRIED = ("parked", "waiting")
"""What can be asked to be delivered now."""


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
    behind: int
    """How many later events of its thing are held until this one is settled."""
    fields: dict[str, str] | None = None


class Taken(NamedTuple):
    """A dead letter that is delivered now."""

    delivery: Delivery
    failures: int
    tries: int
    """Tells takers apart; modulo 1000 how often it was taken without an outcome, this time included."""
    ordered: bool

    @property
    def crashes(self) -> int:
        """How many takers ended without an outcome."""
        return self.tries % 1000 - 1

    async def check(self, tx: Tx) -> None:
        """Raise Fenced unless it is still this taker's, and stays so until the transaction ends."""
        if await tx.fetchval(load(__file__, "check_letter"), self.delivery.letter, self.tries) is None:
            raise Fenced(f"dead letter {self.delivery.letter} was taken by another worker")


async def park(database: Database | Tx, app: str, parked: Sequence[Parked]) -> None:
    """Store deliveries as dead letters; succeeds before they are acknowledged, so that none is lost."""
    if parked:
        await database.execute(load(__file__, "park"), app, *zip(*map(_row, parked), strict=True))


def _row(parked: Parked) -> tuple[Any, ...]:
    delivery, outcome, envelope, ordered = parked
    fields = delivery.fields
    size = sum(len(name) + len(value) for name, value in fields.items())
    about = (
        (envelope.id, envelope.type, envelope.tenant, envelope.key, envelope.job[:200])
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


def _standing(outcome: Outcome) -> tuple[str, str, str, int, float | None]:
    """State, reason, error, failures and seconds until the next try."""
    if isinstance(outcome, Park):
        return "parked", outcome.reason, outcome.error, outcome.failures, None
    if isinstance(outcome, RetryAfter):
        return "waiting", "failed", outcome.error, outcome.failures, outcome.seconds
    if isinstance(outcome, Hold):
        return "held", "behind", "waits behind an earlier event", 0, None
    return "replayed", "", "", 0, None


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
    """Ask that parked or waiting dead letters be delivered now; the ids that will be."""
    rows = await database.fetch(load(__file__, "change_letters"), app, list(ids), "replaying", note)
    return sorted(row["id"] for row in rows)


async def discard(database: Database, app: str, ids: Sequence[int], *, note: str) -> list[int]:
    """Give dead letters up that are not settled; the ids that were. They stay listed as discarded."""
    rows = await database.fetch(load(__file__, "change_letters"), app, list(ids), "discarded", note)
    return sorted(row["id"] for row in rows)


async def take(database: Database, app: str, *, limit: int = 100, seconds: float = 60.0) -> list[Taken]:
    """Dead letters to deliver now, taken for so long: those asked for, the first of each ordered thing."""
    rows = await database.fetch(load(__file__, "take_letters"), app, limit, seconds)
    return [
        Taken(
            Delivery(row["stream"], row["entry"], unpack(row["fields"]), row["id"]),
            *(row["failures"], row["tries"], row["ordered"]),
        )
        for row in rows
    ]


async def keep(database: Database, taken: Sequence[Taken], seconds: float) -> None:
    """Hold taken letters for so long from now."""
    ids, tries = [one.delivery.letter for one in taken], [one.tries for one in taken]
    await database.execute(load(__file__, "keep_letters"), ids, tries, seconds)


async def let_go(database: Database, taken: Sequence[Taken]) -> None:
    """Give back those that are not settled, and count nothing against them."""
    ids, tries = [one.delivery.letter for one in taken], [one.tries for one in taken]
    await database.execute(load(__file__, "let_go_letters"), ids, tries)


async def settle(database: Database, taken: Taken, outcome: Outcome) -> None:
    """Write what became of a delivered dead letter: replayed, parked again, or waiting if it is ordered."""
    state, reason, error, _, seconds = _standing(outcome)
    if isinstance(outcome, RetryAfter) and not taken.ordered:
        state, reason, seconds = "parked", "failed_again", None
    more = 0
    if not isinstance(outcome, Ack | Hold):
        more = outcome.failures - taken.failures
    told = (state, reason or None, error or None, seconds, more)
    await database.execute(load(__file__, "settle_letter"), taken.delivery.letter, taken.tries, *told)


async def blocked(database: Database, app: str, things: Iterable[Thing]) -> list[Thing]:
    """Of these ordered things those with a letter that is not settled."""
    columns = [list(column) for column in zip(*sorted(things), strict=True)]
    if not columns:
        return []
    rows = await database.fetch(load(__file__, "blocked"), app, *columns)
    return [(row["tenant"], row["subject"], row["key"]) for row in rows]
