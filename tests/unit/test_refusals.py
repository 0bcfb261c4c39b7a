"""What a refusing stream holds back, and what it does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import BrokerRefused, BrokerUnavailable, HeadwaterError
from headwater.publish.moving import fate
from headwater.publish.refusals import Refusals

STREAMS = st.sampled_from(["a", "b", "c"])
REPLIES = st.one_of(st.just("1-1"), st.just(BrokerRefused("WRONGTYPE")), st.just(BrokerUnavailable("OOM")))


def refusing() -> Refusals:
    refusals = Refusals(pace=float)
    refusals.refused("a", "WRONGTYPE", 0.0)
    return refusals


def test_a_stream_that_refuses_lets_nothing_pass_and_others_everything() -> None:
    refusals = refusing()

    assert not refusals.lets("a", 1)
    assert refusals.lets("b", 1)
    assert refusals.error == "WRONGTYPE"


def test_after_its_pause_one_row_is_let_through_and_if_that_is_taken_all_are() -> None:
    refusals = refusing()
    assert refusals.due(0.9) == []
    assert refusals.due(1.0) == ["a"]

    refusals.on_trial("a", 7)

    assert [refusals.lets("a", row) for row in (6, 7, 8)] == [False, True, False]
    assert refusals.due(2.0) == []
    assert refusals.taken("a")
    assert refusals.lets("a", 8)
    assert not refusals


def test_a_row_that_is_refused_again_makes_the_pause_longer() -> None:
    refusals = refusing()
    refusals.on_trial("a", 7)

    refusals.refused("a", "WRONGTYPE", 1.0)

    assert refusals.next_trial(1.0) == 2.0
    assert not refusals.lets("a", 7)


def test_many_refusals_of_one_pipeline_are_one() -> None:
    refusals = refusing()

    for _ in range(500):
        refusals.refused("a", "WRONGTYPE", 0.1)

    assert refusals.next_trial(0.0) == 1.0


def test_a_trial_that_no_stream_decided_comes_again() -> None:
    refusals = refusing()
    refusals.on_trial("a", 7)

    refusals.no_trial([8, 9], 5.0)
    assert refusals.due(5.0) == []
    refusals.no_trial([7], 5.0)

    assert refusals.due(5.0) == ["a"]


def test_a_stream_for_which_nothing_waits_any_more_refuses_no_more() -> None:
    refusals = refusing()

    refusals.on_trial("a", None)

    assert refusals.lets("a", 1)
    assert refusals.next_trial(0.0) is None


@given(
    st.lists(STREAMS, unique=True, max_size=3),
    st.dictionaries(STREAMS, REPLIES, max_size=3),
    st.sampled_from(["", None, "d@1-0"]),
)
def test_a_row_counts_as_published_only_when_every_stream_it_goes_to_has_it(
    wanted: list[str], replies: dict[str, str | HeadwaterError], known: str | None
) -> None:
    answers = [(stream, reply) for stream, reply in replies.items() if stream in wanted]

    found = fate(known, wanted, answers)

    taken = {stream for stream, reply in answers if isinstance(reply, str)}
    if any(isinstance(reply, BrokerUnavailable) for _, reply in answers):
        assert found is None
        return
    assert found is not None
    entries, refusing = found
    assert (refusing is None) == (taken == set(wanted))
    assert refusing not in taken
    assert {part.rpartition("@")[0] for part in entries.split()} == taken | ({"d"} if known else set())
