"""Which of many entries is the furthest in its stream: as Redis orders them, however they are spelled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import EntryId, latest

MOMENTS = st.integers(0, 2**64 - 1) | st.integers(0, 120) | st.sampled_from([10**12, 10**12 + 1])
IDS = st.builds(EntryId, MOMENTS, st.integers(0, 2**64 - 1) | st.integers(0, 120)).map(str)


@given(st.lists(IDS | MOMENTS.map(str), min_size=1))
def test_the_latest_entry_is_the_one_that_redis_puts_last(ids: list[str]) -> None:
    assert EntryId.parse(latest(ids)) == max(map(EntryId.parse, ids))


@given(st.integers(10**12, 10**12 + 1), st.lists(st.integers(0, 10**6), min_size=1))
def test_of_entries_of_one_moment_the_highest_sequence_is_the_latest(moment: int, rest: list[int]) -> None:
    ids = [f"{moment}-{sequence}" for sequence in rest]

    assert latest(ids) == f"{moment}-{max(rest)}"
