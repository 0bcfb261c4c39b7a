"""Ordered things in a batch, by value: parts, and what is held when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.delivery.halving import Halving, TakenOut
from headwater.delivery.order import delayed, rounds, stored, streams
from headwater.delivery.outcome import Ack, Hold, Limits, Outcome, Park, RetryAfter
from headwater.delivery.work import Delivery, Sorted, Work
from headwater.errors import Reject, Retry
from headwater.publish import Said
from headwater.testing.controls import CATALOGUE, GoodSold, till

FAILING = st.dictionaries(st.integers(0, 39), st.booleans())
KEYS = st.lists(st.sampled_from("abc"), max_size=40)


def in_order() -> Consumer:
    consumer = Consumer("till")

    @consumer.on(GoodSold, ordered=True)
    async def on_good_sold(event: GoodSold, tx: Tx, context: Context) -> None: ...

    return consumer


def works(keys: Sequence[str]) -> list[Work]:
    found = []
    for number, key in enumerate(keys):
        said = Said(GoodSold(sale_id=key, good_id="g", amount=number), "t1", operation_id=str(number))
        found.append(Work(Delivery("sales", f"{number}-0", {}), said.envelope("test")))
    return found


def number(work: Work) -> int:
    return int(work.delivery.entry.partition("-")[0])


@given(KEYS)
def test_parts_have_each_thing_once_and_keep_its_order(keys: list[str]) -> None:
    batch = works(keys)

    parts = rounds(batch)

    for part in parts:
        assert len({one.envelope.key for one in part}) == len(part) > 0
    for key in set(keys):
        line = [number(one) for part in parts for one in part if one.envelope.key == key]
        assert line == [place for place, found in enumerate(keys) if found == key]


class Shelf:
    """Applies batches as a database does; some entries fail, by raising or by a handler's answer."""

    def __init__(self, bad: dict[int, Exception], answered: set[int]) -> None:
        self.bad = bad
        self.answered = answered
        self.applied: list[Work] = []

    async def apply(self, work: Sequence[Work]) -> None:
        for one in work:
            if number(one) in self.bad and number(one) not in self.answered:
                raise self.bad[number(one)]
        taken_out = {id(one): self.bad[number(one)] for one in work if number(one) in self.bad}
        if taken_out:
            raise TakenOut(taken_out)
        self.applied += work


@given(
    KEYS,
    st.dictionaries(st.integers(0, 39), st.booleans()),
    st.sets(st.integers(0, 39)),
    st.sets(st.sampled_from("abc")),
)
def test_of_each_thing_all_before_its_first_failure_is_applied_and_nothing_after(
    keys: list[str], failing: dict[int, bool], answered: set[int], blocked: set[str]
) -> None:
    bad: dict[int, Exception] = {place: Reject("no") if hard else Retry() for place, hard in failing.items()}
    shelf, consumer, batch = Shelf(bad, answered), in_order(), works(keys)
    things = {("t1", "sales", key) for key in blocked}

    outcomes = asyncio.run(Halving(shelf.apply, consumer, Limits(), {}, things).settle(batch))

    for key in set(keys):
        line = [
            (number(one), out) for one, out in zip(batch, outcomes, strict=True) if one.envelope.key == key
        ]
        first = next((at for at, (place, _) in enumerate(line) if place in bad), len(line))
        if key in blocked:
            assert [out for _, out in line] == [Hold()] * len(line)
            continue
        assert [out for _, out in line[:first]] == [Ack()] * first
        if first < len(line):
            assert isinstance(line[first][1], Park if isinstance(bad[line[first][0]], Reject) else RetryAfter)
        assert not any(isinstance(out, Ack) for _, out in line[first:])
        done = [number(one) for one in shelf.applied if one.envelope.key == key]
        assert done == [place for place, _ in line[:first]]


def test_what_fails_in_order_is_stored_in_the_order_of_the_stream_and_the_rest_stays_pending() -> None:
    batch = works("aaa")
    outcomes: list[Outcome] = [RetryAfter(1.0, 1, "late"), Hold(), Hold()]

    kept = stored(in_order(), Sorted(batch, [], []), outcomes)

    assert [(one.delivery, one.outcome, one.ordered) for one in kept] == [
        (one.delivery, outcome, True) for one, outcome in zip(batch, outcomes, strict=True)
    ]
    assert delayed(in_order(), batch, outcomes) == []
    assert stored(till(), Sorted(batch[:1], [], []), outcomes[:1]) == []
    assert delayed(till(), batch[:1], outcomes[:1]) == [(batch[0].delivery, outcomes[0])]


def test_only_streams_that_carry_ordered_events_are_read_by_one_worker() -> None:
    assert streams(in_order(), CATALOGUE) == ["sales"]
    assert streams(till(), CATALOGUE) == []
