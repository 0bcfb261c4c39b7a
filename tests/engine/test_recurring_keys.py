"""A key that is deleted, put back and upserted by several at once: nobody waits in a ring, versions rise."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from headwater.testing import until
from tests.engine.conftest import Shop

Session = Any  # asyncpg.Connection[Record], which only type checkers may write

UPSERT = """
INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, $3)
ON CONFLICT (good_id) DO UPDATE SET name = excluded.name RETURNING headwater_version
"""
INSERT = "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, $3) RETURNING headwater_version"
DELETE = "DELETE FROM goods WHERE good_id = $1"
TOMBSTONE = "SELECT version FROM headwater.tombstone WHERE key = $1"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = $1"


@pytest_asyncio.fixture(loop_scope="session")
async def sessions(shop: Shop) -> AsyncIterator[tuple[Session, Session, Session]]:
    opened = [await asyncpg.connect(shop.source.url) for _ in range(3)]
    yield opened[0], opened[1], opened[2]
    for session in opened:
        await session.close()


class Good:
    """One key, and who waits for whom."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.key = str(uuid.uuid4())

    async def put(self, session: Session, name: str, statement: str = UPSERT) -> int:
        return int(await session.fetchval(statement, self.key, self.shop.tenant, name))

    async def waiting(self, session: Session) -> None:
        await until(lambda: self.shop.source.fetchval(WAITING, session.get_server_pid()))

    async def tombstone(self) -> int:
        return int(await self.shop.source.fetchval(TOMBSTONE, self.key))


async def test_an_upsert_behind_a_delete_of_its_row_is_no_deadlock(
    shop: Shop, sessions: tuple[Session, Session, Session]
) -> None:
    holder, deleter, writer = sessions
    good = Good(shop)
    await good.put(holder, "first")
    async with holder.transaction():
        await good.put(holder, "second")
        deleting = asyncio.create_task(deleter.execute(DELETE, good.key))
        await good.waiting(deleter)
        putting = asyncio.create_task(good.put(writer, "third"))
        await good.waiting(writer)

    assert await deleting == "DELETE 1"
    assert await putting > await good.tombstone()


@pytest.mark.parametrize("statement", [INSERT, UPSERT])
async def test_who_puts_a_key_back_during_its_deletion_draws_a_later_version(
    shop: Shop, sessions: tuple[Session, Session, Session], statement: str
) -> None:
    deleter, writer, _ = sessions
    good = Good(shop)
    await good.put(deleter, "first")
    async with deleter.transaction():
        await deleter.execute("SELECT FROM goods WHERE good_id = $1 FOR UPDATE", good.key)
        putting = asyncio.create_task(good.put(writer, "second", statement))
        await good.waiting(writer)
        await deleter.execute(DELETE, good.key)

    assert await putting > await good.tombstone()


async def test_who_waited_for_another_insert_draws_after_it(
    shop: Shop, sessions: tuple[Session, Session, Session]
) -> None:
    first, second, deleter = sessions
    good = Good(shop)
    async with first.transaction():
        drawn = await good.put(first, "first")
        putting = asyncio.create_task(good.put(second, "second"))
        await good.waiting(second)

    later = await putting
    await deleter.execute(DELETE, good.key)
    assert drawn < later < await good.tombstone() < await good.put(second, "third")


async def test_who_deletes_and_puts_back_in_one_transaction_is_no_deadlock_for_an_upsert(
    shop: Shop, sessions: tuple[Session, Session, Session]
) -> None:
    both, writer, _ = sessions
    good = Good(shop)
    await good.put(both, "first")
    async with both.transaction():
        await both.execute(DELETE, good.key)
        putting = asyncio.create_task(good.put(writer, "third"))
        await good.waiting(writer)
        drawn = await good.put(both, "second")

    assert await good.tombstone() < drawn < await putting


async def test_deletes_and_upserts_of_one_key_by_many_never_fail_and_end_in_order(shop: Shop) -> None:
    good = Good(shop)
    opened = [await asyncpg.connect(shop.source.url) for _ in range(6)]

    async def work(place: int, session: Session) -> None:
        for number in range(40):
            async with session.transaction():
                kind = (number + place) % 3
                if kind < 2:
                    await session.execute(DELETE, good.key)
                if kind > 0:
                    await good.put(session, f"{place} {number}")

    await asyncio.gather(*(work(place, session) for place, session in enumerate(opened)))

    living = await shop.source.fetchval("SELECT headwater_version FROM goods WHERE good_id = $1", good.key)
    assert living is None or living > await good.tombstone()
    await asyncio.gather(*(session.close() for session in opened))


MANY = 200_000


async def fill(session: Session, shop: Shop, count: int) -> None:
    await session.execute(
        "INSERT INTO goods (good_id, tenant_id, name) "
        "SELECT gen_random_uuid(), $1, 'many' FROM generate_series(1, $2)",
        *(shop.tenant, count),
        timeout=120,
    )


async def test_who_inserts_many_is_told_to_try_again_when_a_key_was_deleted_in_that_moment(
    shop: Shop, sessions: tuple[Session, Session, Session]
) -> None:
    deleter, writer, _ = sessions
    good = Good(shop)
    await good.put(deleter, "first")
    writing = writer.transaction()
    await writing.start()
    await fill(writer, shop, 100)
    async with deleter.transaction():
        await deleter.execute("SELECT FROM goods WHERE good_id = $1 FOR UPDATE", good.key)
        putting = asyncio.create_task(good.put(writer, "second"))
        await good.waiting(writer)
        await deleter.execute(DELETE, good.key)
    with pytest.raises(asyncpg.SerializationError, match=good.key):
        await putting
    await writing.rollback()

    async with writer.transaction():
        await fill(writer, shop, 100)
        assert await good.put(writer, "third") > await good.tombstone()
        await writer.execute(DELETE, good.key)
        assert await good.put(writer, "fourth") > await good.tombstone()


async def test_one_statement_inserts_very_many_rows_with_few_locks(shop: Shop) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
    async with shop.source.connection() as connection, connection.transaction():
        await fill(connection, shop, MANY)
        locks = await connection.fetchval(held)
        most = await connection.fetchval("SELECT current_setting('max_locks_per_transaction')::int")

    assert 0 < locks < most
    versions = "SELECT count(DISTINCT headwater_version) FROM goods WHERE tenant_id = $1"
    assert await shop.source.fetchval(versions, shop.tenant) == MANY
