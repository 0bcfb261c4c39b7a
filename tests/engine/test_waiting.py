"""Read your own writes: waiting for what was said until an application has it."""

from __future__ import annotations

import asyncio
import gc
import uuid
import weakref

import pytest

from headwater import wait_applied
from headwater.database import Database
from headwater.delivery.waiting import Waits
from headwater.errors import DatabaseUnavailable, EventParked, HeadwaterError, NotApplied
from headwater.publish import DirectProducer, Enablement, Receipt, Said
from headwater.testing import FaultProxy, controls, until
from headwater.testing.controls import GoodChanged, GoodRemoved, GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import started

APP = "shelf"


def state(shop: Shop, version: int, key: str | None = None) -> Receipt:
    return Receipt(
        event_id=str(uuid.uuid4()),
        tenant=shop.tenant,
        subject="goods",
        key=key or str(uuid.uuid4()),
        version=version,
    )


async def put(shop: Shop, name: str, good: str) -> Receipt:
    async with shop.source.transaction() as tx:
        row = await tx.fetchrow(
            "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, $3) "
            "ON CONFLICT (good_id) DO UPDATE SET name = excluded.name RETURNING *",
            *(good, shop.tenant, name),
        )
        assert row is not None
        event = GoodChanged(good_id=good, name=name)
        return await shop.producer.publish(tx, event, tenant=shop.tenant, version=row["headwater_version"])


async def stand(shop: Shop, receipt: Receipt, version: int, *, deleted: bool = False) -> None:
    """The ledger as if the thing had been applied at a version."""
    await shop.sink.execute(
        "INSERT INTO headwater.ledger (app, tenant, subject, key, version, deleted) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        *(APP, receipt.tenant, receipt.subject, receipt.key, version, deleted),
    )


