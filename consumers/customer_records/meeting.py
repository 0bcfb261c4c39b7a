"""What becomes of a record when the other side's copy of it arrives. Pure.

Each side counts its own edits; the two counts are the copy's *vector*. A copy whose vector holds the other's
is newer, and is taken as it is, without a new count: so two services never chase each other. Where neither
holds the other, both sides edited without knowing of it, and each field is looked at alone: it says by which
edit it came to be, and an edit that the other copy has counted was seen there and written over.

Always holds: both sides come to the same copy from the same two, in whatever order they arrive and however
often; a concurrent edit is told, also where each field has one obvious value.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

Side = Literal["auth", "customer"]
SIDES: tuple[Side, Side] = ("auth", "customer")
FIELDS = ("name", "email")
MOST_EDITS = 10**9
"""Of one side, that a copy from elsewhere may count: those of both and edits to come fit into the columns."""


class Vector(NamedTuple):
    """How many edits of each side a copy has in it."""

    auth: int = 0
    customer: int = 0

    @property
    def version(self) -> int:
        """What older peers see: grows with every edit of either side."""
        return self.auth + self.customer

    def counts(self, edit: Edit) -> bool:
        """Whether that edit is in it."""
        return edit.number <= (self.auth if edit.side == "auth" else self.customer)

    def holds(self, other: Vector) -> bool:
        """Whether every edit of the other is in it."""
        return self.auth >= other.auth and self.customer >= other.customer

    def joined(self, other: Vector) -> Vector:
        """The edits of both."""
        return Vector(max(self.auth, other.auth), max(self.customer, other.customer))

    def raised(self, side: Side) -> Vector:
        """With one more edit of a side."""
        return self._replace(**{side: getattr(self, side) + 1})


class Edit(NamedTuple):
    """Which edit gave a field its value."""

    side: Side
    number: int


class Field(NamedTuple):
    """A value, and the edit it came by."""

    value: str
    edit: Edit


class Copy(NamedTuple):
    """A record as one side has it. What was deleted is kept, and is not alive."""

    vector: Vector
    name: Field
    email: Field
    gone: Vector = Vector()
    """Every edit that somebody deleted, and the deletions themselves."""

    @property
    def sound(self) -> bool:
        """Whether it may have come to be as it says; else somebody made it up, or counts too far."""
        fields = (self.name.edit, self.email.edit)
        counted = self.vector.version > 0 and max(self.vector) <= MOST_EDITS
        return counted and self.vector.holds(self.gone) and all(self.vector.counts(one) for one in fields)

    @property
    def alive(self) -> bool:
        """Whether it has an edit that nobody deleted: one made elsewhere meanwhile keeps it alive."""
        return not self.gone.holds(self.vector)


class Verdict(Enum):
    """What another side's copy is to ours."""

    KNOWN = "nothing in it that we have not: dropped"
    NEWER = "all that we have, and more: taken as it is"
    CONCURRENT = "both sides edited: joined field by field, and told"


class Meeting(NamedTuple):
    """What to do."""

    verdict: Verdict
    copy: Copy
    """What to have from now on."""
    clashes: tuple[str, ...] = ()
    """Fields that both sides edited to different values: decided by preference, or left to somebody."""


def first(side: Side, name: str, email: str) -> Copy:
    """A record that a side has just made."""
    edit = Edit(side, 1)
    return Copy(Vector().raised(side), Field(name, edit), Field(email, edit))


def edited(copy: Copy, side: Side, **values: str) -> Copy:
    """The copy after an edit on one side, alive; the copy itself where nothing is new."""
    new = {name: value for name, value in values.items() if getattr(copy, name).value != value}
    if not new and copy.alive:
        return copy
    vector = copy.vector.raised(side)
    edit = Edit(side, getattr(vector, side))
    fields = {name: Field(value, edit) for name, value in new.items()}
    return Copy(vector, fields.get("name", copy.name), fields.get("email", copy.email), copy.gone)


def deleted(copy: Copy, side: Side) -> Copy:
    """The copy after one side deleted it; the copy itself where it is gone already."""
    vector = copy.vector.raised(side)
    return copy._replace(vector=vector, gone=vector) if copy.alive else copy


def meet(mine: Copy, theirs: Copy, prefer: Side | None) -> Meeting:
    """What becomes of our copy when theirs arrives.

    `prefer`: whose value counts where both sides edited one field; None leaves our copy as it is, and the
    difference to somebody who looks at it. A record that one side deletes while the other edits it lives on.
    """
    if mine.vector.holds(theirs.vector):
        return Meeting(Verdict.KNOWN, mine)
    if theirs.vector.holds(mine.vector):
        return Meeting(Verdict.NEWER, theirs)
    fields, clashes = {}, []
    for name in FIELDS:
        one, other = getattr(mine, name), getattr(theirs, name)
        fields[name], clash = _joined(one, other, (mine.vector, theirs.vector), prefer or "auth")
        if clash:
            clashes.append(name)
    if clashes and prefer is None:
        return Meeting(Verdict.CONCURRENT, mine, tuple(clashes))
    joined = Copy(mine.vector.joined(theirs.vector), **fields, gone=mine.gone.joined(theirs.gone))
    return Meeting(Verdict.CONCURRENT, joined, tuple(clashes))


def decided(copy: Copy, side: Side, names: tuple[str, ...]) -> Copy:
    """The copy after somebody on one side chose those values of fields.

    That is an edit: else two who choose differently on both sides would have two copies under one vector.
    """
    if not names:
        return copy
    vector = copy.vector.raised(side)
    edit = Edit(side, getattr(vector, side))
    return copy._replace(vector=vector, **{name: getattr(copy, name)._replace(edit=edit) for name in names})


def _joined(one: Field, other: Field, vectors: tuple[Vector, Vector], prefer: Side) -> tuple[Field, bool]:
    """A field from (mine, theirs), and whether both sides edited it without knowing of each other."""
    mine, theirs = vectors
    if one == other:
        return one, False
    if theirs.counts(one.edit):  # seen there, and written over
        return other, False
    if mine.counts(other.edit):
        return one, False
    winner = one if one.edit.side == prefer else other
    return winner, one.value != other.value
