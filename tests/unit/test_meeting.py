"""Two services edit one record: what becomes of the copies, over histories of every kind."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.customer_records.meeting import (
    SIDES,
    Copy,
    Edit,
    Field,
    Side,
    Vector,
    Verdict,
    decided,
    deleted,
    edited,
    first,
    meet,
)

START = first("auth", "Ada", "ada@acme.example")


def shown(copy: Copy) -> tuple[object, ...]:
    return (copy.name.value, copy.email.value, copy.alive)


class Sides:
    """Two sides and what is on its way between them: late, twice, out of order, or never."""

    def __init__(self, prefer: Side | None, seed: int) -> None:
        self.chance = Random(seed)
        self.prefer = prefer
        self.copies: dict[Side, Copy] = dict.fromkeys(SIDES, START)
        self.way: list[tuple[Side, Copy]] = []
        self.edits = self.writes = 0
        self.told: set[tuple[Vector, Vector]] = set()
        self.concurrent: set[tuple[Vector, Vector]] = set()

    def edit(self, side: Side) -> None:
        change = self.chance.choice(["name", "email", "deletion"])
        before = self.copies[side]
        if change == "deletion":
            self.copies[side] = deleted(before, side)
        else:
            self.copies[side] = edited(before, side, **{change: f"{change} {self.chance.randint(1, 4)}"})
        if self.copies[side] != before:
            self.edits += 1
            self.send(side)

    def send(self, side: Side) -> None:
        other: Side = "customer" if side == "auth" else "auth"
        self.way += [(other, self.copies[side])] * self.chance.choice([0, 1, 1, 2])

    def arrive(self) -> None:
        to, copy = self.way.pop(self.chance.randrange(len(self.way)))
        self.take(to, copy)

    def take(self, to: Side, copy: Copy) -> None:
        mine = self.copies[to]
        pair = (mine.vector, copy.vector)
        meeting = meet(mine, copy, self.prefer)
        if not (mine.vector.holds(copy.vector) or copy.vector.holds(mine.vector)):
            self.concurrent.add(pair)
        if meeting.verdict is Verdict.CONCURRENT:
            self.told.add(pair)
        if meeting.copy != mine:
            self.writes += 1
            self.copies[to] = meeting.copy

    def rest(self) -> None:
        """The ways are whole again: each side sends what it has until nothing changes."""
        self.way.clear()
        for _ in range(3):
            for side in SIDES:
                other: Side = "customer" if side == "auth" else "auth"
                self.take(other, self.copies[side])


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(SIDES))
def test_every_history_converges_tells_each_concurrent_edit_and_then_writes_nothing(
    seed: int, prefer: Side
) -> None:
    sides = Sides(prefer, seed)
    for _ in range(sides.chance.randint(0, 40)):
        if sides.way and sides.chance.random() < 0.5:
            sides.arrive()
        else:
            sides.edit(sides.chance.choice(SIDES))
    sides.rest()

    assert sides.copies["auth"] == sides.copies["customer"]
    assert sides.told == sides.concurrent
    writes = sides.writes
    sides.rest()
    assert sides.writes == writes
    assert writes <= 2 * (sides.edits + 1)


@given(st.integers(0, 2**32), st.sampled_from(SIDES))
def test_both_sides_join_two_copies_to_the_same_one_and_joining_it_again_changes_nothing(
    seed: int, prefer: Side
) -> None:
    sides = Sides(None, seed)
    for _ in range(sides.chance.randint(1, 12)):
        sides.edit(sides.chance.choice(SIDES))
        if sides.way and sides.chance.random() < 0.3:
            sides.arrive()
    mine, theirs = sides.copies["auth"], sides.copies["customer"]

    here, there = meet(mine, theirs, prefer), meet(theirs, mine, prefer)

    joined = here.copy if here.verdict is not Verdict.KNOWN else mine
    assert joined == (there.copy if there.verdict is not Verdict.KNOWN else theirs)
    assert here.clashes == there.clashes
    assert meet(joined, mine, prefer).verdict is Verdict.KNOWN
    assert meet(joined, theirs, prefer).verdict is Verdict.KNOWN


def test_edits_of_different_fields_are_both_kept_and_told() -> None:
    mine, theirs = edited(START, "auth", name="Ada B."), edited(START, "customer", email="b@acme.example")

    meeting = meet(mine, theirs, None)

    assert meeting.verdict is Verdict.CONCURRENT
    assert meeting.clashes == ()
    assert shown(meeting.copy) == ("Ada B.", "b@acme.example", True)
    assert meeting.copy.vector == Vector(2, 1)


@pytest.mark.parametrize(("prefer", "name"), [("auth", "A"), ("customer", "C")])
def test_where_both_edited_one_field_the_preferred_side_counts(prefer: Side, name: str) -> None:
    meeting = meet(edited(START, "auth", name="A"), edited(START, "customer", name="C"), prefer)

    assert (meeting.clashes, meeting.copy.name.value) == (("name",), name)


def test_without_a_preference_our_copy_stays_as_it_is_until_somebody_decides() -> None:
    mine, theirs = edited(START, "auth", name="A"), edited(START, "customer", name="C")
    meeting = meet(mine, theirs, None)
    assert (meeting.copy, meeting.clashes) == (mine, ("name",))

    decided = edited(mine._replace(vector=mine.vector.joined(theirs.vector)), "auth", name="B")

    assert meet(theirs, decided, None).verdict is Verdict.NEWER


def test_the_same_edit_on_both_sides_is_told_and_is_no_clash() -> None:
    meeting = meet(edited(START, "auth", name="B"), edited(START, "customer", name="B"), None)

    assert (meeting.verdict, meeting.clashes) == (Verdict.CONCURRENT, ())
    assert meeting.copy.name.value == "B"


def test_a_record_deleted_on_one_side_and_edited_on_the_other_lives_on() -> None:
    removed, changed = deleted(START, "auth"), edited(START, "customer", name="C")
    for one, other in ((removed, changed), (changed, removed)):
        assert shown(meet(one, other, None).copy) == ("C", "ada@acme.example", True)
    assert not meet(changed, deleted(changed, "auth"), None).copy.alive


def test_a_record_that_both_sides_deleted_is_gone_and_comes_back_with_the_next_edit() -> None:
    both = meet(deleted(START, "auth"), deleted(START, "customer"), None).copy
    assert not both.alive
    assert deleted(both, "auth") is both
    assert edited(both, "auth", name="Ada").alive


def test_what_changes_nothing_counts_as_no_edit() -> None:
    assert edited(START, "customer", name="Ada") is START
    assert START.vector.version == 1
    assert START.name == Field("Ada", Edit("auth", 1))


@given(st.sampled_from(SIDES), st.sampled_from(SIDES))
def test_two_who_decide_at_once_have_the_same_in_the_end_and_are_told_of_each_other(
    first_choice: Side, second_choice: Side
) -> None:
    copies = {side: edited(START, side, name=f"Ada of {side}") for side in SIDES}
    choices = dict(zip(SIDES, (first_choice, second_choice), strict=True))
    chosen: dict[Side, Copy] = {}
    for side, other in (SIDES, SIDES[::-1]):
        met = meet(copies[side], copies[other], choices[side])
        chosen[side] = decided(met.copy, side, met.clashes)

    ends = [meet(chosen[one], chosen[other], "auth") for one, other in (SIDES, SIDES[::-1])]

    assert ends[0].copy == ends[1].copy
    assert {end.verdict for end in ends} == {Verdict.CONCURRENT}
    assert all(bool(end.clashes) == (first_choice != second_choice) for end in ends)


def test_a_decision_about_nothing_is_no_edit() -> None:
    assert decided(START, "customer", ()) == START
