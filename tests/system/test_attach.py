"""Tables that live get versions, while writers go on."""

from __future__ import annotations

import asyncio

import pytest

from headwater.database import Database, connect
from headwater.database.attach import Attached, Patience, attach
from headwater.errors import HeadwaterError

NOTES = Attached("notes", "notes", "tenant_id", "id", ("body",))


async def filled(source: Database, rows: int) -> None:
    """A table that was never attached."""
    await source.execute("CREATE TABLE notes (id int PRIMARY KEY, tenant_id text DEFAULT 't', body text)")
    await source.execute("INSERT INTO notes SELECT n, 't', 'old' FROM generate_series(1, $1::int) AS n", rows)


async def test_rows_that_were_there_already_are_stamped_in_batches_each_with_its_own_version(
    source: Database,
) -> None:
    await filled(source, 2500)

    stamped = await attach(source.url, [NOTES], batch=1000)

    assert stamped == 2500
    assert await source.fetchval("SELECT count(DISTINCT headwater_version) FROM notes") == 2500


async def test_attaching_again_changes_nothing(source: Database) -> None:
    await filled(source, 10)
    await attach(source.url, [NOTES])
    before = await source.fetch("SELECT id, headwater_version FROM notes ORDER BY id")

    assert await attach(source.url, [NOTES]) == 0

    assert await source.fetch("SELECT id, headwater_version FROM notes ORDER BY id") == before


async def test_writers_go_on_while_rows_are_stamped_and_nobody_waits_in_a_ring(source: Database) -> None:
    await filled(source, 8000)
    done = asyncio.Event()

    async def write(step: int) -> int:
        changed = 0
        while not done.is_set():
            async with source.transaction() as tx:  # two rows, against the order of the table
                for row in (8000 - changed * step % 8000, changed * step % 4000 + 1):
                    await tx.execute("UPDATE notes SET body = body || $2 WHERE id = $1", row, str(step))
            changed += 1
        return changed

    writers = [asyncio.create_task(write(step)) for step in (3, 7)]
    await attach(source.url, [NOTES], batch=200)
    done.set()

    assert min(await asyncio.gather(*writers)) > 0
    assert await source.fetchval("SELECT count(DISTINCT headwater_version) FROM notes") == 8000


async def test_a_table_that_stays_locked_is_named_and_its_writer_is_left_alone(source: Database) -> None:
    await filled(source, 10)
    writer = await connect(source.url)
    await writer.execute("BEGIN; UPDATE notes SET body = 'new' WHERE id = 5")

    with pytest.raises(HeadwaterError, match="'notes' stayed locked"):
        await attach(source.url, [NOTES], patience=Patience(lock=0.05, total=0.1))

    await writer.execute("COMMIT")
    assert await attach(source.url, [NOTES]) == 10
    await writer.close()
