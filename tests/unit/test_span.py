"""What is said again: every entry within the bounds that still has a place to go, and no other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import EntryId
from headwater.broker.repairs import Missing, Repaired, settles
from headwater.errors import BrokerRefused, BrokerUnavailable
from headwater.publish.span import (
    EVER,
    Between,
    Page,
    Portion,
    Progress,
    Span,
    advanced,
    kept,
    published_since,
    repairing,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ids = st.builds(EntryId, st.integers(1, 2**41), st.integers(0, 9)).map(str)
bounds = st.builds(Between, st.just("") | ids, st.just("") | ids)
streams = st.sampled_from(["a", "b", "shelf:c", "d@e"])


@given(st.dictionaries(streams, bounds), st.dictionaries(streams, ids, min_size=1), st.sets(streams))
def test_an_entry_goes_again_where_it_was_within_bounds_and_would_go_now(
    within: dict[str, Between], went: dict[str, str], wanted: set[str]
) -> None:
    entries = " ".join(f"{stream}@{entry}" for stream, entry in went.items())
    span = Span(streams=within, until=NOW)

    found = {stream for stream, _ in span.again(entries, [(one, {}) for one in sorted(wanted)])}

    assert found == {one for one in wanted if one in went and one in within and within[one].has(went[one])}


@given(bounds, bounds, ids)
def test_bounds_that_cover_others_have_all_that_they_have(one: Between, other: Between, entry: str) -> None:
    assert not (one.covers(other) and other.has(entry)) or one.has(entry)
    assert Between().covers(one)


@given(st.lists(st.tuples(streams, bounds, st.integers(0, 3)), min_size=1, max_size=6), ids)
def test_one_span_brings_back_what_any_application_misses(
    some: list[tuple[str, Between, int]], entry: str
) -> None:
    wanted = [
        Missing(app="x", stream=stream, incarnation="", gap=gap, since=one.above or "0-0", upto=one.upto)
        for stream, one, gap in some
    ]

    span = repairing(wanted, NOW)

    for one in wanted:
        if Between(one.since, one.upto).has(entry):
            assert span.streams[one.stream].has(entry)
            assert span.since <= published_since(EntryId.parse(one.since))


@given(st.integers(0, 2**70))
def test_any_entry_has_a_time_before_which_nothing_above_it_was_published(milliseconds: int) -> None:
    found = published_since(EntryId(milliseconds, 0))

    assert found == EVER or found.timestamp() * 1000 < milliseconds


@given(st.lists(st.lists(st.sampled_from(["taken", "refused", "unfit"]), min_size=1, max_size=3), min_size=1))
def test_every_row_is_counted_once_and_a_stream_that_lacks_something_is_named(rows: list[list[str]]) -> None:
    portions = []
    replies: list[str | BrokerRefused] = []
    for number, kinds in enumerate(rows):
        unfit = "unfit" in kinds
        names = tuple(f"s{place}" for place in range(len(kinds)))
        portions.append(Portion(names, [] if unfit else [(one, {}) for one in names], "no" if unfit else ""))
        for place, kind in enumerate(kinds if not unfit else ()):
            replies.append(f"{number}-{place}" if kind == "taken" else BrokerRefused("too large"))

    found = advanced(Progress(), Page(7, portions), replies)

    assert found.position == 7
    assert found.rows + found.refused + found.skipped == len(rows)
    assert found.entries == sum(isinstance(one, str) for one in replies)
    assert found.entries == sum(one.entries for one in found.reached.values())
    assert bool(found.refusing) == bool(found.refused)


def test_a_redis_that_refuses_as_a_whole_notes_nothing() -> None:
    with pytest.raises(BrokerUnavailable):
        advanced(Progress(), Page(1, [Portion(("s",), [("s", {})])]), [BrokerUnavailable("OOM")])


@pytest.mark.parametrize(("removed", "whole"), [(None, True), (NOW, False), (EVER, True)])
def test_the_outbox_lacks_what_was_published_before_rows_were_removed(
    removed: datetime | None, whole: bool
) -> None:
    assert kept(NOW, removed) is whole


@given(bounds, bounds, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_an_answer_settles_only_what_it_is_about_all_of(
    said: Between, lost: Between, answered: int, asked: int, same: bool
) -> None:
    missing = Missing(
        app="a", stream="s", incarnation="i", gap=asked, since=lost.above or "0-0", upto=lost.upto
    )
    done = Repaired(
        incarnation="i" if same else "j",
        gap=answered,
        rows=1,
        until="1-0",
        by="test",
        since=said.above or "0-0",
        upto=said.upto,
    )

    assert settles(done, missing) == (same and answered >= asked and said.covers(lost))
