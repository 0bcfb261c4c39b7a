"""Pending entries of a group, seen by who holds them and not by how long."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.broker.client import Broker
from headwater.broker.entry import Entry
from headwater.broker.protocol import entries

PAGE = 500


async def holders(broker: Broker, group: str, streams: Sequence[str]) -> dict[str, set[str]]:
    """By stream, the consumer names that hold anything. Raises BrokerUnavailable, GroupMissing."""
    replies = await broker.pipeline([("XPENDING", stream, group) for stream in streams])
    return {
        stream: {name.decode() for name, _ in reply[3] or ()}
        for stream, reply in zip(streams, replies, strict=True)
    }


async def untouched(broker: Broker, group: str, stream: str, name: str) -> dict[str, int]:
    """Of what a consumer holds, up to `PAGE` entries that seem to have been touched this very moment.

    By id, how often each was given out. After the server's clock went back, everything that was touched
    before seems so, until the time of its last touch has come again.
    """
    reply = await broker.execute("XPENDING", stream, group, "-", "+", PAGE, name)
    return {identity.decode(): count for identity, _, idle, count in reply if idle <= 0}


async def inherit(broker: Broker, group: str, heir: str, stream: str, ids: Sequence[str]) -> list[Entry]:
    """Take entries over whoever holds them; without fields those that are gone.

    Only for what nobody works on: unlike a reclaim, it does not look how long they lay untouched.
    """
    reply = await broker.execute("XCLAIM", stream, group, heir, 0, *ids)
    taken = entries(stream, [part for part in reply if part])
    missing = sorted(set(ids) - {entry.id for entry in taken})
    rest = await broker.bodies(stream, missing) if missing else []
    return [*taken, *(entry for entry in rest if entry.fields is None)]
