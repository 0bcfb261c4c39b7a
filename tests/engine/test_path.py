"""The whole way: a row is written, its event relayed, applied and acknowledged; history is caught up."""

from __future__ import annotations

from headwater.telemetry import Metrics
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


async def test_what_flows_is_counted_by_stream_and_outcome(shop: Shop) -> None:
    """The metrics of relay and worker are fed by what really happened."""
    await shop.enable()
    metrics = Metrics("test")
    relay, worker = shop.relay(), shop.worker()
    relay.measure_with(metrics)
    worker.measure_with(metrics)
    shop.start(relay)
    shop.start(worker)

    await shop.put("tea")
    await shop.sell("s1", "reject")

    async def settled() -> bool:
        return worker.statistics()["acknowledged"] == 2

    await until(settled)
    text = metrics.exposition().decode()
    assert f'headwater_published_total{{stream="{shop.key("shelf:goods")}",type="good.changed"}} 1.0' in text
    assert 'outcome="applied"' in text
    assert 'outcome="parked"' in text
    assert "headwater_relay_leading 1.0" in text
    assert "headwater_relay_appended_total 2.0" in text
