"""How fast a backfill may append, and how far it says it is: the rules alone."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import EntryId
from headwater.replay.pacing import Hours, Throttle, slower
from headwater.replay.progress import floors

steps = st.lists(
    st.tuples(st.integers(min_value=1, max_value=500), st.floats(min_value=0, max_value=5)), max_size=40
)
moments = st.datetimes(timezones=st.just(UTC))
times = st.times().map(lambda one: time(one.hour, one.minute))


@given(st.integers(min_value=1, max_value=1000), steps)
def test_no_more_rows_go_than_the_rate_allows_and_none_waits_longer_than_it_must(
    rate: int, asked: list[tuple[int, float]]
) -> None:
    throttle, now, gone = Throttle(rate), 0.0, [(0.0, 0)]
    for rows, idle in asked:
        now += idle
        wait = throttle.wait(rows, now)
        assert wait >= 0
        now += wait
        for begin, _ in gone:
            between = sum(count for at, count in gone if begin <= at)
            assert between <= (now - begin) * rate + 1e-3
        assert wait == 0 or now <= gone[-1][0] + gone[-1][1] / rate + 1e-6
        gone.append((now, rows))


@given(steps)
def test_without_a_rate_nothing_waits(asked: list[tuple[int, float]]) -> None:
    throttle = Throttle(None)
    assert all(throttle.wait(rows, 0.0) == 0 for rows, _ in asked)


@given(times, times, moments)
def test_every_moment_is_in_one_of_two_spans_that_make_up_a_day(begin: time, end: time, at: datetime) -> None:
    if begin == end:
        assert not Hours(begin, end).contain(at)
    else:
        assert Hours(begin, end).contain(at) != Hours(end, begin).contain(at)


def test_hours_are_read_as_they_are_written() -> None:
    night = Hours.parse(" 22:00-06:30 ")
    assert night == Hours(time(22), time(6, 30))
    assert Hours.parse("") is None
    for text in ("22-06", "24:00-01:00", "08:00", "8:00-9:00", "08:00-09:60"):
        with pytest.raises(ValueError, match="no span of hours"):
            Hours.parse(text)


@given(st.lists(st.one_of(st.none(), st.integers(min_value=1))))
def test_the_lowest_rate_that_is_given_holds(rates: list[int | None]) -> None:
    given_ones = [rate for rate in rates if rate]
    assert slower(*rates) == (min(given_ones) if given_ones else None)


entries = st.builds(EntryId, st.integers(0, 5), st.integers(0, 5))


@given(entries, st.one_of(st.none(), entries), entries)
def test_an_entry_is_applied_when_it_was_delivered_and_nothing_up_to_it_is_pending(
    delivered: EntryId, pending: EntryId | None, entry: EntryId
) -> None:
    found = floors(str(delivered), str(pending) if pending else None)

    assert found.delivered == delivered
    assert found.applied <= found.delivered
    assert (entry <= found.applied) == (entry <= delivered and (pending is None or entry < pending))
