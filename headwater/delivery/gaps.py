"""The gaps of an application: recorded once, repaired, closed, in its own database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from headwater.broker import EntryId, Seen
from headwater.broker.repairs import Missing, Repaired
from headwater.database import Connection, Database, load
from headwater.delivery.losses import Mark, before, passed
from headwater.publish.span import command


class Gap(NamedTuple):
    """Entries that are gone, or may be."""

    app: str
    stream: str
    kind: str
    entry: str
    """Its id, where one entry is known to be gone; else empty."""
    entries: int
    since: str
    """Everything up to here was applied."""
    upto: str = ""
    """The last that can be gone; empty when that is not known."""
    repair: str = ""
    until: str = ""
    """With a repair that has begun: the gap closes when everything up to here is applied."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One gap as it stands."""

    id: int
    stream: str
    kind: str
    entry: str
    entries: int
    state: str
    detected_at: datetime
    since: str
    upto: str
    repair: str
    until: str
    repaired_by: str
    note: str
    closed_at: datetime | None


def deleted(app: str, stream: str, entries: Iterable[str]) -> list[Gap]:
    """Gaps of entries that were pending when somebody deleted or trimmed them."""
    return [
        Gap(app, stream, "deleted_while_pending", one, 1, str(before(EntryId.parse(one))), one)
        for one in entries
    ]


async def record(where: Connection | Database, gap: Gap) -> None:
    """Write one down; an entry that is known by its id is written once.

    Repairs that were under way on its stream may have lost what they brought: they begin again.
    """
    await where.execute(load(__file__, "record_gap"), *gap)


async def withdraw(database: Database, app: str, stream: str, entries: Sequence[str]) -> None:
    """Close the gaps of entries that turned out to be in somebody's hands, and are settled now."""
    await database.execute(load(__file__, "withdraw_gaps"), app, stream, entries)


async def marks(tx: Connection, app: str) -> dict[str, Mark]:
    """What is remembered of each stream."""
    rows = await tx.fetch(load(__file__, "marks"), app)
    parse = EntryId.parse
    return {
        row["stream"]: Mark(
            row["added"],
            parse(row["last"]),
            parse(row["deleted"]),
            row["trimmed"],
            parse(row["floor"]),
            row["unsettled"],
        )
        for row in rows
    }


async def keep(tx: Connection, app: str, kept: dict[str, Mark]) -> None:
    """Remember these."""
    if kept:
        rows = [
            (stream, m.added, str(m.last), str(m.deleted), m.trimmed, str(m.floor), m.unsettled)
            for stream, m in sorted(kept.items())
        ]
        await tx.execute(load(__file__, "keep_marks"), app, *zip(*rows, strict=True))


async def missing(tx: Connection, app: str, incarnation: str) -> list[Missing]:
    """What nobody repairs yet, one a stream."""
    rows = await tx.fetch(load(__file__, "open_gaps"), app)
    return [
        Missing(
            app=app,
            stream=row["stream"],
            incarnation=incarnation,
            gap=row["gap"],
            since=row["since"],
            upto=row["upto"],
            sure=row["sure"],
        )
        for row in rows
    ]


async def repairing(where: Connection | Database, wanted: Missing, done: Repaired, repair: str) -> list[int]:
    """Note what was done; the gaps it is for."""
    said = f"{done.rows} rows of the outbox were said again"
    about = (wanted.app, wanted.stream, done.gap, repair, done.until, done.by, said)
    rows = await where.fetch(load(__file__, "repair_gaps"), *about)
    return [row["id"] for row in rows]


async def close_applied(tx: Connection, app: str, seen: dict[str, Seen]) -> list[int]:
    """Close gaps whose repair every one of its entries has been applied of; their ids."""
    rows = await tx.fetch(load(__file__, "repairing_gaps"), app)
    done = [
        (row["stream"], row["until"])
        for row in rows
        if row["stream"] in seen and passed(seen[row["stream"]], EntryId.parse(row["until"]))
    ]
    if not done:
        return []
    return [row["id"] for row in await tx.fetch(load(__file__, "close_gaps"), app, *zip(*done, strict=True))]


async def listed(database: Database, app: str, *, closed: bool = False) -> list[Recorded]:
    """Its gaps, newest first. Raises DatabaseUnavailable."""
    rows = await database.fetch(load(__file__, "list_gaps"), app, closed)
    return [Recorded(**dict(row)) for row in rows]


def remedy(app: str, some: Iterable[Recorded]) -> str:
    """What to type about gaps that are open; empty when none is. Pure."""
    left = [one for one in some if one.state == "open"]
    missed: dict[str, str] = {}
    for one in left:
        if one.since:
            known = missed.get(one.stream, one.since)
            missed[one.stream] = min(known, one.since, key=EntryId.parse)
    if missed:
        return command(app, missed)
    return f"headwater groups gaps {app}" if left else ""


async def close(database: Database, app: str, gap: int, note: str) -> bool:
    """Close one by hand; False when there is none that is not closed already."""
    return await database.fetchval(load(__file__, "close_gap"), app, gap, note) is not None
