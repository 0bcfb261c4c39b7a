"""How far back copies reach, for any history: nothing older than the horizon is left anywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from headwater.retention.collecting import lowest
from headwater.retention.horizon import Age, Carriers, Horizon, cutoff, horizon, said_since
from headwater.retention.keeper import late

NOW = 100
ZERO = timedelta(0)


def at(hour: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


class World(NamedTuple):
    """Rows of the outbox (said, removed), entries (appended, said), looks, backfills (asked, ended)."""

    rows: list[tuple[int, int]]
    entries: list[tuple[int, int]]
    looks: list[int]
    jobs: list[tuple[int, int]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    rows, entries = [], []
    for said in draw(st.lists(st.integers(0, NOW), max_size=6)):
        removed = draw(st.integers(said, NOW + 50))
        rows.append((said, removed))
        times = st.integers(said, min(removed, NOW))
        entries += [(appended, said) for appended in draw(st.lists(times, max_size=4))]
    jobs = []
    for asked in draw(st.lists(st.integers(0, NOW), max_size=2)):
        ended = draw(st.integers(asked, NOW + 50))
        jobs.append((asked, ended))
        for read in draw(st.lists(st.integers(asked, min(ended, NOW)), max_size=3)):
            entries.append((draw(st.integers(read, min(ended, NOW))), read))
    entries += [(now, now) for now in draw(st.lists(st.integers(0, NOW), max_size=3))]  # said directly
    trimmed = draw(st.integers(0, NOW))
    looks = draw(st.lists(st.integers(0, NOW), max_size=5))
    return World(rows, [one for one in entries if one[0] >= trimmed], looks, jobs)


def carriers(world: World) -> Carriers:
    oldest = min((said for said, removed in world.rows if removed > NOW), default=NOW)
    first = min((appended for appended, _ in world.entries), default=None)
    jobs = [asked for asked, ended in world.jobs if ended > NOW or (first is not None and ended >= first)]
    return Carriers(at(oldest), None if first is None else at(first), at(min(jobs)) if jobs else None)


def ages(world: World) -> list[Age]:
    return [
        Age(
            at(look), at(min((said for said, removed in world.rows if said <= look <= removed), default=look))
        )
        for look in world.looks
    ]


@given(worlds())
def test_nothing_that_is_left_was_said_before_the_horizon(world: World) -> None:
    found = horizon(carriers(world), ages(world), margin=ZERO)

    if found.before is not None:
        left = [said for said, removed in world.rows if removed > NOW]
        left += [said for _, said in world.entries]
        left += [asked for asked, ended in world.jobs if ended > NOW]
        assert all(at(said) >= found.before for said in left)


@given(worlds())
def test_a_margin_only_lets_less_go(world: World) -> None:
    narrow = horizon(carriers(world), ages(world), margin=ZERO)
    wide = horizon(carriers(world), ages(world))

    assert wide.why == narrow.why
    assert (wide.before is None) == (narrow.before is None)
    if wide.before is not None and narrow.before is not None:
        assert wide.before < narrow.before


def test_an_entry_from_before_the_first_look_may_hold_anything() -> None:
    assert said_since(at(5), [Age(at(6), at(0))]) is None
    assert horizon(Carriers(at(9), at(5), None), [Age(at(6), at(0))]).before is None


def test_an_entry_appended_long_after_it_was_said_holds_as_long_as_the_row_it_came_from() -> None:
    looks = [Age(at(0), at(0)), Age(at(10), at(1)), Age(at(50), at(50))]

    found = horizon(Carriers(at(60), at(49), None), looks, margin=ZERO)

    assert found == Horizon(at(1), "the oldest entry or dead letter")


def test_what_is_kept_for_its_age_is_kept_and_longer_where_something_holds_it() -> None:
    assert cutoff(at(100), 10 * 3600, Horizon(at(95), "")) == at(90)
    assert cutoff(at(100), 10 * 3600, Horizon(at(50), "")) == at(50)
    assert cutoff(at(100), 10 * 3600, Horizon(None, "")) is None


def test_the_source_waits_for_the_application_that_is_furthest_back() -> None:
    assert lowest([Horizon(at(5), "a"), Horizon(at(3), "b")]) == Horizon(at(3), "b")
    assert lowest([Horizon(at(5), "a"), Horizon(None, "b")]) == Horizon(None, "b")


def test_what_nobody_does_is_late_and_what_is_switched_off_is_not() -> None:
    found = [("streams", 60.0), ("source", 90_000.0), ("crm", None)]

    assert late(found, 3600.0) == ["source"]
    assert late(found, 0.0) == []
