"""What the bench makes of what it measured."""

from __future__ import annotations

import os
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from headwater.bench import usage
from headwater.bench.applying import order
from headwater.bench.figures import figure, spread, table
from headwater.bench.handlers import VERSIONS
from headwater.bench.pacing import TICK, due
from headwater.bench.sizes import FULL, QUICK, sizes

rates = st.lists(st.floats(0.1, 1e7), min_size=1, max_size=9)


@given(values=rates, limit=rates)
def test_a_figure_is_the_median_of_its_rounds_and_a_share_of_the_median_of_its_limits(
    values: list[float], limit: list[float]
) -> None:
    found = figure(("apply", "it"), values, limits={"bare": limit})

    assert found.low <= found.value == median(values) <= found.high
    assert found.rounds == len(values)
    assert [one.share for one in found.limits] == [median(values) / median(limit)]


@given(seconds=st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_at_most_one_in_a_hundred_took_longer_than_p99_and_at_most_half_longer_than_p50(
    seconds: list[float],
) -> None:
    found = spread(seconds)
    slower = [sum(one * 1000 > bound for one in seconds) for bound in (found.p50, found.p99, found.worst)]

    assert slower[0] <= len(seconds) / 2
    assert slower[1] <= len(seconds) / 100
    assert slower[2] == 0
    assert found.events == len(seconds)


@given(number=st.integers(0, 100_000), rate=st.floats(1, 20_000))
def test_a_thing_is_due_at_a_tick_that_is_neither_early_nor_later_than_one_tick(
    number: int, rate: float
) -> None:
    when = due(number, rate)

    assert number / rate - 1e-8 <= when <= number / rate + TICK + 1e-8
    assert abs(when / TICK - round(when / TICK)) < 1e-6
    assert when <= due(number + 1, rate)


@given(count=st.integers(VERSIONS, 500))
def test_a_backlog_has_every_version_of_a_thing_once_and_in_order(count: int) -> None:
    backlog = order(count)

    assert len(backlog) == len(set(backlog)) == count // VERSIONS * VERSIONS
    for thing in {thing for thing, _ in backlog}:
        assert [version for one, version in backlog if one == thing] == list(range(1, VERSIONS + 1))


@given(events=st.integers(100, 10_000_000))
def test_events_bound_every_count_of_a_run(events: int) -> None:
    found = sizes(quick=False, events=events, rounds=None, seconds=None)

    assert found.events == events
    assert max(found.rows, found.flood) <= max(events, 100)
    assert found.rounds == FULL.rounds


def test_quick_and_full_are_as_written_unless_something_else_is_asked_for() -> None:
    assert sizes(quick=True, events=None, rounds=None, seconds=None) == QUICK
    assert sizes(quick=False, events=None, rounds=7, seconds=2.0) == FULL._replace(
        rounds=7, seconds=2.0, quiet=2.0
    )


def test_a_table_has_a_line_for_each_limit_and_says_what_is_unknown() -> None:
    found = figure(("apply", "it"), [50.0], limits={"a": [100.0], "b": [200.0]}, details={"peak_mib": None})

    lines = table([found]).plain().splitlines()

    assert len(lines) == 3
    assert "50%" in lines[1]
    assert "peak_mib -" in lines[1]
    assert "25%" in lines[2]


def test_what_a_process_needed_is_unknown_where_there_is_no_such_process() -> None:
    gone = 1 << 30

    assert usage.cpu_of(gone) is None
    assert usage.peak(gone) is None
    assert usage.resident(gone) is None
    assert usage.cpu_of_family(os.getpid(), "postgres") is None
    assert usage.parent_of(os.getpid(), "postgres") is None
