"""Dead letters: listed, shown, given to the same application again, or given up."""

from __future__ import annotations

import msgspec

from headwater.delivery import letters as dead_letters
from headwater.delivery.letters import Filter, Letter
from headwater.testing import until
from headwater.testing.controls import GoodChanged
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, SALES, fields, letters, put, sale


async def parked(shop: Shop, *names: str) -> list[int]:
    """Sales that are refused, by a worker that then has gone; their ids, oldest first."""
    worker = shop.start(shop.worker())
    await put(shop, *(sale(shop, name, behave="reject") for name in names))

    async def all_parked() -> bool:
        return len(await letters(shop)) == len(names) and await shop.pending() == 0

    await until(all_parked)
    await shop.stop(worker)
    return sorted(letter.id for letter in await dead_letters.listed(shop.sink, "shelf", Filter()))


async def the(shop: Shop, letter: int) -> Letter:
    found = await dead_letters.shown(shop.sink, "shelf", letter)
    assert found is not None
    return found


async def test_they_are_listed_newest_first_and_a_page_at_a_time(shop: Shop) -> None:
    ids = await parked(shop, "a", "b", "c")

    page = await dead_letters.listed(shop.sink, "shelf", Filter(limit=2))
    rest = await dead_letters.listed(shop.sink, "shelf", Filter(before=page[-1].id))

    assert [letter.id for letter in (*page, *rest)] == ids[::-1]
    assert [letter.key for letter in page] == ["c", "b"]
    assert page[0].reason == "rejected"
    assert page[0].fields is None


async def test_they_are_found_by_tenant_type_and_reason_and_belong_to_one_application(shop: Shop) -> None:
    await parked(shop, "a")

    for which, found in (
        (Filter(tenant=shop.tenant), 1),
        (Filter(tenant="other"), 0),
        (Filter(type="good.sold"), 1),
        (Filter(type="good.changed"), 0),
        (Filter(reason="rejected"), 1),
        (Filter(reason="exhausted"), 0),
        (Filter(states=("replayed",)), 0),
    ):
        assert len(await dead_letters.listed(shop.sink, "shelf", which)) == found, which
    assert await dead_letters.listed(shop.sink, "till", Filter()) == []


async def test_one_is_shown_with_the_entry_as_it_came(shop: Shop) -> None:
    (letter,) = await parked(shop, "a")
    (entry,) = await shop.broker.range(shop.key(SALES))

    found = await the(shop, letter)

    assert found.fields == {name.decode(): value.decode() for name, value in (entry.fields or {}).items()}
    assert (found.stream, found.entry, found.state) == (shop.key(SALES), entry.id, "parked")
    assert found.size == sum(len(name) + len(value) for name, value in (entry.fields or {}).items())
    assert await dead_letters.shown(shop.sink, "till", letter) is None


async def test_one_whose_cause_is_gone_is_applied_when_it_is_replayed(shop: Shop) -> None:
    worker = shop.start(shop.worker())
    await shop.sink.execute("ALTER TABLE goods ADD CONSTRAINT no_tea CHECK (name <> 'tea')")
    key = "00000000-0000-4000-8000-000000000abc"
    await put(shop, fields(shop, GoodChanged(good_id=key, name="tea"), 5), stream=GOODS)

    async def is_parked() -> bool:
        return await letters(shop) == {key: "sqlstate_23514"}

    await until(is_parked)
    await shop.sink.execute("ALTER TABLE goods DROP CONSTRAINT no_tea")
    (letter,) = await dead_letters.listed(shop.sink, "shelf", Filter())

    assert await dead_letters.replay(shop.sink, "shelf", [letter.id], note="constraint dropped") == [
        letter.id
    ]

    async def replayed() -> bool:
        return (await the(shop, letter.id)).state == "replayed"

    await until(replayed)
    found = await the(shop, letter.id)
    assert await shop.goods() == {key: "tea"}
    assert (found.note, found.settled_at is not None) == ("constraint dropped", True)
    assert worker.statistics()["parked"] == 1


