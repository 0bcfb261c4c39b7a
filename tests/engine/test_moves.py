"""A row that moves to another application is gone for the one before, whoever moved it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from headwater.database.attach import Attached, Moves, attach
from headwater.testing import until
from headwater.testing.controls import GoodChanged, GoodRemoved
from tests.engine.again import moved
from tests.engine.conftest import Shop
from tests.engine.entries import settled

GOODS = Attached(
    "goods",
    "goods",
    "tenant_id",
    "good_id",
    ("name", "price", "note", "tenant_id", "app"),
    recurring=True,
    moves=Moves("app", lambda key: GoodRemoved(good_id=key)),
)


@pytest_asyncio.fixture(loop_scope="session")
async def market(shop: Shop) -> AsyncIterator[Shop]:
    """A shop whose goods belong to one application each."""
    await shop.source.execute("ALTER TABLE goods ADD COLUMN app text")
    await attach(shop.source.url, [GOODS])
    yield shop


async def put(shop: Shop, app: str | None) -> str:
    good = str(uuid.uuid4())
    query = "INSERT INTO goods (good_id, tenant_id, name, app) VALUES ($1, $2, 'n', $3)"
    await shop.source.execute(query, good, shop.tenant, app)
    return good


async def left(shop: Shop) -> list[tuple[str, str, str]]:
    """(key, target, op) of what the outbox holds, in order."""
    rows = await shop.source.fetch("SELECT key, target, op FROM headwater.outbox ORDER BY id")
    return [(row["key"], row["target"], row["op"]) for row in rows]


async def move(shop: Shop, good: str, app: str | None) -> Any:
    query = "UPDATE goods SET app = $2 WHERE good_id::text = $1 RETURNING *"
    return await shop.source.fetchrow(query, good, app)


async def test_what_moves_away_by_plain_sql_leaves_the_application_without_anybody_saying_so(
    market: Shop,
) -> None:
    await market.enable()
    market.start(market.relay())
    market.start(market.worker())
    good, stays = await put(market, "shelf"), await put(market, "shelf")
    for one in (good, stays):
        async with market.source.transaction() as tx:
            row: Any = await tx.fetchrow(
                "UPDATE goods SET name = 'm' WHERE good_id::text = $1 RETURNING *", one
            )
            event = GoodChanged(good_id=one, name="m", price=row["price"])
            version = row["headwater_version"]
            await market.producer.publish(tx, event, tenant=market.tenant, version=version)

    row = await move(market, good, "till")

    async def gone() -> bool:
        return await market.goods() == {stays: "m"}

    await until(gone, within=60.0)
    line: Any = await market.sink.fetchrow(
        "SELECT version, deleted FROM headwater.ledger WHERE key = $1", good
    )
    assert (line["version"], line["deleted"]) == (row["headwater_version"], True)
    await moved(market)
    await until(lambda: settled(market))


async def test_only_a_move_away_is_said_and_only_where_it_commits(market: Shop) -> None:
    good = await put(market, None)
    await move(market, good, "shelf")
    await market.source.execute("UPDATE goods SET name = 'other', price = 7")
    await move(market, good, "shelf")
    assert await left(market) == []

    async with market.source.connection() as connection:
        change = connection.transaction()
        await change.start()
        await connection.execute("UPDATE goods SET app = 'till'")
        assert await connection.fetchval("SELECT count(*) FROM headwater.outbox") == 1
        await change.rollback()
    assert await left(market) == []

    await move(market, good, "till")
    await move(market, good, None)
    assert await left(market) == [(good, "shelf", "d"), (good, "till", "d")]


async def test_there_and_back_in_one_transaction_leaves_the_last_state(market: Shop) -> None:
    await market.enable()
    market.start(market.relay())
    market.start(market.worker())
    good = await put(market, "shelf")
    async with market.source.transaction() as tx:
        await tx.execute("UPDATE goods SET app = 'till' WHERE good_id::text = $1", good)
        row: Any = await tx.fetchrow(
            "UPDATE goods SET app = 'shelf', name = 'back' WHERE good_id::text = $1 RETURNING *", good
        )
        event = GoodChanged(good_id=good, name="back", price=row["price"])
        await market.producer.publish(tx, event, tenant=market.tenant, version=row["headwater_version"])

    async def there() -> bool:
        return await market.goods() == {good: "back"}

    await until(there, within=60.0)
    assert [(target, op) for _, target, op in await left(market)] == [
        ("shelf", "d"), ("till", "d"), ("*", "u")
    ]  # fmt: skip


async def test_a_thousand_rows_that_move_at_once_are_all_said(market: Shop) -> None:
    await market.source.execute(
        "INSERT INTO goods (good_id, tenant_id, name, app) "
        "SELECT gen_random_uuid(), $1, 'n', 'shelf' FROM generate_series(1, 1000)",
        market.tenant,
    )
    await market.source.execute("UPDATE goods SET app = 'till'")
    found = await left(market)
    assert len({key for key, _, _ in found}) == len(found) == 1000
    assert {(target, op) for _, target, op in found} == {("shelf", "d")}


async def test_who_may_change_the_table_needs_no_right_on_the_outbox(market: Shop) -> None:
    good = await put(market, "shelf")
    role = f"clerk_{uuid.uuid4().hex[:8]}"
    query = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE tablename = 'goods'"
    goods = await market.source.fetchval(query)
    await market.source.execute(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA headwater TO {role}; "
        f"GRANT SELECT, UPDATE ON {goods} TO {role}; GRANT SELECT ON headwater.meta TO {role}; "
        f"GRANT USAGE ON SEQUENCE headwater.version_seq TO {role}"
    )
    try:
        async with market.source.transaction() as tx:
            await tx.execute(f"SET LOCAL ROLE {role}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with tx.transaction():
                    await tx.execute("SELECT FROM headwater.outbox")
            await tx.execute(f"UPDATE {goods} SET app = 'till' WHERE good_id::text = $1", good)
        assert await left(market) == [(good, "shelf", "d")]
    finally:
        await market.source.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_table_that_no_longer_declares_it_says_nothing(market: Shop) -> None:
    good = await put(market, "shelf")
    await attach(market.source.url, [GOODS._replace(moves=None)])
    await move(market, good, "till")
    assert await left(market) == []
