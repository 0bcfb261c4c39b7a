"""How much a worker takes at once: what fits, never nothing, and quiet streams first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery.appetite import (
    AROUND,
    FIRST_SIZE,
    SMALL,
    brought_by,
    grown,
    learn,
    portion,
    size_of,
    turns,
)

SIZES = st.integers(AROUND, 300_000)


@given(
    most=st.integers(1, 10_000),
    room=st.integers(0, 1 << 30),
    size=st.floats(1, 1e7),
    busy=st.integers(0, 50),
)
def test_a_portion_is_never_empty_and_brings_no_more_than_there_is_room_for_but_one_entry(
    most: int, room: int, size: float, busy: int
) -> None:
    found = portion(most=most, room=room, size=size, busy=busy)

    assert 1 <= found.each <= found.most <= most
    assert found.each * busy <= max(found.most, busy)
    assert (found.most - 1) * size <= room
    assert found.size >= 1


@given(known=st.floats(1, 1e6), sizes=st.lists(SIZES, max_size=50))
def test_what_is_reckoned_with_is_never_less_than_what_just_came(known: float, sizes: list[int]) -> None:
    found = learn(known, sum(sizes), len(sizes))

    if sizes:
        assert found >= sum(sizes) / len(sizes)
        assert found >= known / 2
    else:
        assert found == known


@given(most=st.integers(1, 10_000))
def test_reads_grow_to_the_most_while_more_is_waiting_and_are_small_again_when_nothing_is(most: int) -> None:
    asked = [grown(most, 0)]
    while asked[-1] < most:
        asked.append(grown(most, asked[-1]))
        assert asked[-1] <= 2 * asked[-2]

    assert asked[0] == min(most, SMALL)
    assert len(asked) <= 9


@given(size=SIZES, count=st.integers(1, 100))
def test_after_some_reads_of_equal_entries_their_size_is_known(size: int, count: int) -> None:
    known = FIRST_SIZE
    for _ in range(20):
        known = learn(known, size * count, count)

    assert size <= known <= size + 1


@given(st.lists(st.sampled_from("abcde"), max_size=60))
def test_streams_that_brought_less_are_asked_first_and_none_is_left_out(entries: list[str]) -> None:
    brought = brought_by(entries)

    order = turns(list("abcde"), brought)

    assert sorted(order) == list("abcde")
    counts = [brought.get(stream, 0) for stream in order]
    assert counts == sorted(counts)


def test_the_size_of_an_entry_counts_its_values_and_what_is_around_them() -> None:
    assert size_of({b"a": b"x" * 100, b"b": b""}) == AROUND + 100
