"""Whatever a stranger appends costs only itself: one dead letter with its reason; the others are applied."""

from __future__ import annotations

import uuid

import pytest

from headwater.clock import monotonic
from headwater.delivery import Pace
from headwater.delivery import letters as dead_letters
from headwater.delivery.letters import Filter
from headwater.event import Fields
from headwater.testing import until
from headwater.testing.controls import GoodChanged, GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, SALES, fields, put, sale, settled

KEY = "00000000-0000-4000-8000-000000000bad"
GOOD = b'{"goodId": "%s", "name": "tea"}' % KEY.encode()


def bad(shop: Shop) -> list[tuple[str, Fields]]:
    """(the reason it must be parked for, the entry), one of every kind."""
    entry = fields(shop, GoodChanged(good_id=KEY, name="tea"), 5)

    def without(name: bytes) -> Fields:
        return {key: value for key, value in entry.items() if key != name}

    def data(text: bytes) -> Fields:
        return {**entry, b"data": text}

    return [
        ("oversize", data(GOOD[:-1] + b', "note": "%s"}' % (b"x" * 262_144))),
        ("invalid_utf8", data(GOOD.replace(b"tea", b"\xff\xfe"))),
        ("invalid_utf8", {**entry, b"eventType": b"good.\xc3\x28"}),
        ("invalid_utf8", {**entry, b"eventId": b"\xff"}),
        ("nul", data(GOOD.replace(b"tea", b"a\x00b"))),
        ("nul", data(GOOD.replace(b"tea", b"a\\u0000b"))),
        ("nul", {**entry, b"eventId": b"a\x00b"}),
        ("not_finite", data(GOOD[:-1] + b', "price": NaN}')),
        ("not_finite", data(GOOD[:-1] + b', "price": -Infinity}')),
        ("surrogate", data(GOOD.replace(b"tea", b"\\ud800"))),
        ("nesting", data(GOOD[:-1] + b', "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
        ("missing_tenant", {**entry, b"tenantId": b""}),
        ("missing_tenant", without(b"tenantId")),
        ("foreign_tenant", data(GOOD[:-1] + b', "tenantId": "another"}')),
        ("foreign_tenant", data(GOOD[:-1] + b', "more": [{"\\u0074enantId": "another"}]}')),
        ("foreign_tenant", {**entry, b"metadata": b'{"tenantId": "another"}'}),
        ("unknown_event", {**entry, b"eventType": b"good.invented"}),
        ("unknown_version", {**entry, b"schemaVersion": b"9"}),
        ("missing_version", {**entry, b"version": b""}),
        ("malformed", {**entry, b"version": b"five"}),
        ("malformed", {**entry, b"version": b"-1"}),
        ("malformed", {**entry, b"version": b"9223372036854775808"}),
        ("malformed", {**entry, b"version": b"9" * 5000}),
        ("malformed", {**entry, b"schemaVersion": b"one"}),
        ("malformed", {**entry, b"eventId": b"x" * 200}),
        ("malformed", {**entry, b"op": b"z"}),
        ("malformed", {**entry, b"op": b"d"}),
        ("malformed", data(b"not JSON")),
        ("malformed", data(b"")),
        ("malformed", data(b"[1]")),
        ("malformed", data(b'{"goodId": 7, "name": "tea"}')),
        ("malformed", data(b'{"name": "tea"}')),
        ("malformed", without(b"data")),
        ("malformed", {b"hello": b"world"}),
        ("malformed", {b"": b""}),
        ("sqlstate_22P02", data(GOOD.replace(KEY.encode(), b"no uuid"))),
        ("sqlstate_22P02", {**entry, b"tenantId": b"acme"}),
    ]


async def test_a_batch_with_every_kind_of_bad_entry_costs_only_those_entries(shop: Shop) -> None:
    wrong = bad(shop)
    entries = [fields(shop, GoodChanged(good_id=str(uuid.uuid4()), name=f"n{n}"), n + 1) for n in range(163)]
    for place, (_, one) in enumerate(wrong):
        entries.insert(place * 5, one)
    ids = await put(shop, *entries, stream=GOODS)
    reasons = {ids[place * 5]: reason for place, (reason, _) in enumerate(wrong)}
    assert len(entries) == 200

    begun = monotonic()
    worker = shop.start(shop.worker(pace=Pace(block=0.2, count=1000, min_idle=60)))
    await until(lambda: settled(shop))

    rows = await shop.sink.fetch("SELECT entry, reason, failures FROM headwater.dead_letter")
    assert {row["entry"]: row["reason"] for row in rows} == reasons
    assert {row["failures"] for row in rows} == {1}
    assert len(await shop.goods()) == 163
    assert worker.statistics()["retried"] == 0
    assert monotonic() - begun < 40.0


@pytest.mark.parametrize("amount", [2**31, -(2**31) - 1, 2**53 - 1])
async def test_a_number_that_its_column_can_not_hold_is_parked_alone(shop: Shop, amount: int) -> None:
    event = GoodSold(sale_id="huge", good_id="g", amount=amount)
    await put(shop, sale(shop, "s1"), fields(shop, event), sale(shop, "s2"))

    shop.start(shop.worker())
    await until(lambda: settled(shop))

    (letter,) = await dead_letters.listed(shop.sink, "shelf", Filter())
    assert (letter.key, letter.reason[:9]) == ("huge", "sqlstate_")
    assert await shop.sales() == ["s1", "s2"]


async def test_everything_parked_can_be_shown_to_a_person(shop: Shop) -> None:
    wrong = bad(shop)
    await put(shop, *(one for _, one in wrong), stream=GOODS)
    shop.start(shop.worker())
    await until(lambda: settled(shop))

    for letter in await dead_letters.listed(shop.sink, "shelf", Filter()):
        found = await dead_letters.shown(shop.sink, "shelf", letter.id)
        assert found is not None
        assert found.fields is not None
        assert "".join((*found.fields, *found.fields.values())).isprintable() or found.fields
        assert found.error


async def test_an_enormous_entry_is_parked_without_its_content(shop: Shop) -> None:
    entry = fields(shop, GoodChanged(good_id=KEY, name="tea"), 5)
    await put(shop, {**entry, b"data": b"x" * (3 * 1024 * 1024)}, stream=GOODS)

    shop.start(shop.worker())
    await until(lambda: settled(shop))

    (letter,) = await dead_letters.listed(shop.sink, "shelf", Filter())
    assert (letter.reason, letter.size > 3 * 1024 * 1024) == ("oversize", True)
    assert (await dead_letters.shown(shop.sink, "shelf", letter.id) or letter).fields is None
    assert await dead_letters.replay(shop.sink, "shelf", [letter.id]) == []


async def test_a_batch_of_nothing_but_bad_entries_leaves_a_worker_that_works(shop: Shop) -> None:
    await put(shop, *({b"junk": b"%d" % n} for n in range(500)))
    worker = shop.start(shop.worker())
    await put(shop, sale(shop, "s1"), stream=SALES)

    await until(lambda: settled(shop))

    assert await shop.sales() == ["s1"]
    assert worker.statistics()["parked"] == 500
    assert worker.ready
