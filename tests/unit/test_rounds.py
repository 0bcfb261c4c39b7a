"""What counts as a loss, decided from what was acted upon before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.replay.agreeing import Signals
from headwater.replay.reconcile import first
from headwater.replay.rounds import loss

KEYS = st.lists(st.sampled_from("abc"), max_size=5)
SIGNALS = st.builds(Signals, st.integers(0, 3), st.sampled_from(["a", "b"]), st.integers(1, 2))


@given(SIGNALS, SIGNALS)
def test_anything_but_the_same_signals_is_a_loss_unless_gaps_only_became_fewer(
    before: Signals, now: Signals
) -> None:
    same = (before.sink, before.epoch) == (now.sink, now.epoch)

    assert bool(loss(before, now, open_gaps=False)) == (not same or now.gap > before.gap)


@given(SIGNALS, st.booleans())
def test_at_the_first_look_only_a_gap_that_is_not_closed_is_a_loss(now: Signals, open_gaps: bool) -> None:
    assert bool(loss(None, now, open_gaps=open_gaps)) == open_gaps


@given(
    st.lists(st.text(max_size=2), max_size=5), st.lists(st.text(max_size=2), max_size=5), st.integers(0, 12)
)
def test_no_more_keys_are_mended_than_there_is_room_for(one: list[str], other: list[str], room: int) -> None:
    found = first({"missing": one, "stale": other}, room)

    assert sum(map(len, found.values())) == min(room, len(one) + len(other))
    assert list(found.get("missing", [])) == one[:room]
