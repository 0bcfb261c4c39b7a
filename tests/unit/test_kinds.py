"""How a key differs is decided from what both sides showed; what is only on its way is no difference."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.replay.kinds import KINDS, NOTHING, Held, Sighting, agrees, by_kind, kind

VERSION = st.integers(1, 6)
HELD = st.builds(Held, st.none() | VERSION, st.booleans(), st.booleans()).map(
    lambda one: one if one.version is not None else one._replace(gone=False)
)
STEPS = st.lists(st.booleans(), min_size=1, max_size=8)
"""A key's life: each step is a state that is there, or one that is gone."""


def life(steps: list[bool]) -> list[tuple[int, bool]]:
    """Versions grow with each step; whether the row is there."""
    return list(enumerate(steps, 1))


def said(state: tuple[int, bool]) -> int | None:
    version, there = state
    return version if there else None


def applied(state: tuple[int, bool]) -> Held:
    version, there = state
    return Held(version, gone=not there, row=there)


def test_each_kind_has_its_picture() -> None:
    assert kind(2, Held(2, row=True)) is None
    assert kind(2, NOTHING) == "missing"
    assert kind(2, Held(2)) == "missing", "the ledger says it is applied, and the row is gone"
    assert kind(2, Held(row=True)) == "missing", "a row that nobody said: the source's state is missing"
    assert kind(2, Held(1, gone=True)) == "missing", "a tombstone is as good as no line"
    assert kind(2, Held(1, row=True)) == "stale"
    assert kind(2, Held(3, row=True)) == "ahead"
    assert kind(2, Held(2, gone=True)) == "ahead", "the gate would turn the row away for ever"
    assert kind(2, Held(3)) == "ahead"
    assert kind(None, Held(1, row=True)) == "orphan"
    assert kind(None, Held(1, gone=True, row=True)) == "orphan", "a row beside its tombstone"
    assert kind(None, Held(row=True)) == "untracked"
    assert kind(None, Held(1, gone=True)) is None
    assert kind(None, NOTHING) is None


@given(st.none() | VERSION, HELD)
def test_a_key_has_a_kind_exactly_when_its_two_sides_do_not_show_the_same(
    source: int | None, held: Held
) -> None:
    found = kind(source, held)

    assert (found is None) == agrees([source], held)
    assert found is None or found in KINDS


@given(st.none() | VERSION, HELD)
def test_a_tombstone_that_was_collected_changes_nothing_but_what_it_keeps_away(
    source: int | None, held: Held
) -> None:
    if held.gone and not held.row and (source is None or held.version is None or held.version < source):
        assert kind(source, held) == kind(source, NOTHING)


@given(STEPS, st.data())
def test_an_application_that_only_lags_is_never_called_different(
    steps: list[bool], data: st.DataObject
) -> None:
    """Both sides are seen at any moments; at the last look everything said before the first was applied."""
    states = life([True, *steps])
    if not all(there for _, there in states):
        last = first = len(states) - 1
    else:
        first = data.draw(st.integers(0, len(states) - 1))
        last = data.draw(st.integers(first, len(states) - 1))
    begin = data.draw(st.integers(0, first))
    sighting = Sighting()
    early = {"key": applied(states[data.draw(st.integers(0, begin))])}
    sighting.look(["key"], seen(states[begin]), early)
    sighting.look(sighting.differing, seen(states[first]), {"key": applied(states[first])})
    sighting.look(sighting.differing, seen(states[last]), {"key": applied(states[last])})

    assert sighting.differing == []
    assert sighting.kinds() == {}


def seen(state: tuple[int, bool]) -> dict[str, int]:
    version = said(state)
    return {} if version is None else {"key": version}


@given(st.none() | VERSION, HELD, st.integers(1, 4))
def test_a_difference_that_stays_is_named_by_its_kind_however_often_it_is_looked_at(
    source: int | None, held: Held, looks: int
) -> None:
    sighting = Sighting()
    there = {} if source is None else {"key": source}

    keys = ["key"]
    for _ in range(looks):
        sighting.look(keys, there, {"key": held})
        keys = sighting.differing
    sighting.source_again(there)

    expected = kind(source, held)
    assert sighting.kinds() == ({} if expected is None else {"key": expected})


def test_a_last_look_at_the_source_alone_explains_what_the_application_had_first() -> None:
    sighting = Sighting()
    sighting.look(["key"], {"key": 1}, {"key": Held(2, row=True)})
    assert sighting.kinds() == {"key": "ahead"}

    sighting.source_again({"key": 3})

    assert sighting.kinds() == {}


def test_keys_are_sorted_by_kind() -> None:
    assert by_kind({"b": "stale", "a": "stale", "c": "orphan"}) == {"stale": ["a", "b"], "orphan": ["c"]}
