"""Before when nobody can bring an older copy of a thing to an application any more. Pure.

A copy waits in the outbox, stands on a stream or among the dead letters, or is on its way in a backfill. What
stands on a stream may have been said long before it was appended: by a relay that was down, or again from the
outbox. So every look at the outbox is remembered, and the oldest thing it had *before* an entry was appended
is how old that entry's content can be at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

MARGIN = timedelta(days=1)
"""For clocks that differ, for what is in hand at the moment, for a producer that says something again."""
HIDDEN = (
    "a transaction that says something now is prepared, or another role's, whose age this one may not see: "
    "GRANT pg_read_all_stats to it"
)


class Age(NamedTuple):
    """One look at the outbox."""

    at: datetime
    said: datetime
    """When the oldest thing in it was said; the time of the look when it was empty."""


class Carriers(NamedTuple):
    """What can still bring an older copy."""

    outbox: datetime | None
    """When the oldest thing in the outbox was said; None: that can not be seen."""
    entry: datetime | None
    """When the oldest entry of its streams, or of a dead letter that is not settled, was appended."""
    job: datetime | None
    """When the oldest backfill was asked for that runs, or whose entries may still stand somewhere."""


class Horizon(NamedTuple):
    """What was applied before this has no older copy anywhere; None: that is not known yet."""

    before: datetime | None
    why: str
    """What holds it where it is."""


def said_since(entry: datetime, ages: Iterable[Age]) -> datetime | None:
    """Nothing older than this can be in an entry appended then; None when nobody looked before."""
    return max((one.said for one in ages if one.at <= entry), default=None)


def horizon(carriers: Carriers, ages: Iterable[Age], *, margin: timedelta = MARGIN) -> Horizon:
    """How far back copies reach, less a margin."""
    if carriers.outbox is None:
        return Horizon(None, HIDDEN)
    bounds = [(carriers.outbox, "the oldest row of the outbox")]
    if carriers.job is not None:
        bounds.append((carriers.job, "a backfill that runs, or whose entries still stand"))
    if carriers.entry is not None:
        said = said_since(carriers.entry, ages)
        if said is None:
            return Horizon(None, "entries from before the first look at the outbox")
        bounds.append((said, "the oldest entry or dead letter"))
    first, why = min(bounds)
    return Horizon(first - margin, why)


def cutoff(now: datetime, keep: float, floor: Horizon) -> datetime | None:
    """Before when a mark may go that is kept for `keep` seconds at least; None: none may."""
    wanted = now - timedelta(seconds=keep)
    return None if floor.before is None else min(wanted, floor.before)
