"""Let an application read again what it was given before: its group goes back, never forward.

Nothing is skipped and nothing is doubled: what is pending stays pending, and what was applied is
dropped by the gates. Entries that are no longer in the stream do not come back.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from headwater.broker import START, Broker, EntryId, Seen, look
from headwater.delivery.losses import before, whole
from headwater.errors import GroupMissing, HeadwaterError

_PAGE = 1_000
TRIES = 5
"""Times that a group is put back again when the stream was trimmed in that moment."""

Goal = EntryId | datetime | float
"""The last entry not to be read again; a time from which on it is; or so many seconds ago."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group goes back on one stream."""

    stream: str
    since: str
    """Where the group is."""
    to: str
    """Where it goes; the same when it stays."""
    entries: int
    """Entries that are read again."""
    whole: bool
    """False: some of what stood there was trimmed or deleted since, and does not come back."""
    read: int | None
    """Entries read, as Redis is told; None when it can not be told."""


def above(goal: Goal, now: int) -> EntryId:
    """The last entry that is not read again, by the server's time in milliseconds. Pure."""
    if isinstance(goal, EntryId):
        return goal
    start = goal.timestamp() * 1000 if isinstance(goal, datetime) else now - goal * 1000
    return before(EntryId(max(0, int(start)), 0))


def count_read(seen: Seen, to: EntryId, behind: int) -> int | None:
    """Entries up to `to` that were ever added, with `behind` of them after it; None when nobody knows. Pure.

    What is appended meanwhile changes nothing: it is added and behind at once.
    """
    return None if seen.deleted > to else max(0, seen.added - behind)


async def steps(broker: Broker, streams: list[str], group: str, goal: Goal) -> list[Step]:
    """What going back would do, in the order of `streams`; changes nothing.

    Raises GroupMissing, and HeadwaterError when every group would have to go forward.
    """
    seconds, micros = await broker.execute("TIME")
    to = above(goal, int(seconds) * 1000 + int(micros) // 1000)
    seen = await look(broker, streams, group)
    if absent := [stream for stream in streams if stream not in seen]:
        raise GroupMissing(f"{group} does not exist on {', '.join(absent)}", hint="headwater streams apply")
    if isinstance(goal, EntryId) and all(one.delivered < to for one in seen.values()):
        raise HeadwaterError(
            f"{to} is ahead of {group}: going there would skip entries",
            hint="name an entry that it was given already",
        )
    return [await _step(broker, stream, seen[stream], to) for stream in streams]


async def rewind(broker: Broker, group: str, steps: list[Step]) -> list[Step]:
    """Do it; the steps as they were done: what was trimmed since they were planned is not in them.

    Raises GroupMissing, BrokerUnavailable, BrokerRefused.
    """
    return [await _rewound(broker, group, step) if step.to != step.since else step for step in steps]


async def _rewound(broker: Broker, group: str, planned: Step) -> Step:
    stream, step = planned.stream, planned
    seen = await _seen(broker, stream, group)  # at the last moment: who asks people first planned long ago
    since = seen.delivered
    for _ in range(TRIES):
        step = await _step(broker, stream, seen._replace(delivered=since), EntryId.parse(planned.to))
        if step.to == step.since:
            return step
        words = () if step.read is None else ("ENTRIESREAD", step.read)
        await broker.execute("XGROUP", "SETID", stream, group, step.to, *words)
        counted, seen = seen, await _seen(broker, stream, group)
        if (seen.first, seen.deleted) == (counted.first, counted.deleted):
            return step
    return step  # something trims all the time: what is told is from a moment ago


async def _seen(broker: Broker, stream: str, group: str) -> Seen:
    seen = await look(broker, [stream], group)
    if stream not in seen:
        raise GroupMissing(f"{group} does not exist on {stream}", hint="headwater streams apply")
    return seen[stream]


async def _step(broker: Broker, stream: str, seen: Seen, to: EntryId) -> Step:
    since = str(seen.delivered)
    if to >= seen.delivered:
        return Step(stream=stream, since=since, to=since, entries=0, whole=True, read=None)
    again = await _count(broker, stream, to, seen.delivered)
    behind = again + await _count(broker, stream, seen.delivered, seen.last)
    gone = not whole(seen, to) if to != START else seen.added != seen.length
    read = count_read(seen, to, behind)
    return Step(stream=stream, since=since, to=str(to), entries=again, whole=not gone, read=read)


async def _count(broker: Broker, stream: str, after: EntryId, last: EntryId) -> int:
    counted, start = 0, str(after)
    while True:
        page = await broker.execute("XRANGE", stream, f"({start}", str(last), "COUNT", _PAGE)
        counted += len(page)
        if len(page) < _PAGE:
            return counted
        start = page[-1][0].decode()
