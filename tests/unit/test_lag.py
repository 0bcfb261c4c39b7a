"""How far a group is behind, from what Redis says: a number in every case, and never too fresh."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker.entry import ConsumerState, EntryId, GroupState, StreamState
from headwater.broker.lag import Facts, judged, known
from headwater.delivery.freshness import Ages, Standing, stale

ids = st.integers(1, 10**6).map(lambda ms: str(EntryId(ms, 0)))


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Anything a server could say, also one whose clock went back or whose count is off."""
    first, last = sorted((draw(ids), draw(ids)), key=EntryId.parse)
    length = draw(st.integers(0, 50))
    consumers = st.builds(
        ConsumerState, st.sampled_from(["a", "released"]), st.integers(0, 9), st.floats(0, 99)
    )
    return Facts(
        now=draw(st.integers(0, 2 * 10**6)),
        stream=StreamState(length, last, None, first if length else None),
        group=GroupState("g", 1, draw(st.integers(0, 9)), "0-0", None, draw(st.none() | st.integers(0, 99))),
        first_pending=draw(st.none() | ids),
        consumers=draw(st.lists(consumers, max_size=3)),
        first_unread=draw(st.none() | st.just(first) | ids) if length else None,
    )


@given(facts())
def test_a_count_is_only_believed_when_it_is_possible(found: Facts) -> None:
    count = known(found)

    if found.first_unread is None:
        assert count == 0
    elif count is not None:
        assert 0 < count <= found.stream.length


@given(facts())
def test_ages_are_never_negative_and_the_oldest_is_the_older_of_both(found: Facts) -> None:
    lag = judged(found, "s", known(found) or 0, exact=True)

    assert lag.oldest == max(lag.seconds, lag.oldest_pending) >= 0
    assert (lag.clock_behind > 0) == (found.now < EntryId.parse(found.stream.last_id).milliseconds)


@given(facts(), st.integers(1, 10**6))
def test_a_clock_that_goes_back_makes_nothing_look_younger_than_the_newest_id_says(
    found: Facts, step: int
) -> None:
    newest = EntryId.parse(found.stream.last_id).milliseconds
    before = judged(found._replace(now=newest), "s", 1, exact=True)
    after = judged(found._replace(now=newest - step), "s", 1, exact=True)

    assert (after.oldest, after.clock_behind) == (before.oldest, step / 1000)


@given(facts())
def test_whoever_holds_what_was_released_is_no_living_worker(found: Facts) -> None:
    only = [one for one in found.consumers if one.name == "released"]

    lag = judged(found._replace(consumers=only), "s", 0, exact=True)

    assert (lag.living, lag.silent) == (0, None)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 3), st.floats(0, 100), st.booleans())
def test_only_what_is_known_to_be_fresh_passes(
    oldest: float, behind: float, pending: int, limit: float, missing: bool
) -> None:
    one = Standing(
        application="a",
        group="g",
        stream="s",
        missing=missing,
        pending=pending,
        oldest=oldest,
        clock_behind=behind,
    )

    late = stale([one], limit)

    assert (late == []) == (not missing and oldest <= limit and (pending == 0 or behind <= limit))


@given(st.floats(0, 1000), st.integers(1, 5))
def test_an_age_that_can_not_be_asked_for_never_gets_smaller(told: float, asked: int) -> None:
    ages = Ages()
    assert ages.at("s", "g", None) is None

    assert ages.at("s", "g", told) == told
    unknown = [ages.at("s", "g", None) for _ in range(asked)]

    assert unknown == sorted(one for one in unknown if one is not None)
    assert unknown[0] is not None
    assert unknown[0] >= told
    assert ages.known == [("s", "g")]
