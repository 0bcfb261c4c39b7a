"""Which state of a backfill job may follow which."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from headwater.replay.states import FINAL, MOVES, READING, RETRIED, State, before

STATES: tuple[State, ...] = get_args(State)
state = st.sampled_from(STATES)


@given(state, state)
def test_a_state_is_entered_from_those_that_name_it_and_from_itself(old: State, new: State) -> None:
    assert (old in before(new)) == (new in MOVES[old] or old == new)


@given(st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=30))
def test_every_walk_that_does_not_end_can_be_ended_and_agreement_is_only_found_by_comparing(
    choices: list[int],
) -> None:
    walk: list[State] = ["queued"]
    for choice in choices:
        following = sorted(MOVES[walk[-1]])
        if following:
            walk.append(following[choice % len(following)])
    if walk[-1] not in FINAL:
        assert "cancelled" in MOVES[walk[-1]]
    for place, here in enumerate(walk):
        if here in {"verified", "diverged"}:
            assert walk[place - 2 : place] == ["catching_up", "verifying"]


@given(state)
def test_only_what_ended_badly_comes_back_and_only_to_the_start(one: State) -> None:
    assert MOVES[one] == (frozenset({"queued"}) if one in RETRIED else MOVES[one])
    if one in FINAL - RETRIED:
        assert not MOVES[one]


def test_what_can_pause_is_what_reads() -> None:
    assert {one for one in STATES if "paused" in MOVES[one]} == READING
