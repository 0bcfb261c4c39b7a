"""Redis that lost its streams may give an id to another event: nothing kept of the first may stand for it."""

from __future__ import annotations

from typing import Any

from headwater.broker import provision
from headwater.delivery import Limits
from headwater.delivery import letters as dead_letters
from headwater.delivery.letters import Filter
from headwater.errors import Reject
from headwater.event import Fields
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import SALES, letters, sale, settled
from tests.engine.test_outcomes import Stubborn


async def put_at(shop: Shop, entry: str, fields: Fields) -> None:
    """Append under an id of our choice, on a stream that was just lost."""
    await shop.broker.execute("DEL", shop.key(SALES))
    await provision.apply(shop.broker, shop.catalogue)
    flat: list[Any] = [part for pair in fields.items() for part in pair]
    assert await shop.broker.execute("XADD", shop.key(SALES), entry, *flat) == entry.encode()


async def test_two_events_under_one_id_are_two_dead_letters_each_with_its_own_fields(shop: Shop) -> None:
    for name in ("first", "second"):
        await put_at(shop, "5-0", sale(shop, name, behave="reject"))
        worker = shop.start(shop.worker())
        await until(lambda: settled(shop))
        await shop.stop(worker)

    assert await letters(shop) == {"first": "rejected", "second": "rejected"}
    found = await dead_letters.listed(shop.sink, "shelf", Filter())
    assert {one.entry for one in found} == {"5-0"}
    for one in found:
        shown = await dead_letters.shown(shop.sink, "shelf", one.id)
        assert shown is not None
        assert shown.fields is not None
        assert f'"{one.key}"' in shown.fields["data"]


async def test_an_event_does_not_inherit_the_failures_of_another_with_its_id(shop: Shop) -> None:
    limits = Limits(attempts=2, first=30.0, longest=30.0)
    hard = Stubborn(fail=1)
    worker = shop.start(shop.worker(hard.consumer(), limits=limits))
    await put_at(shop, "5-0", sale(shop, "hard"))
    await until(lambda: worker.statistics()["waiting"] == 1)
    await shop.stop(worker)
    await shop.sink.execute("UPDATE headwater.failure SET retry_at = now()")

    await put_at(shop, "5-0", sale(shop, "other"))
    other = Stubborn(fail=0, error=Reject("not asked"))
    shop.start(shop.worker(other.consumer(), limits=limits))
    await until(lambda: settled(shop))

    assert await shop.sales() == ["other"]
    kept = await shop.sink.fetch("SELECT entry, failures FROM headwater.failure")
    assert [tuple(row) for row in kept] == [("5-0", 1)]
