"""The databases that tests are given: used again only when no test has changed how they behave."""

from __future__ import annotations

import asyncpg
import pytest

from tests.engine.conftest import Stock

CHANGES = {
    "rows": ("INSERT INTO enabled VALUES (gen_random_uuid(), 'shelf')", True),
    "cached versions": ("ALTER SEQUENCE headwater.version_seq CACHE 50", False),
    "a trigger that is off": ("ALTER TABLE goods DISABLE TRIGGER zz_headwater_update", False),
    "a right that is missing": ("REVOKE INSERT ON headwater.outbox FROM CURRENT_USER", False),
    "rows that are hidden": ("ALTER TABLE goods ENABLE ROW LEVEL SECURITY", False),
    "a function that does something else": (
        "CREATE OR REPLACE FUNCTION headwater.next_version() RETURNS bigint "
        "LANGUAGE sql AS 'SELECT 1::bigint'",
        False,
    ),
}


@pytest.mark.parametrize(("change", "again"), CHANGES.values(), ids=CHANGES)
async def test_a_database_that_behaves_otherwise_is_given_to_no_other_test(
    templates: tuple[Stock, Stock], change: str, again: bool
) -> None:
    stock = templates[0]
    async with stock.one() as url:
        connection = await asyncpg.connect(url)
        await connection.execute(change)
        await connection.close()

    async with stock.one() as given:
        assert (given == url) is again