async def test_what_was_said_through_the_outbox_can_be_read_after_the_wait(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    await started(shop, shop.worker())
    good = str(uuid.uuid4())

    for name in ("first", "second"):
        receipt = await put(shop, name, good)
        await wait_applied(shop.sink, APP, Receipt.parse(receipt.token))
        assert await shop.goods() == {good: name}

    async with shop.source.transaction() as tx:
        await tx.execute("DELETE FROM goods WHERE good_id = $1", good)
        gone = await shop.producer.publish(tx, GoodRemoved(good_id=good), tenant=shop.tenant)
    await wait_applied(shop.sink, APP, gone)
    assert await shop.goods() == {}


async def test_what_was_published_directly_has_a_receipt_too(shop: Shop) -> None:
    await shop.enable()
    await started(shop, shop.worker())
    producer = DirectProducer(
        shop.outgoing, shop.broker, enabled=Enablement(shop.source, controls.ENABLEMENT), source="shop"
    )
    first, second = (GoodSold(sale_id=sale, good_id="g", amount=1) for sale in ("s1", "s2"))

    one = await producer.publish(first, tenant=shop.tenant, operation_id="s1")
    (many,) = await producer.publish_many([Said(second, shop.tenant, operation_id="s2")])

    for published in (one, many):
        assert published.receipt is not None
        await wait_applied(shop.sink, APP, published.receipt)
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox WHERE app = $1", APP) == 2
    await producer.close()


@pytest.mark.parametrize(("standing", "deleted"), [(7, False), (9, False), (9, True)])
async def test_a_state_is_applied_when_its_thing_stands_at_it_or_later(
    shop: Shop, standing: int, deleted: bool
) -> None:
    receipt = state(shop, 7)
    await stand(shop, receipt, standing, deleted=deleted)

    await wait_applied(shop.sink, APP, receipt, timeout=20.0)


async def test_neither_an_older_version_nor_another_tenant_application_or_thing_counts(shop: Shop) -> None:
    receipt = state(shop, 7)
    await stand(shop, receipt, 6)
    for other in (
        Receipt(event_id="x", tenant=str(uuid.uuid4()), subject="goods", key=receipt.key),
        state(shop, 9),
    ):
        await stand(shop, other, 9)

    with pytest.raises(NotApplied, match=receipt.key) as late:
        await wait_applied(shop.sink, APP, receipt, timeout=0.3)
    assert late.value.hint == "headwater groups lag shelf"
    with pytest.raises(NotApplied):
        await wait_applied(shop.sink, "till", state(shop, 6, receipt.key), timeout=0.3)
    await wait_applied(shop.sink, APP, state(shop, 6, receipt.key), timeout=20.0)


async def test_a_uuid_is_the_same_thing_however_it_is_written(shop: Shop) -> None:
    receipt = state(shop, 7)
    await stand(shop, receipt, 7)

    await wait_applied(shop.sink, APP, state(shop, 7, receipt.key.upper()), timeout=20.0)


async def test_a_parked_event_is_told_at_once_with_its_letter(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    await started(shop, shop.worker())
    async with shop.source.transaction() as tx:
        event = GoodSold(sale_id="s1", good_id="g", amount=1, behave="reject")
        receipt = await shop.producer.publish(tx, event, tenant=shop.tenant, operation_id="s1")

    with pytest.raises(EventParked, match="this sale is refused") as parked:
        await wait_applied(shop.sink, APP, receipt, timeout=20.0)

    letter = await shop.sink.fetchval("SELECT id FROM headwater.dead_letter")
    assert (parked.value.letter, parked.value.reason) == (letter, "rejected")
    assert parked.value.hint == f"headwater dead-letters show shelf {letter}"


async def test_a_newer_state_makes_up_for_a_parked_one(shop: Shop) -> None:
    receipt = state(shop, 7)
    await shop.sink.execute(
        "INSERT INTO headwater.dead_letter (app, stream, entry, reason, error, event_id, size) "
        "VALUES ($1, 's', '1-1', 'rejected', 'no', $2, 1)",
        *(APP, receipt.event_id),
    )
    with pytest.raises(EventParked):
        await wait_applied(shop.sink, APP, receipt, timeout=20.0)

    await stand(shop, receipt, 8)

    await wait_applied(shop.sink, APP, receipt, timeout=20.0)


async def test_thousands_who_wait_are_answered_by_few_questions(shop: Shop) -> None:
    waits = Waits(shop.sink)
    receipts = [state(shop, 1) for _ in range(2_000)]
    waiting = [asyncio.create_task(waits.wait(APP, one, 30.0)) for one in receipts for _ in range(2)]
    await until(lambda: waits.questions > 2)
    before = waits.questions

    await shop.sink.execute(
        "INSERT INTO headwater.ledger (app, tenant, subject, key, version, deleted) "
        "SELECT $1, $2, 'goods', key, 1, false FROM unnest($3::text[]) AS key",
        *(APP, shop.tenant, [one.key for one in receipts]),
    )
    await asyncio.gather(*waiting)

    assert waits.questions - before < 40
    assert not waits._waiting


async def test_a_wait_that_is_given_up_leaves_nothing_to_ask(shop: Shop) -> None:
    waits = Waits(shop.sink)
    waiting = asyncio.create_task(waits.wait(APP, state(shop, 1), 30.0))
    await until(lambda: waits.questions > 0)

    waiting.cancel()
    await asyncio.wait({waiting})

    asking = waits._asking
    assert asking is not None
    await asyncio.wait_for(asking, 5.0)
    assert not waits._waiting


async def test_there_is_a_bound_to_who_may_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.delivery.waiting.MOST", 1)
    waits = Waits(shop.sink)
    first = asyncio.create_task(waits.wait(APP, state(shop, 1), 30.0))
    await until(lambda: waits.questions > 0)

    with pytest.raises(HeadwaterError, match="are waited for already"):
        await waits.wait(APP, state(shop, 1), 1.0)
    first.cancel()
    await asyncio.wait({first})


async def test_an_outage_during_the_wait_is_waited_out(shop: Shop) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        behind = await Database.open(proxy.url)
        receipt, waits = state(shop, 3), Waits(behind)
        waiting = asyncio.create_task(waits.wait(APP, receipt, 30.0))
        await until(lambda: waits.questions > 0)
        await proxy.refuse()
        await until(lambda: waits._trouble is not None)
        await stand(shop, receipt, 3)

        await proxy.heal()

        await waiting
        await behind.close()


async def test_a_database_that_stays_away_makes_it_unknown_and_not_unapplied(shop: Shop) -> None:
    async with FaultProxy.before(shop.sink.url) as proxy:
        behind = await Database.open(proxy.url)
        await proxy.refuse()

        with pytest.raises(DatabaseUnavailable, match="not known"):
            await wait_applied(behind, APP, state(shop, 3), timeout=1.0)
        await proxy.heal()
        await behind.close()


async def test_waiting_keeps_no_database_alive(shop: Shop) -> None:
    database = await Database.open(shop.sink.url)
    with pytest.raises(NotApplied):
        await wait_applied(database, APP, state(shop, 3), timeout=0.1)
    await database.close()
    seen = weakref.ref(database)

    del database

    def gone() -> bool:
        gc.collect()
        return seen() is None

    await until(gone)
