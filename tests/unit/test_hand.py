"""What a worker has in hand: each entry once, until it is settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import Entry
from headwater.delivery.hand import MOST_WAITING, Hand
from headwater.delivery.work import Delivery

FIELDS = {b"a": b"1"}


def entry(number: int, stream: str = "s") -> Entry:
    return Entry(stream, f"{number}-0", FIELDS)


def test_an_entry_that_is_read_twice_is_taken_once() -> None:
    hand = Hand()

    first = hand.take([entry(1), entry(2)])
    second = hand.take([entry(2), entry(3), entry(2, "other")])

    assert [one.entry for one in first] == ["1-0", "2-0"]
    assert [(one.stream, one.entry) for one in second] == [("s", "3-0"), ("other", "2-0")]
    assert len(hand) == 4


def test_an_entry_without_fields_is_never_taken() -> None:
    hand = Hand()

    assert hand.take([Entry("s", "1-0", None)]) == []
    assert len(hand) == 0


def test_what_is_taken_is_a_whole_delivery() -> None:
    (taken,) = Hand().take([entry(1)])

    assert type(taken) is Delivery
    assert taken == Delivery("s", "1-0", FIELDS)


def test_what_was_dropped_may_come_again() -> None:
    hand = Hand()
    taken = hand.take([entry(1)])
    hand.failures["s", "1-0"] = 2

    hand.drop(taken)
    hand.drop(taken)

    assert (len(hand), hand.held(), hand.failures) == (0, {}, {})
    assert len(hand.take([entry(1)])) == 1


def test_what_waits_for_another_attempt_is_still_held() -> None:
    hand = Hand()
    (one,) = hand.take([entry(1)])

    hand.wait(one, due=5.0)

    assert hand.held() == {"s": ["1-0"]}
    assert (hand.due(4.9, 9).ready, hand.waiting, hand.next_due) == ([], 1, 5.0)
    assert (hand.due(5.0, 9).ready, hand.waiting, hand.next_due) == ([one], 0, None)
    assert hand.take([entry(1)]) == []


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 100))
def test_whoever_is_due_comes_in_the_order_of_their_times_and_nobody_else(
    times: list[float], now: float
) -> None:
    hand = Hand()
    taken = hand.take(entry(number) for number in range(len(times)))
    for one, due in zip(taken, times, strict=True):
        hand.wait(one, due)

    found = [int(one.entry[:-2]) for one in hand.due(now, 99).ready]

    assert found == [number for number, due in sorted(enumerate(times), key=lambda one: one[1]) if due <= now]
    assert hand.waiting == len(times) - len(found)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=40))
def test_held_is_what_was_taken_and_not_dropped(steps: list[tuple[bool, int]]) -> None:
    hand, expected = Hand(), set[int]()
    for takes, number in steps:
        if takes:
            taken = hand.take([entry(number)])
            assert bool(taken) == (number not in expected)
            expected.add(number)
        else:
            hand.drop([Delivery("s", f"{number}-0", FIELDS)])
            expected.discard(number)
        assert len(hand) == len(expected)

    assert hand.held() == ({"s": [f"{n}-0" for n in sorted(expected)]} if expected else {})


def large(number: int, size: int) -> Entry:
    return Entry("s", f"{number}-0", {b"a": b"x" * size})


@given(st.lists(st.integers(0, 5_000), max_size=30), st.integers(1_000, 100_000))
def test_what_waits_keeps_to_its_part_of_the_budget_and_loses_no_entry(sizes: list[int], budget: int) -> None:
    hand = Hand(budget)
    taken = hand.take(large(number, size) for number, size in enumerate(sizes))
    for one in taken:
        hand.wait(one, due=1.0)

    assert hand.size <= budget // 4
    assert len(hand) == hand.waiting == len(sizes)
    found = hand.due(1.0, 99)
    again = hand.embody(large(int(one[:-2]), sizes[int(one[:-2])]) for one in found.bare.get("s", []))
    assert sorted([*found.ready, *again]) == sorted(taken)
    hand.drop(taken)
    assert (hand.size, len(hand)) == (0, 0)


def test_only_what_is_in_hand_without_its_body_is_given_one() -> None:
    hand = Hand(budget=0)
    (one, two) = hand.take([entry(1), entry(2)])
    hand.wait(one, due=1.0)

    assert hand.embody([entry(1), entry(2), entry(3), Entry("s", "1-0", None)]) == [one]
    assert hand.embody([entry(1)]) == []
    hand.drop([two])
    assert hand.held() == {"s": ["1-0"]}


def test_what_could_not_be_read_again_waits_on_and_can_be_read_later() -> None:
    hand = Hand()
    (one,) = hand.take([entry(1)])
    hand.wait_bare("s", ["1-0"], due=2.0)

    found = hand.due(2.0, 9)

    assert (found.ready, found.bare) == ([], {"s": ["1-0"]})
    assert hand.embody([entry(1)]) == [one]


def test_not_more_become_due_at_once_than_are_asked_for() -> None:
    hand = Hand()
    for one in hand.take(entry(number) for number in range(5)):
        hand.wait(one, due=1.0)

    assert len(hand.due(1.0, 3).ready) == 3
    assert hand.waiting == 2


def test_whoever_waits_for_the_earliest_time_hurries_the_others() -> None:
    hand = Hand()
    one, two, three = hand.take([entry(1), entry(2), entry(3)])
    hand.wait(one, due=5.0)
    assert hand.hurried.is_set()

    hand.hurried.clear()
    hand.wait(two, due=6.0)
    assert not hand.hurried.is_set()
    hand.wait(three, due=4.0)
    assert hand.hurried.is_set()


def test_room_is_what_the_budget_leaves_and_crowded_is_when_too_many_fail() -> None:
    hand = Hand(budget=1_500)
    taken = hand.take([large(1, 400), large(2, 1_000)])
    assert hand.room == 0
    hand.drop(taken)
    assert hand.room == 1_500

    for one in hand.take(entry(number) for number in range(MOST_WAITING)):
        assert not hand.crowded
        hand.wait(one, due=1.0)
    assert hand.crowded


def test_of_streams_that_are_given_up_only_what_waits_for_another_attempt_stays() -> None:
    hand = Hand()
    first, _ = hand.take([entry(1), entry(2)])
    hand.take([entry(3, "other")])
    hand.wait(first, 5.0)

    hand.leave(["s", "unknown"])

    assert hand.held() == {"s": ["1-0"], "other": ["3-0"]}


def test_what_somebody_else_took_over_is_not_tried_again() -> None:
    hand = Hand()
    (one, two) = hand.take([entry(1), entry(2)])
    hand.wait(one, due=1.0)
    hand.wait(two, due=1.0)

    hand.forget("s", ["1-0"])

    assert hand.due(1.0, 9).ready == [two]
    assert hand.held() == {"s": ["2-0"]}
