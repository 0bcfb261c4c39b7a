"""Which names nobody uses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import ConsumerState
from headwater.broker.client import RELEASED
from headwater.broker.hygiene import unused

names = st.sampled_from(["crm-1", "crm-2", "host-17", RELEASED, ""])
states = st.lists(
    st.builds(ConsumerState, names, st.integers(0, 3), st.floats(0, 1000)), unique_by=lambda one: one.name
)


@given(states, st.sets(names), st.floats(0, 1000))
def test_a_name_is_unused_when_nobody_holds_it_and_it_was_silent_for_long_enough(
    known: list[ConsumerState], held: set[str], silent: float
) -> None:
    found = unused(known, held, silent)

    assert [one.name for one in found] == [
        one.name for one in known if one.name not in {*held, RELEASED, ""} and one.idle >= silent
    ]
