"""Consumer names that nobody uses: found, and removed without losing what they may be given meanwhile.

XGROUP DELCONSUMER drops whatever the name holds, WATCH does not notice reads and claims, and scripts
are not for everyone. So a name is only removed when it holds nothing; what it holds at that very
moment all the same is read in the same transaction, and put back on the pending list afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headwater.broker.client import RELEASED, Broker
from headwater.broker.entry import ConsumerState
from headwater.broker.protocol import Command
from headwater.errors import GroupMissing, HeadwaterError

MOST = 1000
"""Entries that one removal can put back."""


class Removed(NamedTuple):
    """What a removal found."""

    put_back: tuple[str, ...]
    """Ids that the name was given at the last moment, pending again for whoever reclaims."""
    lost: tuple[str, ...]
    """Ids of those among them that the stream has no more."""
    unknown: int
    """How many more it held: pending nowhere now."""


async def consumers(broker: Broker, streams: Sequence[str], group: str) -> dict[str, list[ConsumerState]]:
    """The group's names on each stream, in one pipeline; none where stream or group is missing."""
    replies = await broker.ask([("XINFO", "CONSUMERS", stream, group) for stream in streams])
    found: dict[str, list[ConsumerState]] = {}
    for stream, reply in zip(streams, replies, strict=True):
        if isinstance(reply, HeadwaterError) and not isinstance(reply, GroupMissing):
            raise reply
        found[stream] = [] if isinstance(reply, HeadwaterError) else list(map(ConsumerState.read, reply))
    return found


def unused(known: Iterable[ConsumerState], held: Iterable[str], silent: float) -> list[ConsumerState]:
    """Names that nobody holds and that asked for nothing for `silent` seconds. Pure."""
    spared = {"", RELEASED, *held}  # a server that takes entries back keeps them under no name
    return [one for one in known if one.name not in spared and one.idle >= silent]


async def remove(broker: Broker, stream: str, group: str, name: str) -> Removed:
    """Remove one name from a group; what it holds, if anything, is put back. Idempotent.

    Raises BrokerUnavailable, BrokerRefused.
    """
    *_, answer = await broker.ask(
        [
            ("MULTI",),
            ("XPENDING", stream, group, "-", "+", MOST, name),
            ("XGROUP", "DELCONSUMER", stream, group, name),
            ("EXEC",),
        ]
    )
    if isinstance(answer, HeadwaterError):
        raise answer
    pending, dropped = answer
    if isinstance(dropped, Exception) or not dropped:
        return Removed((), (), 0)
    ids = [identity.decode() for identity, *_ in pending]
    claim: Command = ("XCLAIM", stream, group, RELEASED, 0, *ids, "FORCE", "JUSTID")
    back = {identity.decode() for identity in await broker.execute(*claim)}
    lost = tuple(one for one in ids if one not in back)
    return Removed(tuple(one for one in ids if one in back), lost, max(0, dropped - len(ids)))
