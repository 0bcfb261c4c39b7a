"""How far a stream may be trimmed, decided from where its groups are. Pure.

Always holds: what a group that holds its stream has not applied, unread or pending, is never below
the line, whatever its age.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headwater.broker import START, EntryId
from headwater.delivery.losses import before

_LAST_SEQUENCE = 2**64 - 1


class Keep(NamedTuple):
    """How much of a stream is kept."""

    seconds: float | None = None
    """What is younger stays; None: age says nothing."""
    entries: int | None = None
    """The newest so many stay; None: their number says nothing."""
    most: int | None = None
    """Beyond so many the oldest go, whoever has not read them; None: no such bound."""
    size: int | None = None
    """Beyond so many bytes the oldest go although they are young, but only what holders have applied."""
    applied: bool = False
    """What every group has applied goes, however young it is."""


class Reader(NamedTuple):
    """A group on one stream."""

    group: str
    app: str
    """Empty: declared nowhere."""
    floor: EntryId
    """Up to here it has applied everything."""
    holds: bool
    """Whether what is above its floor has to stay."""


def above(entry: EntryId) -> EntryId:
    """The smallest id above this one."""
    if entry.sequence < _LAST_SEQUENCE:
        return EntryId(entry.milliseconds, entry.sequence + 1)
    return EntryId(entry.milliseconds + 1, 0)


def applied(readers: Iterable[Reader], last: EntryId) -> EntryId:
    """Up to where everybody who holds the stream has applied it; `last` when nobody does."""
    return min((one.floor for one in readers if one.holds), default=last)


def outlived(now: int, seconds: float) -> EntryId:
    """The last id that is at least so many seconds old; `now` in milliseconds of the ids' clock."""
    return before(EntryId(max(0, now - math.ceil(seconds * 1000)), 0)) if seconds < now / 1000 else START


def beyond(length: int, used: int, size: int) -> int:
    """How many of the oldest entries go for `length` alike ones of `used` bytes to have `size` at most."""
    return 0 if used <= size else min(length, -(-length * (used - size) // used))


def line(readers: Sequence[Reader], last: EntryId, wanted: EntryId, *, all_applied: bool = False) -> EntryId:
    """Up to where a stream may go, of what age, number and bytes let go (`wanted`).

    `all_applied`: also of what they do not, as far as every group has it.
    """
    upto = min(applied(readers, last), wanted)
    return max(upto, min((one.floor for one in readers), default=upto)) if all_applied else upto


def passed_over(readers: Iterable[Reader], upto: EntryId) -> list[Reader]:
    """Groups that lose what they have not applied when everything up to there goes."""
    return [one for one in readers if one.floor < upto]


def silence(*heard: float | None) -> float:
    """Seconds since a group was heard of by any of these ways; 0 when it is seen for the first time."""
    return min((one for one in heard if one is not None), default=0.0)


def holds(app: str, silent: float, *, lease: float, undeclared_lease: float) -> bool:
    """Whether a group that was silent for so long still holds its streams."""
    return silent <= (lease if app else undeclared_lease)
