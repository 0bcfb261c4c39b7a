"""How streams and one group on them are, in two round trips for any number of streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from headwater.broker.client import Broker
from headwater.broker.entry import EntryId, pairs
from headwater.errors import GroupMissing, HeadwaterError


class Seen(NamedTuple):
    """A stream and a group on it, as they are."""

    added: int
    """Entries the stream was ever given."""
    length: int
    first: EntryId | None
    last: EntryId
    """The last id given out, also of an entry that is gone."""
    deleted: EntryId
    """The largest id that XDEL took; trimming leaves it as it is."""
    delivered: EntryId
    read: int | None
    """Entries given to the group or skipped by it; None when Redis can not tell."""
    pending: int = 0
    oldest: EntryId | None = None
    """The smallest pending id."""


async def look(broker: Broker, streams: Sequence[str], group: str) -> dict[str, Seen]:
    """Each stream that exists and has the group. Raises BrokerUnavailable.

    The stream is asked before its group, so that what is read in between never looks like a loss.
    """
    asked = [(about, stream) for stream in streams for about in ("STREAM", "GROUPS")]
    replies = await broker.ask([("XINFO", about, stream) for about, stream in asked])
    found = {}
    for place, stream in enumerate(streams):
        seen = _seen(replies[2 * place], replies[2 * place + 1], group.encode())
        if seen is not None:
            found[stream] = seen
    return await _with_oldest(broker, found, group)


async def everyone(broker: Broker, stream: str) -> dict[str, Seen]:
    """Every group of one stream, declared or not; none when it does not exist.

    What is pending is asked last, so that nothing given out meanwhile looks applied.
    Raises BrokerUnavailable, BrokerRefused.
    """
    try:
        about, groups = await broker.pipeline([("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream)])
        names = [pairs(one)["name"] for one in groups]
        replies = await broker.pipeline([("XPENDING", stream, name) for name in names])
    except GroupMissing:
        return {}
    found = {}
    for name, reply in zip(names, replies, strict=True):
        one = _seen(about, groups, name)
        if one is not None:
            found[name.decode()] = one._replace(oldest=EntryId.parse(reply[1]) if reply[1] else None)
    return found


def _seen(stream: Any, groups: Any, group: bytes) -> Seen | None:
    if isinstance(stream, HeadwaterError) or isinstance(groups, HeadwaterError):
        return None
    ours = next((one for one in map(pairs, groups) if one["name"] == group), None)
    if ours is None:
        return None
    about = pairs(stream)
    first = about.get("first-entry")
    return Seen(
        about["entries-added"],
        about["length"],
        EntryId.parse(first[0]) if first else None,
        EntryId.parse(about["last-generated-id"]),
        EntryId.parse(about["max-deleted-entry-id"]),
        EntryId.parse(ours["last-delivered-id"]),
        ours.get("entries-read"),
        ours["pending"],
    )


async def _with_oldest(broker: Broker, found: dict[str, Seen], group: str) -> dict[str, Seen]:
    busy = [stream for stream, seen in found.items() if seen.pending]
    if not busy:
        return found
    replies = await broker.ask([("XPENDING", stream, group) for stream in busy])
    for stream, reply in zip(busy, replies, strict=True):
        if isinstance(reply, HeadwaterError):
            del found[stream]
        elif reply[1]:
            found[stream] = found[stream]._replace(oldest=EntryId.parse(reply[1]))
    return found
