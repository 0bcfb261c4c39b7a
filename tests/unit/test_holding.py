"""How far a stream may go, for any groups: nothing that a holding group lacks is below the line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import EntryId, Seen
from headwater.broker.clearing import first_lacking
from headwater.delivery.losses import before, floor
from headwater.retention.holding import (
    Reader,
    above,
    applied,
    beyond,
    holds,
    line,
    outlived,
    passed_over,
    silence,
)
from headwater.retention.losing import missed

ids = st.builds(EntryId, st.integers(0, 30), st.integers(0, 3))
sure = st.builds(EntryId, st.integers(0, 2**53), st.integers(0, 2**64 - 1))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[EntryId], dict[str, tuple[EntryId, set[EntryId], bool]]]:
    """Entries, and for each group what it was given, what of it is pending, whether it holds."""
    entries = sorted(draw(st.sets(ids.filter(lambda one: one > EntryId(0, 0)), min_size=1, max_size=20)))
    groups = {}
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True)):
        given_out = draw(st.integers(0, len(entries)))
        pending = draw(st.sets(st.sampled_from(entries[:given_out]))) if given_out else set()
        delivered = entries[given_out - 1] if given_out else EntryId(0, 0)
        groups[name] = (delivered, pending, draw(st.booleans()))
    return entries, groups


def seen(entries: list[EntryId], delivered: EntryId, pending: set[EntryId]) -> Seen:
    count = len(entries)
    oldest = min(pending, default=None)
    start = EntryId(0, 0)
    return Seen(count, count, entries[0], entries[-1], start, delivered, None, len(pending), oldest)


def readers(entries: list[EntryId], groups: dict[str, tuple[EntryId, set[EntryId], bool]]) -> list[Reader]:
    return [
        Reader(name, "app", floor(seen(entries, delivered, pending)), held)
        for name, (delivered, pending, held) in groups.items()
    ]


@given(worlds(), ids)
def test_nothing_that_a_holding_group_lacks_goes_and_what_others_lack_is_told(
    world: tuple[list[EntryId], dict[str, tuple[EntryId, set[EntryId], bool]]], wanted: EntryId
) -> None:
    entries, groups = world
    found = readers(entries, groups)
    upto = line(found, entries[-1], wanted)
    gone = [one for one in entries if one <= upto]
    over = {one.group for one in passed_over(found, upto)}

    assert upto <= wanted
    for name, (delivered, pending, held) in groups.items():
        lacks = missed(gone, delivered, pending)
        assert set(lacks.unread).isdisjoint(lacks.pending)
        assert lacks.entries == len({one for one in gone if one > delivered or one in pending})
        if held:
            assert lacks.entries == 0
            assert name not in over
        elif lacks.entries:
            assert name in over


@given(worlds(), ids)
def test_what_every_group_has_applied_may_go_at_once_and_nothing_more_for_it(
    world: tuple[list[EntryId], dict[str, tuple[EntryId, set[EntryId], bool]]], wanted: EntryId
) -> None:
    entries, groups = world
    found = readers(entries, groups)
    plain = line(found, entries[-1], wanted)
    upto = line(found, entries[-1], wanted, all_applied=True)
    least = first_lacking(seen(entries, delivered, pending) for delivered, pending, _ in groups.values())

    for delivered, pending, _ in groups.values():
        lacks = missed([one for one in entries if one <= upto], delivered, pending)
        assert all(one <= plain for one in (*lacks.unread, *lacks.pending))
    if least is not None:
        assert [one for one in entries if one < least] == [
            one
            for one in entries
            if all(
                one <= delivered and one < min(pending, default=above(one))
                for delivered, pending, _ in groups.values()
            )
        ]
        assert all(one <= upto for one in entries if one < least)


@given(worlds())
def test_everything_that_all_have_applied_may_go(
    world: tuple[list[EntryId], dict[str, tuple[EntryId, set[EntryId], bool]]],
) -> None:
    entries, groups = world
    upto = applied(readers(entries, groups), entries[-1])
    holding = [(delivered, pending) for delivered, pending, held in groups.values() if held]
    free = [one for one in entries if all(one <= d and one < min(p, default=above(d)) for d, p in holding)]

    assert [one for one in entries if one <= upto] == free


@given(sure)
def test_the_next_id_is_the_one_above(one: EntryId) -> None:
    assert above(one) > one
    assert before(above(one)) == one


@given(st.integers(0, 2**45), st.floats(0, 2**34), ids)
def test_only_what_is_old_enough_is_outlived(now: int, seconds: float, entry: EntryId) -> None:
    if entry <= outlived(now, seconds) and entry > EntryId(0, 0):
        assert now - entry.milliseconds >= seconds * 1000


def test_the_first_sight_of_a_group_begins_its_lease() -> None:
    assert silence(None, None, None) == 0.0
    assert silence(None, 30.0, 20.0) == 20.0


def test_a_lease_is_that_of_the_declaration() -> None:
    assert holds("crm", 60.0, lease=60.0, undeclared_lease=0.0)
    assert not holds("", 60.0, lease=60.0, undeclared_lease=0.0)
    assert not holds("crm", 61.0, lease=60.0, undeclared_lease=100.0)


@given(length=st.integers(1, 10**7), used=st.integers(1, 10**12), size=st.integers(0, 10**12))
def test_what_goes_for_its_bytes_is_as_few_entries_as_do(length: int, used: int, size: int) -> None:
    gone = beyond(length, used, size)

    assert 0 <= gone <= length
    assert (length - gone) * used <= size * length or used <= size
    assert gone == 0 or (length - gone + 1) * used > size * length
