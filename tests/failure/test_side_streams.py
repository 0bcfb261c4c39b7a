"""A backfill through a side stream while runner, worker or Redis fails: late at worst, never wrong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from headwater.publish import Outgoing
from headwater.replay.jobs import Jobs
from headwater.testing import controls, until
from tests.engine.conftest import Shop
from tests.engine.test_backfill import asked, ended, runner, stocked
from tests.failure.children import Children
from tests.failure.claims import watched

SIDE = "shelf:goods:bf:shelf"
GROUP = "shelf-group"


@pytest.fixture
def aside(shop: Shop, children: Children) -> Shop:
    """A shop whose shelf has side streams, in its children too."""
    shop.outgoing = Outgoing(controls.CODEC, shop.catalogue.with_side_streams(["shelf"]))
    children.settings = {"SHOP_ASIDE": "shelf", "SHOP_LEASE": "0.8"}
    return shop


async def ever(shop: Shop) -> int:
    """Entries that the side stream was ever given."""
    found = await shop.broker.stream(shop.key(SIDE))
    if found is None:
        return 0
    told = await shop.broker.execute("XINFO", "STREAM", shop.key(SIDE))
    return int(dict(zip(told[::2], told[1::2], strict=True))[b"entries-added"])


async def nothing_live(shop: Shop) -> bool:
    """Whether nothing of history went the way of what is live."""
    found = await shop.broker.stream(shop.key("shelf:goods"))
    return found is None or found.last_id == "0-0"


async def changed(shop: Shop, names: Iterable[str]) -> dict[str, str]:
    """Change some of the goods live."""
    return {await shop.put("live", key): "live" for key in sorted(names)[::5]}


async def test_a_runner_that_is_killed_half_way_is_followed_by_one_that_says_the_rest(
    aside: Shop, children: Children
) -> None:
    goods = await stocked(aside, 60)
    aside.start(aside.worker())
    job = await asked(aside)
    await children.die_at("runner", "backfill.appended=6", name="r1")
    assert 0 < await ever(aside) < 60

    aside.start(runner(aside, chunk=10, window=10, lease=0.8))

    assert (await ended(aside, job)).state == "verified"
    assert await aside.goods() == goods
    assert 60 <= await ever(aside) < 90  # what was appended and not written down is said again
    assert await nothing_live(aside)
    assert await aside.broker.execute("XLEN", aside.key(SIDE)) == 0


async def test_a_worker_that_is_killed_with_history_in_hand_leaves_it_to_the_next(
    aside: Shop, children: Children
) -> None:
    goods = await stocked(aside, 60)
    await aside.enable()
    aside.start(aside.relay())
    job = await asked(aside)
    aside.start(runner(aside, chunk=20, window=40))
    await children.die_at("worker", "worker.committed=2", name="w1")
    (group,) = await aside.broker.groups(aside.key(SIDE))
    assert group.pending > 0
    goods |= await changed(aside, goods)

    aside.start(aside.worker(name="w2"))

    assert (await ended(aside, job)).state == "verified"
    await until(lambda: equal(aside, goods))
    assert await aside.broker.execute("XLEN", aside.key(SIDE)) == 0


async def equal(shop: Shop, goods: dict[str, str]) -> bool:
    return await shop.goods() == goods


async def test_a_redis_that_forgets_both_streams_at_half_of_a_backfill_is_filled_again(aside: Shop) -> None:
    goods = await stocked(aside, 200)
    await aside.enable()
    aside.start(aside.relay())
    aside.start(runner(aside, chunk=50, window=100))
    # A consumer that does nothing, so that half of it stands within the window.
    await aside.broker.create_group(aside.key(SIDE), GROUP)
    await aside.broker.execute("XGROUP", "CREATECONSUMER", aside.key(SIDE), GROUP, "sleeper")
    async with watched(aside, lambda: equal(aside, goods)) as claims:
        job = await asked(aside)
        await until(lambda: is_said(aside, 100))
        await aside.broker.execute("DEL", *aside.catalogue.all_keys())
        await until(lambda: is_said(aside, 100))  # the other half: the fault bit
        assert await aside.goods() == {}
        aside.start(aside.worker())

        assert (await ended(aside, job)).state == "verified"
        assert await aside.goods() == goods
    repairs = [one["detail"] for one in await Jobs(aside.source).events(job.id) if one["what"] == "repair"]
    assert repairs == ["goods: 100 missing"]
    assert (claims.early, bool(claims.agreed)) == ([], True)


async def is_said(shop: Shop, count: int) -> bool:
    return await ever(shop) == count
