"""The whole way: a row is written, its event relayed, applied and acknowledged; history is caught up."""

from __future__ import annotations

from headwater.testing import until
from tests.engine.conftest import Shop


async def test_a_committed_change_reaches_the_application_and_leaves_nothing_pending(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    worker = shop.start(shop.worker())

    good = await shop.put("tea")
    await shop.put("green tea", good)
    await shop.sell("s1")

    async def arrived() -> bool:
        return await shop.goods() == {good: "green tea"} and await shop.sales() == ["s1"]

    await until(arrived)
    await shop.remove(good)

    async def gone() -> bool:
        return await shop.goods() == {}

    await until(gone)

    async def settled() -> bool:
        return await shop.pending() == 0

    await until(settled)
    assert worker.ready
    assert worker.statistics()["parked"] == 0


async def test_an_application_enabled_late_gets_complete_state_while_live_changes_go_on(shop: Shop) -> None:
    shop.start(shop.relay())
    shop.start(shop.worker())
    shop.start(shop.runner())
    history = shop.history()
    goods = [await shop.put(f"good {number}") for number in range(30)]
    await shop.remove(goods.pop())
    await shop.enable()

    async with shop.source.transaction() as tx:
        job = await history.start(tx, shop.tenant, "shelf", {}, {"asked_by": "test", "reason": "enabled"})
    for number, good in enumerate(goods[:10]):
        await shop.put(f"changed {number}", good)

    async def verified() -> bool:
        found = await history.jobs.get(job.id)
        assert found is not None
        assert found.state not in {"failed", "diverged", "cancelled"}, found
        return found.state == "verified"

    await until(verified)
    rows = await shop.source.fetch("SELECT good_id::text, name FROM goods WHERE tenant_id = $1", shop.tenant)
    assert await shop.goods() == {row["good_id"]: row["name"] for row in rows}
    status = await history.status(shop.tenant, "shelf")
    assert (status.state, status.needed) == ("clean", False)
