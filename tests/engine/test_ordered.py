"""Ordered things: each event waits for the one before it, also when that one fails; other things go on."""

from __future__ import annotations

import asyncpg
import pytest

from headwater.database import Tx
from headwater.delivery import Consumer, Context, Limits
from headwater.delivery import letters as dead_letters
from headwater.delivery.halving import Fenced
from headwater.delivery.letters import Filter, Letter
from headwater.delivery.turn import Turn
from headwater.errors import Reject
from headwater.event import Fields
from headwater.publish import Said
from headwater.testing import until
from headwater.testing.controls import GoodChanged, GoodRemoved, GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, fields, put, settled

HASTY = Limits(attempts=3, first=0.05, longest=0.1)


def told(shop: Shop, key: str, number: int) -> Fields:
    """The `number`th event, from 0, of a thing."""
    event = GoodSold(sale_id=key, good_id=key, amount=number)
    return shop.outgoing.codec.encode(
        Said(event, shop.tenant, operation_id=f"{key}-{number}").envelope("test")
    )


class Journal:
    """Writes each thing's events down, and refuses one that is not the next of its thing."""

    def __init__(self) -> None:
        self.bad: dict[tuple[str, int], Exception] = {}
        self.skipped: set[tuple[str, int]] = set()
        self.wrong: list[tuple[str, int]] = []
        self.consumer = Consumer("shelf")

        @self.consumer.on(GoodSold, ordered=True)
        async def on_good_sold(event: GoodSold, tx: Tx, context: Context) -> None:
            place = (event.sale_id, event.amount)
            written = await tx.fetch("SELECT amount FROM sales WHERE good_id = $1", event.sale_id)
            before = {row["amount"] for row in written} | {n for key, n in self.skipped if key == place[0]}
            if before != set(range(event.amount)):
                self.wrong.append(place)
            if place in self.bad:
                raise self.bad[place]
            row = (f"{event.sale_id}-{event.amount}", context.tenant, event.sale_id, event.amount)
            await tx.execute("INSERT INTO sales VALUES ($1, $2, $3, $4)", *row)


async def written(shop: Shop, key: str) -> list[int]:
    rows = await shop.sink.fetch("SELECT amount FROM sales WHERE good_id = $1 ORDER BY amount", key)
    return [row["amount"] for row in rows]


async def open_letters(shop: Shop) -> list[tuple[int, str]]:
    """Number and state of what is not settled, oldest first."""
    rows = await shop.sink.fetch(
        "SELECT event_id, entry, state, fields FROM headwater.dead_letter "
        "WHERE state IN ('parked', 'replaying', 'waiting', 'held') ORDER BY id"
    )
    found = []
    for row in rows:
        data = dead_letters.unpack(row["fields"])[b"data"].decode()
        found.append((int(data.partition('"amount":')[2].partition(",")[0].strip("}")), row["state"]))
    return found


async def head(shop: Shop) -> Letter:
    return (await dead_letters.listed(shop.sink, "shelf", Filter()))[-1]


async def test_what_fails_holds_back_its_own_thing_and_no_other_until_it_passes(shop: Shop) -> None:
    journal = Journal()
    journal.bad[("a", 1)] = RuntimeError("not today")
    worker = shop.start(shop.worker(journal.consumer, limits=Limits(attempts=1000, first=0.1, longest=0.2)))
    entries = [told(shop, key, number) for number in range(5) for key in "ab"]
    await put(shop, *entries)

    async def others() -> bool:
        return await written(shop, "b") == [0, 1, 2, 3, 4] and await settled(shop)

    await until(others)
    assert await written(shop, "a") == [0]
    assert [number for number, _ in await open_letters(shop)] == [1, 2, 3, 4]
    assert worker.statistics()["held"] == 3
    del journal.bad[("a", 1)]

    async def whole() -> bool:
        return await written(shop, "a") == [0, 1, 2, 3, 4] and await open_letters(shop) == []

    await until(whole)
    assert journal.wrong == []


async def test_what_comes_later_waits_behind_a_parked_event_and_follows_its_replay(shop: Shop) -> None:
    journal = Journal()
    journal.bad[("a", 0)] = Reject("unknown good")
    shop.start(shop.worker(journal.consumer, limits=HASTY))
    await put(shop, told(shop, "a", 0), told(shop, "a", 1))
    await until(lambda: settled(shop))
    await put(shop, told(shop, "a", 2))
    await until(lambda: settled(shop))

    assert await open_letters(shop) == [(0, "parked"), (1, "held"), (2, "held")]
    letter = await head(shop)
    assert (letter.reason, letter.behind) == ("rejected", 2)
    held = (await dead_letters.listed(shop.sink, "shelf", Filter(states=("held",))))[-1]
    assert await dead_letters.replay(shop.sink, "shelf", [held.id]) == []

    del journal.bad[("a", 0)]
    assert await dead_letters.replay(shop.sink, "shelf", [letter.id]) == [letter.id]

    async def whole() -> bool:
        return await written(shop, "a") == [0, 1, 2]

    await until(whole)
    assert journal.wrong == []


async def test_the_release_stops_at_the_first_that_fails_again(shop: Shop) -> None:
    journal = Journal()
    journal.bad = {("a", 0): Reject("no"), ("a", 2): Reject("neither")}
    shop.start(shop.worker(journal.consumer, limits=HASTY))
    await put(shop, *(told(shop, "a", number) for number in range(5)))
    await until(lambda: settled(shop))
    del journal.bad[("a", 0)]

    await dead_letters.replay(shop.sink, "shelf", [(await head(shop)).id])

    async def stopped() -> bool:
        return await open_letters(shop) == [(2, "parked"), (3, "held"), (4, "held")]

    await until(stopped)
    assert await written(shop, "a") == [0, 1]
    assert journal.wrong == []


