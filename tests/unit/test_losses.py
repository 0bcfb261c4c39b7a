"""Losses decided from what two looks saw, against a stream played entry by entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.broker import START, EntryId, Seen
from headwater.delivery import losses
from headwater.delivery.losses import Beats, Mark

ids = st.builds(EntryId, st.integers(0, 50), st.integers(0, 50))
steps = st.lists(st.sampled_from(["add", "read", "settle", "trim", "look"]), max_size=60)


class Played:
    """A stream of one group, as Redis 7.0 keeps it: its group counts what it was given."""

    def __init__(self) -> None:
        self.entries: list[int] = []
        self.added = self.read = self.delivered = 0
        self.pending: list[int] = []
        self.applied: set[int] = set()
        self.unread_gone: set[int] = set()

    def do(self, step: str) -> None:
        if step == "add":
            self.added += 1
            self.entries.append(self.added)
        elif step == "read":
            for entry in [one for one in self.entries if one > self.delivered][:2]:
                self.delivered, self.read = entry, self.read + 1
                self.pending.append(entry)
        elif step == "settle" and self.pending:
            self.applied.add(self.pending.pop(0))
        elif step == "trim" and self.entries:
            gone = self.entries.pop(0)
            if gone > self.delivered:
                self.unread_gone.add(gone)

    def seen(self) -> Seen:
        first = EntryId(self.entries[0], 0) if self.entries else None
        oldest = EntryId(min(self.pending), 0) if self.pending else None
        return Seen(
            self.added,
            len(self.entries),
            first,
            EntryId(self.added, 0),
            START,
            EntryId(self.delivered, 0),
            self.read,
            len(self.pending),
            oldest,
        )


def seen(last: int = 9, added: int = 9, **other: object) -> Seen:
    known = Seen(added, added, EntryId(1, 0), EntryId(last, 0), START, EntryId(last, 0), added)
    return known._replace(**other)


@given(steps)
def test_what_was_trimmed_unread_is_counted_exactly_and_once(plan: list[str]) -> None:
    stream, counted = Played(), 0
    mark = losses.marked(None, stream.seen())
    for step in [*plan, *["read"] * len(plan), "look"]:
        stream.do(step)
        if step == "look":
            loss = losses.compare(mark, stream.seen())
            counted += loss.entries if loss else 0
            mark = losses.marked(mark, stream.seen())

    assert counted == len(stream.unread_gone)


@given(steps)
def test_everything_up_to_the_floor_was_applied_or_lost_before(plan: list[str]) -> None:
    stream = Played()
    for step in plan:
        stream.do(step)
        floor = losses.floor(stream.seen())

        below = {entry for entry in range(1, stream.added + 1) if EntryId(entry, 0) <= floor}
        assert below <= stream.applied | stream.unread_gone


@given(steps, steps)
def test_what_is_lost_later_lies_above_the_floor_of_the_look_before(
    early: list[str], late: list[str]
) -> None:
    stream = Played()
    for step in [*early, *["read"] * 60]:
        stream.do(step)
    mark, before = losses.marked(None, stream.seen()), set(stream.unread_gone)
    for step in [*late, *["read"] * 120]:
        stream.do(step)

    loss = losses.compare(mark, stream.seen())
    assert (loss is not None) == (stream.unread_gone != before)
    if loss is not None:
        assert all(EntryId(entry, 0) > loss.since for entry in stream.unread_gone - before)


@given(steps)
def test_a_stream_that_goes_on_never_looks_like_another_one(plan: list[str]) -> None:
    stream, mark = Played(), None
    for step in plan:
        stream.do(step)
        if mark is not None:
            assert not losses.regressed(mark, stream.seen())
        mark = losses.marked(mark, stream.seen())


@given(st.integers(0, 8), st.integers(0, 8))
def test_a_stream_that_has_less_than_before_is_another_one(last: int, added: int) -> None:
    mark = Mark(9, EntryId(9, 0), START, 0, EntryId(7, 0), 2)

    loss = losses.compare(mark, seen(last, added))

    assert loss == ("stream_regressed", 2, EntryId(7, 0))


def test_a_deletion_by_hand_is_not_taken_for_a_trim_and_does_not_hide_a_later_one() -> None:
    mark = losses.marked(None, seen(added=9, read=4))
    by_hand = seen(added=9, read=9, length=5, deleted=EntryId(8, 0))
    later = by_hand._replace(added=12, last=EntryId(12, 0), first=EntryId(12, 0), length=1)

    assert losses.compare(mark, by_hand) is None
    after = losses.marked(mark, by_hand)
    assert losses.compare(after, later) == ("trimmed_unread", 2, after.floor)


def test_an_unknown_count_says_nothing() -> None:
    mark = losses.marked(None, seen())

    assert losses.compare(mark, seen(read=None, length=0)) is None
    assert losses.marked(mark._replace(trimmed=3), seen(read=None)).trimmed == 3


@given(ids)
def test_the_id_before_is_smaller_and_nothing_lies_between(entry: EntryId) -> None:
    smaller = losses.before(entry)

    assert smaller < entry or entry == START
    if entry.sequence:
        assert smaller == EntryId(entry.milliseconds, entry.sequence - 1)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_whoever_is_behind_what_the_other_surely_had_has_forgotten(
    ours: int, heard: int, theirs: int
) -> None:
    found = losses.forgetful(Beats(ours, min(heard, ours), theirs))

    assert (found == "sink") == (theirs > ours)
    assert (found == "redis") == (theirs < min(heard, ours))


@given(st.lists(ids, min_size=1))
def test_what_covers_gaps_begins_at_the_earliest(since: list[EntryId]) -> None:
    assert all(losses.covering(since) <= one for one in since)
    assert losses.covering(since) in since


def test_reading_again_brings_back_only_what_is_still_there() -> None:
    assert losses.whole(seen(), START)
    assert losses.whole(seen(length=3, first=EntryId(7, 0)), EntryId(7, 0))
    assert not losses.whole(seen(length=3, first=EntryId(7, 0)), EntryId(6, 0))
    assert not losses.whole(seen(deleted=EntryId(5, 0)), EntryId(4, 0))
    assert losses.passed(seen(), EntryId(9, 0))
    assert not losses.passed(seen(oldest=EntryId(9, 0), pending=1), EntryId(9, 0))
