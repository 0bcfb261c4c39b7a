"""A large backfill for one application costs no other group a live entry."""

from __future__ import annotations

from tests.engine.conftest import Shop
from tests.failure.foreign import LIVE, survived

ENTRIES = 5_000
"""More at `python -m tests.failure.foreign --entries 1000000`."""


async def test_what_a_foreign_group_lacks_outlives_a_large_backfill_and_the_trimming_beside_it(
    shop: Shop,
) -> None:
    found = await survived(shop, ENTRIES)

    assert found["trims_meanwhile"] > 1
    assert found["removed_meanwhile"] == 0
    assert found["removed_when_acknowledged"] == LIVE  # which held everything behind them
