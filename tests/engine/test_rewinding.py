"""A group goes back, and what the application had lost comes again, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import EntryId, lag
from headwater.delivery import rewinding
from headwater.errors import GroupMissing, HeadwaterError
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, SALES, applied, put, sale, settled, started, take

GROUP = "shelf-group"


async def rewound(shop: Shop, goal: rewinding.Goal, stream: str = SALES) -> rewinding.Step:
    steps = await rewinding.steps(shop.broker, [shop.key(stream)], GROUP, goal)
    await rewinding.rewind(shop.broker, GROUP, steps)
    return steps[0]


@pytest.mark.parametrize("goal", [EntryId(0, 0), 3600.0, datetime(2020, 1, 1, tzinfo=UTC)])
async def test_what_an_application_lost_comes_back_once_after_a_rewind(
    shop: Shop, goal: rewinding.Goal
) -> None:
    names = [f"s{n}" for n in range(6)]
    await put(shop, *(sale(shop, name) for name in names[:4]))
    worker = await started(shop, shop.worker())
    await applied(shop, *names[:4])
    backup = await shop.sink.fetchval("SELECT clock_timestamp()")
    await put(shop, *(sale(shop, name) for name in names[4:]))
    await applied(shop, *names)
    await shop.stop(worker)
    await shop.sink.execute("DELETE FROM headwater.inbox WHERE handled_at > $1", backup)
    await shop.sink.execute("DELETE FROM sales WHERE sale_id IN ('s4', 's5')")
    assert await shop.sales() == names[:4]

    step = await rewound(shop, goal)

    assert (step.entries, step.whole) == (6, True)
    found = await lag.lag(shop.broker, shop.key(SALES), GROUP)
    assert found is not None
    assert (found.entries, found.exact) == (6, True)
    worker = await started(shop, shop.worker())
    await applied(shop, *names)
    assert (await rewound(shop, goal)).entries == 6
    await applied(shop, *names)
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.gap") == 0


async def test_states_that_an_application_lost_come_back_as_they_were_last(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    worker = await started(shop, shop.worker())
    good, other, gone = await shop.put("old"), await shop.put("other"), await shop.put("gone")
    await shop.put("new", good)
    await shop.remove(gone)
    there = {good: "new", other: "other"}

    async def stand() -> bool:
        return await shop.goods() == there and await settled(shop)

    await until(stand)
    await shop.stop(worker)
    # As a backup has it: rows and their ledger together, and one of them older.
    await shop.sink.execute("DELETE FROM goods WHERE good_id::text <> $1", other)
    await shop.sink.execute("DELETE FROM headwater.ledger WHERE key <> $1", other)
    await shop.sink.execute("UPDATE goods SET name = 'tampered'")

    step = await rewound(shop, EntryId(0, 0), GOODS)

    assert (step.entries, step.whole) == (5, True)
    there = {good: "new", other: "tampered"}  # its version is known: the ledger drops what comes again
    await started(shop, shop.worker())
    await until(stand)


async def test_going_forward_is_refused_and_pending_stays_pending(shop: Shop) -> None:
    ids = await put(shop, *(sale(shop, f"s{n}") for n in range(4)))
    held = await take(shop, "other")
    await put(shop, sale(shop, "later"))

    step = await rewound(shop, EntryId.parse(ids[1]))

    assert held == ids
    assert (step.since, step.to, step.entries, step.read) == (ids[3], ids[1], 2, 2)
    assert await shop.pending() == 4
    with pytest.raises(HeadwaterError, match="would skip"):
        await rewound(shop, EntryId.parse(ids[3]))
    assert (await rewound(shop, 0.0)).entries == 0


async def test_a_rewind_over_what_was_trimmed_says_so_and_looks_like_no_loss(shop: Shop) -> None:
    await put(shop, *(sale(shop, f"s{n}") for n in range(6)))
    await take(shop, "other")
    await shop.broker.execute("XTRIM", shop.key(SALES), "MAXLEN", "=", 2)

    step = await rewound(shop, EntryId(0, 0))

    assert (step.entries, step.whole, step.read) == (2, False, 4)
    found = await lag.lag(shop.broker, shop.key(SALES), GROUP)
    assert found is not None
    assert (found.entries, found.exact) == (2, True)


async def test_what_is_trimmed_between_the_plan_and_the_rewind_is_not_counted_as_coming_back(
    shop: Shop,
) -> None:
    await put(shop, *(sale(shop, f"s{n}") for n in range(6)))
    await take(shop, "other")
    planned = await rewinding.steps(shop.broker, [shop.key(SALES)], GROUP, EntryId(0, 0))
    await shop.broker.execute("XTRIM", shop.key(SALES), "MAXLEN", "=", 2)

    (done,) = await rewinding.rewind(shop.broker, GROUP, planned)

    assert (planned[0].entries, planned[0].whole) == (6, True)
    assert (done.entries, done.whole, done.read) == (2, False, 4)
    found = await lag.lag(shop.broker, shop.key(SALES), GROUP)
    assert found is not None
    assert (found.entries, found.exact) == (2, True)


async def test_rewinds_and_trims_at_once_leave_a_true_count(shop: Shop) -> None:
    for turn in range(10):
        await put(shop, *(sale(shop, f"s{turn}-{n}") for n in range(20)))
        await take(shop, "other")
        trims = [shop.broker.execute("XTRIM", shop.key(SALES), "MAXLEN", "=", left) for left in (15, 9, 4)]
        (done, *_), *_ = await asyncio.gather(rewound_all(shop), *trims)

        left = await shop.broker.execute("XLEN", shop.key(SALES))
        found = await lag.lag(shop.broker, shop.key(SALES), GROUP)
        assert found is not None
        assert (found.entries, done.entries) == (left, left)
        await take(shop, "other")
        found = await lag.lag(shop.broker, shop.key(SALES), GROUP)
        assert found is not None
        assert found.entries == 0


async def rewound_all(shop: Shop) -> list[rewinding.Step]:
    steps = await rewinding.steps(shop.broker, [shop.key(SALES)], GROUP, EntryId(0, 0))
    return await rewinding.rewind(shop.broker, GROUP, steps)


async def test_a_group_that_is_missing_is_told(shop: Shop) -> None:
    with pytest.raises(GroupMissing, match=GROUP):
        await rewinding.steps(shop.broker, [shop.key(SALES)], GROUP, 60.0)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_from_a_time_on_everything_of_that_millisecond_is_read_again(now: int, age: int) -> None:
    to = rewinding.above(age / 1000, now)

    assert to <= EntryId(max(0, now - age), 0)
    assert to >= EntryId(max(0, now - age - 2), 0)
