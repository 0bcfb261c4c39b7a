"""Whether something was lost, decided from what two looks at Redis saw. Pure.

A group's *floor* is the entry up to which everything was applied: an entry leaves the pending list
only after its transaction. So whatever a later look finds missing lies above the floor of the look
before, and reading or saying again from there brings all of it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from headwater.broker import START, EntryId, Seen

Kind = Literal["deleted_while_pending", "trimmed_unread", "group_missing", "stream_regressed", "sink_changed"]
KINDS: tuple[Kind, ...] = (
    "deleted_while_pending",
    "trimmed_unread",
    "group_missing",
    "stream_regressed",
    "sink_changed",
)
"""How entries can be lost. Dead letters are no loss: they stand in the application's database."""

_LAST_SEQUENCE = 2**64 - 1


class Mark(NamedTuple):
    """What is remembered of a look."""

    added: int
    last: EntryId
    deleted: EntryId
    trimmed: int
    """Unread entries that were already counted as trimmed."""
    floor: EntryId
    unsettled: int
    """Entries that the group had still to settle."""


class Loss(NamedTuple):
    """Entries that are gone, or may be."""

    kind: Kind
    entries: int
    """At least so many, except for `trimmed_unread`."""
    since: EntryId
    """Everything up to here was applied."""


def before(entry: EntryId) -> EntryId:
    """The largest id below this one; of the smallest, itself."""
    if entry.sequence:
        return EntryId(entry.milliseconds, entry.sequence - 1)
    return EntryId(entry.milliseconds - 1, _LAST_SEQUENCE) if entry.milliseconds else START


def floor(seen: Seen) -> EntryId:
    """Up to where everything was applied."""
    return seen.delivered if seen.oldest is None else min(seen.delivered, before(seen.oldest))


def unread_trimmed(seen: Seen) -> int | None:
    """Entries that were trimmed away before the group read them; None when that can not be told now.

    What a group was given is `read`; of the entries ever added the others are unread or lost. How many
    are unread is known while nothing that was read is left, and when everything was read.

    Redis 7.0 goes on counting what it gave out, so this adds up over the group's life. Later servers let
    the count jump over a hole with the next read: there it is the hole in front of the group now.
    """
    if seen.read is None:
        return None
    if seen.first is None or seen.first > seen.delivered:
        return max(0, seen.added - seen.length - seen.read)
    return max(0, seen.added - seen.read) if seen.delivered >= seen.last else None


def unsettled(seen: Seen) -> int:
    """Entries the group had still to settle, as far as Redis can tell."""
    waiting = 0 if seen.read is None else max(0, min(seen.length, seen.added - seen.read))
    return waiting + seen.pending


def marked(mark: Mark | None, seen: Seen) -> Mark:
    """What to remember of this look."""
    trimmed = unread_trimmed(seen)
    if trimmed is None:
        trimmed = mark.trimmed if mark else 0
    return Mark(seen.added, seen.last, seen.deleted, trimmed, floor(seen), unsettled(seen))


def regressed(mark: Mark, seen: Seen) -> bool:
    """Whether the stream is another one than at the last look, or an older state of it."""
    return seen.last < mark.last or seen.added < mark.added


def regression(mark: Mark) -> Loss:
    """What a stream that forgot its last entries lost, as far as was known."""
    return Loss("stream_regressed", max(1, mark.unsettled), mark.floor)


def compare(mark: Mark | None, seen: Seen) -> Loss | None:
    """What was lost on one stream since the last look; of a first look, what was trimmed before it."""
    if mark is not None and regressed(mark, seen):
        return regression(mark)
    counted = unread_trimmed(seen)
    # Whoever deletes entries one by one makes the figures say less: then only what is trimmed later counts.
    known = seen.deleted == (mark.deleted if mark else START)
    more = 0 if counted is None or not known else counted - _base(mark, counted)
    if more > 0:
        return Loss("trimmed_unread", more, mark.floor if mark else floor(seen))
    return None


def _base(mark: Mark | None, counted: int) -> int:
    # Less than before: the group's count jumped over the hole that was counted, and what is there now is new.
    return mark.trimmed if mark and counted >= mark.trimmed else 0


def whole(seen: Seen, since: EntryId) -> bool:
    """Whether the stream still has everything above `since`, so that reading again brings it back."""
    if seen.deleted > since:
        return False
    return seen.added == seen.length or (seen.first is not None and seen.first <= since)


def passed(seen: Seen, until: EntryId) -> bool:
    """Whether the group has applied everything up to `until`."""
    return floor(seen) >= until


class Beats(NamedTuple):
    """The count that Redis and the application's database keep for each other."""

    ours: int
    """As the database has it."""
    heard: int
    """What Redis surely had at the look before."""
    theirs: int
    """As Redis has it; 0 when it has none."""


def forgetful(beats: Beats) -> Literal["", "redis", "sink"]:
    """Who of the two is behind: restored, failed over to an older copy, or emptied.

    Redis is told after the database committed, and may miss the last one; so it is compared with what
    was heard from it, never with what it was told.
    """
    if beats.theirs > beats.ours:
        return "sink"
    return "redis" if beats.theirs < beats.heard else ""


def covering(since: Iterable[EntryId]) -> EntryId:
    """From where everything has to come again that any of the gaps misses."""
    return min(since, default=START)