async def test_one_that_is_overtaken_by_a_newer_state_is_replayed_to_no_effect(shop: Shop) -> None:
    shop.start(shop.worker())
    await shop.sink.execute("ALTER TABLE goods ADD CONSTRAINT no_tea CHECK (name <> 'tea')")
    key = "00000000-0000-4000-8000-000000000abc"
    old, new = GoodChanged(good_id=key, name="tea"), GoodChanged(good_id=key, name="coffee")
    await put(shop, fields(shop, old, 5), stream=GOODS)
    await until(lambda: letters(shop))
    await put(shop, fields(shop, new, 6), stream=GOODS)

    async def overtaken() -> bool:
        return await shop.goods() == {key: "coffee"}

    await until(overtaken)
    await shop.sink.execute("ALTER TABLE goods DROP CONSTRAINT no_tea")
    (letter,) = await dead_letters.listed(shop.sink, "shelf", Filter())
    await dead_letters.replay(shop.sink, "shelf", [letter.id])

    async def replayed() -> bool:
        return (await the(shop, letter.id)).state == "replayed"

    await until(replayed)
    assert await shop.goods() == {key: "coffee"}


async def test_one_that_fails_again_is_parked_again_and_counted(shop: Shop) -> None:
    (letter,) = await parked(shop, "a")
    await dead_letters.replay(shop.sink, "shelf", [letter])
    shop.start(shop.worker())

    async def again() -> bool:
        found = await the(shop, letter)
        return found.state == "parked" and found.failures == 2

    await until(again)
    assert len(await letters(shop)) == 1


async def test_a_replay_that_died_with_its_worker_is_taken_up_by_another(shop: Shop) -> None:
    (letter,) = await parked(shop, "a")
    await dead_letters.replay(shop.sink, "shelf", [letter])
    assert len(await dead_letters.take(shop.sink, "shelf")) == 1
    assert await dead_letters.take(shop.sink, "shelf") == []

    await shop.sink.execute("UPDATE headwater.dead_letter SET taken_until = now() - interval '1 second'")

    assert [one.delivery.letter for one in await dead_letters.take(shop.sink, "shelf")] == [letter]


async def test_discarded_ones_stay_listed_and_can_not_be_replayed(shop: Shop) -> None:
    first, second = await parked(shop, "a", "b")

    assert await dead_letters.discard(shop.sink, "shelf", [first], note="sold out") == [first]

    assert await dead_letters.replay(shop.sink, "shelf", [first, second]) == [second]
    assert [letter.id for letter in await dead_letters.listed(shop.sink, "shelf", Filter())] == [second]
    found = await the(shop, first)
    assert (found.state, found.note) == ("discarded", "sold out")


async def test_another_application_can_neither_replay_nor_discard_them(shop: Shop) -> None:
    (letter,) = await parked(shop, "a")

    assert await dead_letters.replay(shop.sink, "till", [letter]) == []
    assert await dead_letters.discard(shop.sink, "till", [letter], note="") == []
    assert (await the(shop, letter)).state == "parked"


async def test_an_entry_that_is_read_again_after_it_was_parked_is_parked_once(shop: Shop) -> None:
    (letter,) = await parked(shop, "a")
    await shop.broker.execute("XGROUP", "SETID", shop.key(SALES), "shelf-group", "0")
    shop.start(shop.worker())

    async def again() -> bool:
        return (await the(shop, letter)).failures == 2

    await until(again)
    assert len(await letters(shop)) == 1


async def test_they_outlive_the_stream_they_came_from(shop: Shop) -> None:
    (letter,) = await parked(shop, "a")
    await shop.broker.execute("DEL", *shop.catalogue.keys_of("shelf"))

    await dead_letters.replay(shop.sink, "shelf", [letter])
    shop.start(shop.worker())

    async def taken() -> bool:
        return (await the(shop, letter)).failures == 2

    await until(taken)


async def test_one_that_can_not_be_tried_for_want_of_a_table_is_not_taken_for_a_killer_of_workers(
    shop: Shop,
) -> None:
    (letter,) = await parked(shop, "a")
    await shop.sink.execute("ALTER TABLE sales RENAME TO sold")
    await shop.sink.execute("UPDATE headwater.dead_letter SET fields = $1", await plain(shop))
    await dead_letters.replay(shop.sink, "shelf", [letter])
    worker = shop.start(shop.worker())
    await until(lambda: "sales" in worker.last_error)

    async def tried_often() -> bool:
        tries = await shop.sink.fetchval("SELECT tries FROM headwater.dead_letter")
        return int(tries) >= 4 * 1000

    await until(tried_often, within=60)
    assert (await the(shop, letter)).state == "replaying"
    await shop.sink.execute("ALTER TABLE sold RENAME TO sales")

    async def replayed() -> bool:
        return (await the(shop, letter)).state == "replayed"

    await until(replayed)


async def plain(shop: Shop) -> bytes:
    """The fields of a sale that is fine, as they are kept."""
    return msgspec.msgpack.encode(list(sale(shop, "fine").items()))
