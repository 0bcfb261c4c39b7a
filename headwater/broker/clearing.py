"""Take off a stream what every group on it has applied: for streams that nobody reads a second time."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.broker.client import Broker
from headwater.broker.entry import EntryId
from headwater.broker.look import Seen, everyone

STEP = 10_000
"""Entries of one command at most, so that none blocks Redis for long."""
_LAST_SEQUENCE = 2**64 - 1


async def clear(broker: Broker, stream: str) -> int:
    """How many entries went. The stream and its groups stay, also when it is empty then.

    Raises BrokerUnavailable, BrokerRefused.
    """
    least = first_lacking((await everyone(broker, stream)).values())
    if least is None:
        return 0
    removed = 0
    while some := await broker.execute("XTRIM", stream, "MINID", "~", str(least), "LIMIT", STEP):
        removed += some  # whole nodes only: never more than was asked for
    return removed + int(await broker.execute("XTRIM", stream, "MINID", "=", str(least)))


def first_lacking(groups: Iterable[Seen]) -> EntryId | None:
    """Below this id every group has applied everything; None where there is no group. Pure."""
    return min((_first_lacking(one) for one in groups), default=None)


def _first_lacking(seen: Seen) -> EntryId:
    milliseconds, sequence = seen.delivered
    unread = (
        EntryId(milliseconds, sequence + 1) if sequence < _LAST_SEQUENCE else EntryId(milliseconds + 1, 0)
    )
    return unread if seen.oldest is None else min(unread, seen.oldest)
