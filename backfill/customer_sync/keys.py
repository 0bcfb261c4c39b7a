"""Rows come under a new key, page by page, while both services go on reading and writing.

Always holds: a page is one transaction, and a row that is under the newest key is left alone, so work that
was cut off goes on where it was; a row that somebody wrote meanwhile stays as he wrote it; a row that does
not open stays as it is, is told, and costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from backfill.customer_sync.sealing import Broken, Change, Row, judge
from consumers.customer_records import store
from consumers.customer_records.meeting import Side
from consumers.customer_records.vault import Vault
from headwater import telemetry
from headwater.database import Database, Tx

log = telemetry.logger(__name__)
PAGE = 500
"""Rows of one transaction."""


class Table(NamedTuple):
    """Where a side keeps e-mail."""

    name: str
    text: str = "email_encrypted"
    lookup: str = "email_index"
    """The column that e-mail is looked up by."""


TABLES: dict[Side, Table] = {side: Table(name) for side, name in store.TABLES.items()}


class Rotation(msgspec.Struct):
    """What was done, or with `--dry-run` is to be done."""

    rows: int = 0
    changed: int = 0
    missed: int = 0
    """Written by somebody while they were being sealed anew: the next run looks at them."""
    broken: list[Broken] = msgspec.field(default_factory=list)
    """Rows that do not open; all of them."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left under an older key but what does not open."""
        return not self.missed


async def rotate(
    database: Database,
    table: Table,
    vault: Vault,
    *,
    versioned: bool,
    dry_run: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> Rotation:
    """Bring every row under the newest key; `versioned`: and into the format that names it.

    `tell` hears how many rows have been looked at. Raises DatabaseUnavailable: what was done stays.
    """
    done, after = Rotation(), ""
    while rows := await _page(database, table, after):
        after = rows[-1].id
        judged = [judge(table.name, row, vault, versioned=versioned) for row in rows]
        changes = [one for one in judged if isinstance(one, Change)]
        done.rows += len(rows)
        done.broken += [one for one in judged if isinstance(one, Broken)]
        if dry_run:
            done.changed += len(changes)
        elif changes:
            await _write(database, table, changes, done)
        tell(done.rows)
    for one in done.broken:
        log.warning("keys.not_opened", table=table.name, record=one.id, reason=one.reason)
    return done


async def _page(database: Database, table: Table, after: str) -> list[Row]:
    columns = f"id, {table.text}, {table.lookup}"
    select = f"SELECT {columns} FROM public.{table.name} WHERE id > $1 ORDER BY id LIMIT {PAGE}"
    return [Row(*row) for row in await database.fetch(select, after)]


async def _write(database: Database, table: Table, changes: Sequence[Change], done: Rotation) -> None:
    try:
        written = await _update(database, table, changes)
    except asyncpg.UniqueViolationError:
        if len(changes) == 1:
            # Under two keys an address could be entered twice: that is for somebody to look at.
            done.broken.append(Broken(changes[0].id, "another record has the same address"))
            return
        for one in changes:
            await _write(database, table, [one], done)
        return
    done.changed += written
    done.missed += len(changes) - written


async def _update(database: Database, table: Table, changes: Sequence[Change]) -> int:
    async with database.transaction() as tx:
        await tx.execute(store.QUIET)
        return await _updated(tx, table, changes)


async def _updated(tx: Tx, table: Table, changes: Sequence[Change]) -> int:
    update = (
        f"UPDATE public.{table.name} AS kept SET {table.text} = new.text, {table.lookup} = new.lookup "
        "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS new (id, was, text, lookup) "
        f"WHERE kept.id = new.id AND kept.{table.text} = new.was"
    )
    tag = await tx.execute(update, *zip(*changes, strict=True))
    return int(tag.rpartition(" ")[2])
