"""Handlers that take many events at once, and answer for each of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
import pytest

from headwater.database import Tx
from headwater.delivery import Consumer, Context, Done, Limits
from headwater.errors import DeclarationError, Reject, Retry
from headwater.testing import until
from headwater.testing.controls import GoodChanged, GoodSold
from tests.engine.conftest import QUICK, Shop
from tests.engine.entries import GOODS, applied, fields, letters, put, sale, settled

Answers = Sequence[Done | Retry | Reject] | None
HASTY = Limits(attempts=3, first=0.05, longest=0.1)
ROOMY = msgspec.structs.replace(QUICK, hand=1 << 30)
"""Reads many at once from the first time on."""


class Till:
    """Writes sales down many at a time, and answers for each by its name."""

    def __init__(self, size: int = 500) -> None:
        self.calls: list[list[str]] = []
        self.refused: dict[str, Retry | Reject] = {}
        self.consumer = Consumer("shelf")

        @self.consumer.on(GoodSold, batch=size)
        async def on_sales(events: Sequence[GoodSold], tx: Tx, contexts: Sequence[Context]) -> Answers:
            names = [event.sale_id for event in events]
            assert [context.key for context in contexts] == names
            self.calls.append(names)
            rows = [(name, context.tenant) for name, context in zip(names, contexts, strict=True)]
            await tx.executemany("INSERT INTO sales VALUES ($1, $2, 'g', 1)", rows)
            if not self.refused.keys() & set(names):
                return None
            return [self.refused.get(name, Done()) for name in names]


async def test_a_batch_is_handled_by_one_call_and_its_rows_commit_together(shop: Shop) -> None:
    till = Till()
    names = [f"s{number:03}" for number in range(120)]
    await put(shop, *(sale(shop, name) for name in names))
    shop.start(shop.worker(till.consumer))

    await applied(shop, *names)

    assert len(till.calls) < 9, "a worker's first reads are small ones"
    assert sorted(name for call in till.calls for name in call) == names
    assert await shop.sink.fetchval("SELECT count(DISTINCT xmin::text) FROM sales") == len(till.calls)


async def test_no_call_is_larger_than_declared(shop: Shop) -> None:
    till = Till(size=50)
    names = [f"s{number:03}" for number in range(120)]
    await put(shop, *(sale(shop, name) for name in names))
    shop.start(shop.worker(till.consumer))

    await applied(shop, *names)

    assert max(len(call) for call in till.calls) == 50
    assert sorted(name for call in till.calls for name in call) == names


async def test_what_is_refused_leaves_nothing_behind_and_the_rest_is_done_without_it(shop: Shop) -> None:
    till = Till()
    till.refused = {"s3": Reject("we do not sell that"), "s5": Retry("soon", after=0.1)}
    names = [f"s{number}" for number in range(10)]
    await put(shop, *(sale(shop, name) for name in names))
    worker = shop.start(shop.worker(till.consumer, limits=HASTY, pace=ROOMY))

    await until(lambda: worker.statistics()["retried"] >= 1)
    assert [len(call) for call in till.calls[:2]] == [10, 8]
    rest = [name for name in names if name not in {"s3", "s5"}]
    assert await shop.sales() == rest
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.inbox") == len(rest)
    till.refused.pop("s5")

    await until(lambda: settled(shop))
    assert await shop.sales() == sorted([*rest, "s5"])
    assert await letters(shop) == {"s3": "rejected"}


async def test_an_exception_of_a_batch_costs_only_the_entry_that_raises_it(shop: Shop) -> None:
    consumer = Consumer("shelf")

    @consumer.on(GoodSold, batch=100)
    async def on_sales(events: Sequence[GoodSold], tx: Tx, contexts: Sequence[Context]) -> None:
        for event, context in zip(events, contexts, strict=True):
            if event.sale_id == "bad":
                raise RuntimeError("a defect")
            await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    await put(shop, *(sale(shop, name) for name in ("s1", "bad", "s2", "s3")))
    shop.start(shop.worker(consumer, limits=HASTY))

    await until(lambda: settled(shop))

    assert await shop.sales() == ["s1", "s2", "s3"]
    assert await letters(shop) == {"bad": "exhausted"}


@pytest.mark.parametrize("answer", [[Done()], "ab", [Done(), 7], 3])
async def test_an_answer_that_fits_no_event_is_a_failure_and_nothing_is_applied(
    shop: Shop, answer: Answers
) -> None:
    consumer = Consumer("shelf")

    @consumer.on(GoodSold, batch=100)
    async def on_sales(events: Sequence[GoodSold], tx: Tx, contexts: Sequence[Context]) -> Answers:
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", os.urandom(4).hex(), shop.tenant)
        return answer if len(events) > 1 or not isinstance(answer, list) else [*answer, Done()]

    await put(shop, sale(shop, "s1"), sale(shop, "s2"))
    shop.start(shop.worker(consumer, limits=Limits(attempts=1)))

    await until(lambda: settled(shop))

    assert await letters(shop) == {"s1": "exhausted", "s2": "exhausted"}
    assert await shop.sales() == []


async def test_states_are_given_to_a_batch_newest_only_and_refused_ones_do_not_pass_the_gate(
    shop: Shop,
) -> None:
    seen: list[list[tuple[str, int | None]]] = []
    consumer = Consumer("shelf")

    @consumer.on(GoodChanged, batch=100)
    async def on_goods(events: Sequence[GoodChanged], tx: Tx, contexts: Sequence[Context]) -> Answers:
        seen.append([(context.key, context.version) for context in contexts])
        return [Reject("no") if event.name == "refused" else Done() for event in events]

    said = [("a", "old", 1), ("a", "new", 3), ("b", "refused", 4), ("c", "fine", 2)]
    states = [fields(shop, GoodChanged(good_id=good, name=name), version) for good, name, version in said]
    await put(shop, *states, stream=GOODS)
    shop.start(shop.worker(consumer))

    await until(lambda: settled(shop))

    assert seen == [[("a", 3), ("b", 4), ("c", 2)], [("a", 3), ("c", 2)]]
    ledger = await shop.sink.fetch("SELECT key, version FROM headwater.ledger ORDER BY key")
    assert [tuple(row) for row in ledger] == [("a", 3), ("c", 2)]
    assert await letters(shop) == {"b": "rejected"}


def test_a_declaration_that_can_not_work_is_refused() -> None:
    consumer = Consumer("shelf")

    def plain(event: GoodSold, tx: Tx, context: Context) -> None: ...

    async def short(event: GoodSold, tx: Tx) -> None: ...

    with pytest.raises(DeclarationError, match="no async function"):
        consumer.on(GoodSold)(plain)  # type: ignore[type-var]
    with pytest.raises(DeclarationError, match="does not take"):
        consumer.on(GoodSold)(short)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="`gone` is a tuple"):
        consumer.upsert(GoodSold, gone=GoodSold, table="goods", key="id")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="a batch of 0"):
        consumer.on(GoodSold, batch=0)
    assert consumer.steps == []