async def test_a_discarded_event_lets_the_next_one_go(shop: Shop) -> None:
    journal = Journal()
    journal.bad[("a", 0)] = Reject("no")
    shop.start(shop.worker(journal.consumer, limits=HASTY))
    await put(shop, *(told(shop, "a", number) for number in range(3)))
    await until(lambda: settled(shop))
    journal.skipped.add(("a", 0))

    await dead_letters.discard(shop.sink, "shelf", [(await head(shop)).id], note="never mind")

    async def rest() -> bool:
        return await written(shop, "a") == [1, 2]

    await until(rest)
    assert journal.wrong == []


async def test_an_event_that_fails_for_ever_is_parked_and_what_waits_stays_behind_it(shop: Shop) -> None:
    journal = Journal()
    journal.bad[("a", 0)] = RuntimeError("a defect")
    shop.start(shop.worker(journal.consumer, limits=HASTY))
    await put(shop, *(told(shop, "a", number) for number in range(3)))

    async def parked() -> bool:
        return await open_letters(shop) == [(0, "parked"), (1, "held"), (2, "held")]

    await until(parked)
    letter = await head(shop)
    assert (letter.reason, letter.failures) == ("exhausted", 3)


async def test_every_state_is_applied_in_order_where_states_are_ordered(shop: Shop) -> None:
    consumer = Consumer("shelf")

    @consumer.upsert(GoodChanged, gone=(GoodRemoved,), table="goods", key="good_id", ordered=True)
    class Good:
        name: str
        price: int

    await shop.sink.execute("ALTER TABLE goods ADD CONSTRAINT no_tea CHECK (name <> 'tea')")
    shop.start(shop.worker(consumer, limits=HASTY))
    key, other = (f"00000000-0000-4000-8000-000000000{end}" for end in ("abc", "def"))
    states = [(key, "cup", 1), (key, "tea", 2), (other, "pot", 3), (key, "can", 4)]
    said = [fields(shop, GoodChanged(good_id=good, name=name), version) for good, name, version in states]
    await put(shop, *said, stream=GOODS)
    await until(lambda: settled(shop))

    assert await shop.goods() == {key: "cup", other: "pot"}
    await shop.sink.execute("ALTER TABLE goods DROP CONSTRAINT no_tea")
    await dead_letters.replay(shop.sink, "shelf", [(await head(shop)).id])

    async def whole() -> bool:
        return await shop.goods() == {key: "can", other: "pot"}

    await until(whole)
    versions = await shop.sink.fetch("SELECT version FROM headwater.ledger ORDER BY version")
    assert [row["version"] for row in versions] == [3, 4]


async def test_of_two_workers_one_reads_and_the_other_follows_it_in_order(shop: Shop) -> None:
    journal = Journal()
    first = shop.start(shop.worker(journal.consumer, name="w1"))
    await put(shop, *(told(shop, key, 0) for key in "abc"))
    await until(lambda: settled(shop))
    second = shop.start(shop.worker(journal.consumer, name="w2"))
    for number in range(1, 40):
        await put(shop, *(told(shop, key, number) for key in "abc"))
        if number == 20:
            await shop.stop(first)

    async def whole() -> bool:
        return [await written(shop, key) for key in "abc"] == [list(range(40))] * 3

    await until(whole)
    assert journal.wrong == []
    assert first.statistics()["read"] + second.statistics()["read"] >= 120
    assert second.statistics()["read"] > 0


async def test_a_batch_is_stored_once_also_when_its_acknowledgement_is_lost(shop: Shop) -> None:
    journal = Journal()
    journal.bad[("a", 0)] = Reject("no")
    worker = shop.start(shop.worker(journal.consumer, limits=HASTY))
    await put(shop, *(told(shop, "a", number) for number in range(3)))
    await until(lambda: settled(shop))
    await shop.stop(worker)
    await shop.broker.execute("XGROUP", "SETID", shop.key("sales"), "shelf-group", "0")

    shop.start(shop.worker(journal.consumer, limits=HASTY))
    await until(lambda: settled(shop))

    assert await open_letters(shop) == [(0, "parked"), (1, "held"), (2, "held")]


async def test_who_lost_the_turn_can_neither_keep_it_nor_apply(shop: Shop) -> None:
    old, new = Turn(shop.sink, "shelf", "w1", 0.05), Turn(shop.sink, "shelf", "w2", 30.0)
    assert await old.take()

    async def taken() -> bool:
        return await new.take()

    await until(taken)

    with pytest.raises(Fenced):
        await old.renew()
    with pytest.raises(Fenced):
        async with shop.sink.transaction() as tx:
            await old.check(tx)
    async with shop.sink.transaction() as tx:
        await new.check(tx)
    assert not await old.take()
    await new.give_up()
    assert await old.take()


async def test_a_turn_is_not_taken_while_a_transaction_that_checked_it_is_open(shop: Shop) -> None:
    old, new = Turn(shop.sink, "shelf", "w1", 0.0), Turn(shop.sink, "shelf", "w2", 30.0)
    assert await old.take()

    async with shop.sink.transaction() as tx:
        await old.check(tx)
        await old.renew()
        async with shop.sink.transaction() as other:
            await other.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                async with other.transaction():
                    await other.execute("SELECT FROM headwater.turn FOR UPDATE")

    assert await new.take()
