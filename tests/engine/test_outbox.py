"""What is said in a transaction is published if, and only if, the transaction commits."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from headwater.database import Tx, connect
from headwater.errors import EventError
from headwater.event import event_id
from headwater.publish import Said
from headwater.testing import until
from headwater.testing.controls import GoodChanged, GoodRemoved, GoodSold
from tests.engine.conftest import Shop


async def said(shop: Shop) -> list[dict[str, Any]]:
    rows = await shop.source.fetch("SELECT * FROM headwater.outbox ORDER BY id")
    return [dict(row) for row in rows]


async def sell_and_fail(shop: Shop, tx: Tx) -> None:
    await shop.producer.publish(tx, GoodSold(sale_id="never", good_id="g", amount=1), tenant=shop.tenant)
    await tx.execute("SELECT 1 / 0")


async def test_what_was_rolled_back_was_never_said(shop: Shop) -> None:
    shop.start(shop.relay())
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with shop.source.transaction() as tx:
            await sell_and_fail(shop, tx)
    await shop.sell("always")

    async def published() -> bool:
        return len(await shop.broker.range(shop.key("sales"))) == 1

    await until(published)
    (entry,) = await shop.broker.range(shop.key("sales"))
    assert (entry.fields or {})[b"key"] == b"always"


async def test_an_event_carries_the_version_of_its_row_and_a_deletion_that_of_its_tombstone(
    shop: Shop,
) -> None:
    good = await shop.put("tea")
    row = await shop.source.fetchval("SELECT headwater_version FROM goods")
    await shop.remove(good)
    tombstone = await shop.source.fetchrow("SELECT version, subject, tenant FROM headwater.tombstone")

    changed, removed = await said(shop)

    assert tombstone is not None
    assert (changed["version"], removed["version"]) == (row, tombstone["version"])
    assert removed["op"] == "d"
    assert row < tombstone["version"]
    assert changed["event_id"] == event_id("good.changed", shop.tenant, good, row)


async def test_versions_of_one_row_grow_with_its_changes_also_over_a_deletion(shop: Shop) -> None:
    good = await shop.put("tea")
    await shop.put("green tea", good)
    await shop.remove(good)
    await shop.put("tea again", good)

    versions = [one["version"] for one in await said(shop)]

    assert versions == sorted(set(versions))


async def test_a_change_of_what_no_event_carries_draws_no_version(shop: Shop) -> None:
    good = await shop.put("tea")
    before = await shop.source.fetchval("SELECT headwater_version FROM goods")

    await shop.source.execute("UPDATE goods SET updated_at = now() WHERE good_id = $1", good)

    assert await shop.source.fetchval("SELECT headwater_version FROM goods") == before


async def test_the_source_refuses_to_lose_its_rows_without_tombstones(shop: Shop) -> None:
    await shop.put("tea")

    with pytest.raises(asyncpg.PostgresError, match="TRUNCATE"):
        await shop.source.execute("TRUNCATE goods")


async def test_the_function_in_sql_gives_the_same_event_id_as_python(shop: Shop) -> None:
    good, version = str(uuid.uuid4()), 2**48 + 7
    say = "SELECT headwater.publish($1, $2, $3, $4::json, version => $5)"
    data = json.dumps({"goodId": good, "name": "tea"})
    by_version = await shop.source.fetchval(say, "good.changed", shop.tenant, good, data, version)
    say = "SELECT headwater.publish($1, $2, $3, $4::json, op => 'x', operation_id => $5)"
    data = json.dumps({"saleId": "ü", "goodId": "g", "amount": 1})
    by_operation = await shop.source.fetchval(say, "good.sold", shop.tenant, "ü", data, "op-1")

    assert by_version == event_id("good.changed", shop.tenant, good, version)
    assert by_operation == event_id("good.sold", shop.tenant, "ü", "op-1")


async def test_a_deletion_said_in_sql_takes_the_version_of_its_tombstone(shop: Shop) -> None:
    good = await shop.put("tea")
    async with shop.source.transaction() as tx:
        await tx.execute("DELETE FROM goods WHERE good_id = $1", good)
        await tx.execute(
            "SELECT headwater.publish('good.removed', $1, $2, $3::json, op => 'd', subject => 'goods')",
            *(shop.tenant, good, json.dumps({"goodId": good})),
        )

    version = await shop.source.fetchval("SELECT version FROM headwater.tombstone")
    assert (await said(shop))[-1]["version"] == version


async def test_a_state_said_in_sql_without_a_version_is_refused(shop: Shop) -> None:
    with pytest.raises(asyncpg.PostgresError, match="version of its row"):
        await shop.source.execute("SELECT headwater.publish('good.changed', $1, 'g', '{}')", shop.tenant)


async def test_what_is_too_large_for_a_stream_is_refused_in_sql_and_what_is_just_not_arrives(
    shop: Shop,
) -> None:
    await shop.enable()
    shop.start(shop.relay())
    good, bare = str(uuid.uuid4()), len(shop.tenant) + len("good.changed") + 36 + len("{}sql*")
    say = "SELECT headwater.publish('good.changed', $1, $2, $3::json, version => $4)"

    def sized(size: int) -> str:
        empty = len(json.dumps({"goodId": good, "name": ""}))
        return json.dumps({"goodId": good, "name": "x" * (size - bare - empty)})

    with pytest.raises(asyncpg.ProgramLimitExceededError, match="at most 261632 bytes"):
        await shop.source.execute(say, shop.tenant, good, sized(261_633), 2**48)
    await shop.source.execute(say, shop.tenant, good, sized(261_632), 2**48)

    async def there() -> bool:
        return len(await shop.broker.range(shop.key("shelf:goods"))) == 1

    await until(there)


async def test_what_is_said_in_sql_arrives_like_what_is_said_in_python(shop: Shop) -> None:
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    good = str(uuid.uuid4())
    async with shop.source.transaction() as tx:
        version = await tx.fetchval(
            "INSERT INTO goods (good_id, tenant_id, name) VALUES ($1, $2, 'tea') RETURNING headwater_version",
            *(good, shop.tenant),
        )
        await tx.execute(
            "SELECT headwater.publish('good.changed', $1, $2, $3::json, version => $4)",
            *(shop.tenant, good, json.dumps({"goodId": good, "name": "tea"}), version),
        )

    async def arrived() -> bool:
        return await shop.goods() == {good: "tea"}

    await until(arrived)


async def test_a_state_without_a_version_is_refused_and_says_what_to_do(shop: Shop) -> None:
    with pytest.raises(EventError) as raised:
        async with shop.source.transaction() as tx:
            await shop.producer.publish(tx, GoodChanged(good_id="g", name="tea"), tenant=shop.tenant)

    assert raised.value.reason == "missing_version"
    assert "RETURNING" in raised.value.hint


async def test_a_deletion_of_what_never_was_is_refused(shop: Shop) -> None:
    with pytest.raises(EventError) as raised:
        async with shop.source.transaction() as tx:
            await shop.producer.publish(tx, GoodRemoved(good_id="g"), tenant=shop.tenant)

    assert raised.value.reason == "missing_version"


@pytest.mark.parametrize(
    ("event", "about", "reason"),
    [
        (GoodChanged(good_id="g", name="x" * 262_145), {}, "oversize"),
        (GoodChanged(good_id="g", name="a\x00b"), {}, "nul"),
        (GoodChanged(good_id="g" * 513, name="tea"), {}, "malformed"),
        (GoodChanged(good_id="g", name="a\ud83d"), {}, "surrogate"),
        (GoodChanged(good_id="g", name="tea", price=Decimal("NaN")), {}, "not_finite"),
        (GoodChanged(good_id="g", name="tea", price=Decimal("-Infinity")), {}, "not_finite"),
        (GoodChanged(good_id="g", name="tea"), {"metadata": {"rate": float("nan")}}, "not_finite"),
        (GoodChanged(good_id="g", name="tea"), {"metadata": {"tenantId": "other"}}, "foreign_tenant"),
        (GoodChanged(good_id="g", name="tea"), {"tenant": ""}, "missing_tenant"),
    ],
)
async def test_what_no_application_could_take_is_refused_to_its_producer_with_a_reason(
    shop: Shop, event: GoodChanged, about: dict[str, Any], reason: str
) -> None:
    said_about: Any = {"tenant": shop.tenant, "version": 1, **about}
    with pytest.raises(EventError) as raised:
        async with shop.source.transaction() as tx:
            await shop.producer.publish(tx, event, **said_about)

    assert raised.value.reason == reason
    assert await said(shop) == []


async def test_many_events_are_said_in_the_order_given_or_not_at_all(shop: Shop) -> None:
    good = [Said(GoodSold(sale_id=f"s{n}", good_id="g", amount=1), shop.tenant) for n in range(50)]
    bad = Said(GoodSold(sale_id="a\x00b", good_id="g", amount=1), shop.tenant)
    async with shop.source.transaction() as tx:
        receipts = await shop.producer.publish_many(tx, good)
    with pytest.raises(EventError):
        async with shop.source.transaction() as tx:
            await shop.producer.publish_many(tx, [*good, bad])

    rows = await said(shop)
    assert [row["key"] for row in rows] == [f"s{n}" for n in range(50)]
    assert [row["event_id"] for row in rows] == [receipt.event_id for receipt in receipts]


async def test_a_commit_wakes_the_relay_long_before_it_would_look_by_itself(shop: Shop) -> None:
    relay = shop.start(shop.relay(), poll=600.0)
    await until(lambda: relay.leading)
    connection = await connect(shop.source.url)
    try:
        await shop.sell("warm-up")

        async def published(count: int) -> bool:
            return len(await shop.broker.range(shop.key("sales"))) == count

        await until(lambda: published(1), every=0.002)
        await shop.sell("measured")

        await until(lambda: published(2), every=0.002)
    finally:
        await connection.close()


async def test_a_tenant_may_be_a_uuid_as_the_row_gives_it_and_what_else_is_no_text_is_named(
    shop: Shop,
) -> None:
    async with shop.source.transaction() as tx:
        row = await tx.fetchrow("SELECT $1::uuid AS tenant_id", shop.tenant)
        assert row is not None
        sold = GoodSold(sale_id="s", good_id="g", amount=1)
        await shop.producer.publish(tx, sold, tenant=row["tenant_id"], operation_id="once")
        with pytest.raises(EventError, match="a tenant is text or a UUID, not a int") as number:
            await shop.producer.publish(tx, sold, tenant=7)  # type: ignore[arg-type]
        wrong: Any = GoodSold(sale_id=uuid.uuid4(), good_id="g", amount=1)  # type: ignore[arg-type]
        with pytest.raises(EventError, match="is a UUID, not text") as key:
            await shop.producer.publish(tx, wrong, tenant=shop.tenant)

    assert (number.value.reason, key.value.reason) == ("malformed", "malformed")
    (event,) = await said(shop)
    assert event["tenant"] == shop.tenant
    assert event["event_id"] == event_id(GoodSold.type, shop.tenant, "s", "once")
