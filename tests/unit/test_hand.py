"""What a worker has in hand: each entry once, until it is settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import Entry
from headwater.delivery.hand import Hand
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
    assert (hand.due(4.9), hand.waiting) == ([], 1)
    assert (hand.due(5.0), hand.waiting) == ([one], 0)
    assert hand.take([entry(1)]) == []


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 100))
def test_whoever_is_due_comes_in_the_order_of_their_times_and_nobody_else(
    times: list[float], now: float
) -> None:
    hand = Hand()
    for number, due in enumerate(times):
        hand.wait(Delivery("s", str(number), FIELDS), due)

    found = [int(one.entry) for one in hand.due(now)]

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
