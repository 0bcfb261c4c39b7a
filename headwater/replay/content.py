"""Compare what stands in the mapped columns with what the source row would say.

Each row is said, encoded and read as the application would read it, and the application's own Postgres
compares: what the columns' types make of a value is theirs to decide. Only rows of the same version are
compared; others are a matter of keys and versions.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec

from headwater.database import Row
from headwater.event import Event
from headwater.event.spelling import dump
from headwater.replay import reach
from headwater.replay.digest import BUCKETS
from headwater.replay.saying import UNSAYABLE, Saying
from headwater.replay.sides import Sides, plain_type

PAGE = 1000
JSON = ("json", "jsonb")


class Content:
    """Level 2 of one subject."""

    def __init__(self, sides: Sides, saying: Saying) -> None:
        self._sides = sides
        self._saying = saying
        self._columns = columns(sides)
        self.compared = 0
        """Rows whose content was looked at."""
        self.refused: dict[str, str] = {}
        """Why rows could not be said, by key."""

    async def corrupt(self, *, sample: int | None = None, rows: int = 0) -> list[str]:
        """Keys whose content differs at the same version, in order.

        `sample`: about so many rows of the `rows` there are, picked anew each time.
        """
        suspects: list[str] = []
        pages = self._pages() if sample is None or sample >= rows else self._some(sample, rows)
        pending: asyncio.Task[list[str]] | None = None
        async for page in pages:  # the next one is read while this one is compared
            if pending is not None:
                suspects += await pending
            pending = asyncio.create_task(self._differing(page), name="content")
        if pending is not None:
            suspects += await pending
        return await self.confirmed(suspects)

    async def confirmed(self, suspects: Sequence[str]) -> list[str]:
        """Those of them that still differ."""
        found: list[str] = []
        for start in range(0, len(suspects), PAGE):
            found += await self._differing(await self._named(suspects[start : start + PAGE]), count=False)
        return sorted(found)

    async def _named(self, keys: Sequence[str]) -> list[Row]:
        return await self._sides.rows(keys)

    async def _pages(self) -> AsyncIterator[list[Row]]:
        backfill, sides = self._sides.backfill, self._sides
        types, values = await sides.types_said(), (sides.tenant, sides.mirrored.app, PAGE)
        after: list[str] = []

        async def read(query: str) -> list[Row]:
            return await sides.source.fetch(query, *values, *after)

        while True:
            query = backfill.page(types, after=bool(after), since=False)
            rows = await reach.rows(read, query, sides.types_said)
            if rows:
                after = backfill.position(rows[-1])
                yield rows
            if len(rows) < PAGE:
                return

    async def _some(self, sample: int, rows: int) -> AsyncIterator[list[Row]]:
        picked = random.sample(range(BUCKETS), min(BUCKETS, max(1, -(-sample * BUCKETS // rows))))
        keys = sorted(await self._sides.keys_said(picked))
        for start in range(0, min(len(keys), sample), PAGE):
            yield await self._named(keys[start : min(start + PAGE, sample)])

    async def _differing(self, rows: Sequence[Row], *, count: bool = True) -> list[str]:
        wanted = [one for row in rows if (one := self._wanted(row)) is not None]
        self.compared += len(wanted) if count else 0
        return await self._compared(wanted)

    def _wanted(self, row: Row) -> dict[str, Any] | None:
        """What the application would write for a row."""
        try:
            event = self._read(self._sides.backfill.event(row), row["version"])
        except UNSAYABLE as error:
            self.refused[row["key"]] = f"{type(error).__name__}: {error}"[:300]
            return None
        values = {f"c{at}": getattr(event, name) for at, name in enumerate(self._columns)}
        return {"key": row["key"], "version": row["version"], **values}

    def _read(self, event: Event, version: int | None) -> Event:
        """The event as the application reads it."""
        outgoing = self._saying.ways.outgoing
        if outgoing.catalogue.stream(event.type).spelling == "own":  # what is around the data changes nothing
            return outgoing.codec.registry.read(event.type, event.schema_version, dump(event))
        ((_, fields), *_) = self._saying.entries(event, version)
        return outgoing.codec.decode(fields).event

    async def _compared(self, wanted: Sequence[dict[str, Any]]) -> list[str]:
        if not wanted:
            return []
        sides = self._sides
        text = msgspec.json.encode(wanted).decode()
        try:
            rows = await sides.sink.fetch(content(sides), sides.tenant, sides.mirrored.app, text)
        except asyncpg.DataError as error:
            if len(wanted) == 1:  # its event can not be applied either, and is among the dead letters
                self.refused[wanted[0]["key"]] = f"{type(error).__name__}: {error}"[:300]
                return []
            half = len(wanted) // 2
            return [*await self._compared(wanted[:half]), *await self._compared(wanted[half:])]
        return [row["key"] for row in rows]


def columns(sides: Sides) -> list[str]:
    """Columns whose content a version stands for. Pure."""
    return [one for one in sides.mirrored.columns if one not in sides.backfill.unversioned]


def content(sides: Sides) -> str:
    """SQL for keys whose row differs from what is wanted. Parameters: tenant, app, what is wanted as JSON."""
    mirrored, types = sides.mirrored, sides.types
    compared = {f"c{at}": (name, types[name]) for at, name in enumerate(columns(sides))}
    record = "".join(
        f", {alias} {'jsonb' if kind in JSON else kind}" for alias, (_, kind) in compared.items()
    )
    differs = " OR ".join(
        f"{_shown(f't.{name}', kind)} IS DISTINCT FROM e.{alias}" for alias, (name, kind) in compared.items()
    )
    subject = mirrored.subject.replace("'", "''")
    return (
        f"SELECT e.key FROM json_to_recordset($3::text::json) AS e (key text, version bigint{record})\n"
        "  JOIN headwater.ledger AS l ON l.app = $2::text AND l.tenant = $1::text\n"
        f"       AND l.subject = '{subject}'\n"
        "       AND l.key = e.key AND l.version = e.version AND NOT l.deleted\n"
        f"  JOIN {mirrored.table} AS t ON t.tenant_id = $1::text::{types['tenant_id']}\n"
        f"       AND t.{mirrored.key} = e.key::{plain_type(types[mirrored.key])}\n"
        f" WHERE {differs or 'false'}"
    )


def _shown(column: str, kind: str) -> str:
    """SQL for a column's value as events say it."""
    if kind in JSON:
        return f"{column}::jsonb"
    if not kind.startswith("timestamp"):
        return column
    # Python knows no infinity: the driver reads it as the first or last moment, and writes those as it.
    first, last = f"'0001-01-01 00:00+00'::{kind}", f"'9999-12-31 23:59:59.999999+00'::{kind}"
    return f"CASE {column} WHEN 'infinity' THEN {last} WHEN '-infinity' THEN {first} ELSE {column} END"
