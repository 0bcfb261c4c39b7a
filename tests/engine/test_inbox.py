"""An event id is one tenant's: what another tenant says under the same id is an event of its own."""

from __future__ import annotations

import uuid

import pytest

from headwater.delivery import wait_applied
from headwater.errors import EventParked, NotApplied
from headwater.event import Fields
from headwater.publish import Receipt
from headwater.testing import until
from tests.engine.conftest import Shop
from tests.engine.entries import applied, put, sale, settled, started

OTHER = str(uuid.uuid4())


def of(tenant: str, entry: Fields) -> Fields:
    """The same event id, said by another tenant."""
    return {**entry, b"tenantId": tenant.encode(), b"eventId": b"1763848871000"}


@pytest.mark.parametrize("together", [True, False])
async def test_one_id_of_two_tenants_is_two_events_each_applied_once(shop: Shop, together: bool) -> None:
    mine, others = of(shop.tenant, sale(shop, "mine")), of(OTHER, sale(shop, "others"))
    await started(shop, shop.worker())
    for some in [(mine, others, mine, others)] if together else [(mine,), (others,), (others, mine)]:
        await put(shop, *some)
        await until(lambda: settled(shop))

    await applied(shop, "mine", "others")
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == 2


async def test_an_id_is_its_tenants_however_that_spells_its_own(shop: Shop) -> None:
    await started(shop, shop.worker())
    await put(shop, of(OTHER, sale(shop, "s1")), of(OTHER.upper(), sale(shop, "again")))
    await until(lambda: settled(shop))

    assert len(await shop.sales()) == 1


async def test_what_was_handled_before_tenants_were_kept_stays_handled(shop: Shop) -> None:
    await shop.sink.execute("INSERT INTO headwater.inbox (app, event_id) VALUES ('shelf', '1763848871000')")
    await started(shop, shop.worker())
    await put(shop, of(shop.tenant, sale(shop, "mine")))
    await until(lambda: settled(shop))

    assert await shop.sales() == []


async def test_who_waits_for_an_event_waits_for_its_own_tenants(shop: Shop) -> None:
    about = {"event_id": "1763848871000", "subject": "sales", "key": "k", "state": False}
    mine, others = Receipt(tenant=shop.tenant, **about), Receipt(tenant=OTHER, **about)
    await started(shop, shop.worker())
    await put(shop, of(shop.tenant, sale(shop, "mine")))
    await wait_applied(shop.sink, "shelf", mine, timeout=30.0)
    with pytest.raises(NotApplied):
        await wait_applied(shop.sink, "shelf", others, timeout=0.2)

    await put(shop, of(OTHER, sale(shop, "bad", behave="reject")))
    with pytest.raises(EventParked):
        await wait_applied(shop.sink, "shelf", others, timeout=30.0)
    await put(shop, of(OTHER, sale(shop, "others")))
    await applied(shop, "mine", "others")

    await wait_applied(shop.sink, "shelf", others, timeout=30.0)
    await wait_applied(shop.sink, "shelf", mine, timeout=30.0)
