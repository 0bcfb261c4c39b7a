"""Rows of the source are looked up by key through their index, whatever the keys look like."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from headwater.errors import DeclarationError
from headwater.replay import Backfill
from headwater.testing import controls
from tests.engine.conftest import Shop
from tests.engine.test_backfill import stocked

GOODS = controls.BACKFILL
BY_TEXT = msgspec.structs.replace(GOODS, key_column=None)
STRANGE = ["", "7", "no key", "'", "00000000-0000-0000-0000-00000000000", "é" * 36, "\n"]


async def found(shop: Shop, backfill: Backfill, keys: list[str]) -> set[str]:
    async with shop.source.connection() as connection:
        query = await backfill.lookup(connection, shop.tenant, "shelf")
        return {row["key"] for row in await connection.fetch(query, shop.tenant, "shelf", keys)}


async def plan(shop: Shop, backfill: Backfill, keys: list[str]) -> str:
    async with shop.source.connection() as connection:
        query = await backfill.lookup(connection, shop.tenant, "shelf")
        rows = await connection.fetch(f"EXPLAIN {query}", shop.tenant, "shelf", keys)
        return "\n".join(row[0] for row in rows)


async def test_many_keys_are_found_through_the_index_of_their_column(shop: Shop) -> None:
    goods = await stocked(shop, 5_000)
    await shop.source.execute("ANALYZE goods")
    keys = sorted(goods)[:1_000]

    typed, plain = await plan(shop, GOODS, keys), await plan(shop, BY_TEXT, keys)

    assert "Index Cond" in typed
    assert "(good_id = ANY (" in typed.replace("goods.", "")
    assert "good_id = ANY (" not in plain.replace("goods.", "")
    assert await found(shop, GOODS, keys) == await found(shop, BY_TEXT, keys) == set(keys)


async def test_keys_that_can_not_be_are_not_there_and_stop_no_others(shop: Shop) -> None:
    (key,) = await stocked(shop, 1)
    asked = [*STRANGE, key.upper(), str(uuid.uuid4()), key]

    assert await found(shop, GOODS, asked) == await found(shop, BY_TEXT, asked) == {key}
    assert await found(shop, GOODS, []) == set()


@pytest.mark.parametrize(
    ("kind", "there", "not_there"),
    [
        ("int4", ["7", "-1"], ["07", "+7", "7.0", "9" * 30, "1e3", " 7"]),
        ("int8", [str(2**62 % 10**18)], [str(2**63), "0x7"]),
        ("varchar(20)", ["7", "é'"], ["07", "7 "]),
        ("numeric", ["7"], ["7.00", "NaN", "x"]),
    ],
)
async def test_keys_of_any_type_are_found_by_their_text(
    shop: Shop, kind: str, there: list[str], not_there: list[str]
) -> None:
    await shop.source.execute(f"CREATE TABLE things (id {kind} PRIMARY KEY)")
    for one in there:
        await shop.source.execute(f"INSERT INTO things SELECT $1::text::{kind}", one)
    scope = "SELECT id::text AS key, id FROM things WHERE $1::text IS NOT NULL AND $2::text IS NOT NULL"
    things = msgspec.structs.replace(GOODS, scope=scope, order=("id",), key_column="id")

    assert await found(shop, things, [*there, *not_there]) == set(there)


async def test_a_column_that_is_not_the_key_is_refused_before_anything_is_taken_for_gone(shop: Shop) -> None:
    await stocked(shop, 3)
    wrong = msgspec.structs.replace(GOODS, key_column="name")

    with pytest.raises(DeclarationError, match="is not its name"):
        await found(shop, wrong, [])
