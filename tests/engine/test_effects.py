"""Effects: once an event id, whatever the gate says, and not for history."""

from __future__ import annotations

from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.testing import until
from headwater.testing.controls import GoodChanged
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, fields, put, settled


def mailing(done: list[tuple[str, int | None]]) -> Consumer:
    consumer = Consumer("shelf")

    @consumer.on(GoodChanged)
    async def project(event: GoodChanged, tx: Tx, context: Context) -> None:
        done.append(("project", context.version))

    @consumer.on(GoodChanged, effect=True)
    async def mail(event: GoodChanged, tx: Tx, context: Context) -> None:
        done.append(("mail", context.version))

    return consumer


async def test_an_effect_runs_for_an_event_that_the_gate_drops_and_once_only(shop: Shop) -> None:
    done: list[tuple[str, int | None]] = []
    shop.start(shop.worker(mailing(done)))
    new, old = (fields(shop, GoodChanged(good_id="a", name="n"), version) for version in (5, 3))
    for entry in (new, old, old):
        await put(shop, entry, stream=GOODS)
        await until(lambda: settled(shop))

    assert done == [("project", 5), ("mail", 5), ("mail", 3)]


async def test_a_skipped_historical_event_leaves_no_mark_so_that_the_live_one_has_its_effect(
    shop: Shop,
) -> None:
    done: list[tuple[str, int | None]] = []
    shop.start(shop.worker(mailing(done)))
    event = GoodChanged(good_id="a", name="n")
    past, live = fields(shop, event, 5, target="shelf", job="j"), fields(shop, event, 5)
    assert past[b"eventId"] == live[b"eventId"]

    await put(shop, past, stream=GOODS)
    await until(lambda: settled(shop))
    assert done == [("project", 5)]
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 0
    await put(shop, live, stream=GOODS)
    await until(lambda: settled(shop))

    assert done == [("project", 5), ("mail", 5)]
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 1
