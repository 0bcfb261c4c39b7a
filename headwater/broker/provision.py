"""Streams and groups as declared, compared with what Redis has, and made so.

Groups start at the earliest entry: ledger and inbox make reading again harmless, and a group that
starts at the end would never see what came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headwater.broker.client import Broker
from headwater.errors import GroupMissing, HeadwaterError, ServerUnavailable
from headwater.topology import Catalogue

LAST = "18446744073709551615-0"
"""Behind it nothing is pending: asking from there takes nothing. The id above all others would mean `>`."""

NEVER = "0-1"
"""An id that no entry of ours has: its acknowledgement changes nothing, and needs the same rights."""


class Drift(NamedTuple):
    """One difference between declaration and Redis."""

    stream: str
    group: str
    state: str
    """missing_stream · missing_group · undeclared_group."""


def plan(catalogue: Catalogue, found: dict[str, set[str] | None]) -> list[Drift]:
    """What differs; `found` maps each declared key to its groups, None where the stream is missing. Pure."""
    drift = []
    for key, (_, groups) in catalogue.all_keys().items():
        existing = found.get(key)
        declared = {group.name for group in groups}
        for name in sorted(declared - (existing or set())):
            drift.append(Drift(key, name, "missing_stream" if existing is None else "missing_group"))
        for name in sorted((existing or set()) - declared):
            drift.append(Drift(key, name, "undeclared_group"))
    return drift


async def compare(broker: Broker, catalogue: Catalogue) -> list[Drift]:
    """Differences between the catalogue and Redis, by stream and group."""
    found: dict[str, set[str] | None] = {}
    for key in catalogue.all_keys():
        if await broker.stream(key) is None:
            found[key] = None
        else:
            found[key] = {group.name for group in await broker.groups(key)}
    return plan(catalogue, found)


async def apply(broker: Broker, catalogue: Catalogue) -> list[Drift]:
    """Create what is missing, at the earliest entry; returns what was created. Never removes."""
    missing = [drift for drift in await compare(broker, catalogue) if drift.state != "undeclared_group"]
    for drift in missing:
        await broker.create_group(drift.stream, drift.group)
    return missing


async def ensure(broker: Broker, streams: Iterable[str], group: str) -> list[str]:
    """Create one group on streams where it is missing; returns the streams where it was."""
    return [stream for stream in streams if await broker.create_group(stream, group)]


class Mended(NamedTuple):
    """What became of streams that could not be read together."""

    created: list[str]
    """Those whose group was made, at the earliest entry."""
    unfit: dict[str, str]
    """Those that Redis refuses to read, with its words."""


async def mend(broker: Broker, streams: Sequence[str], group: str, consumer: str) -> Mended:
    """Try each stream alone as a reader would, and make groups where they are missing.

    Raises BrokerUnavailable; what Redis refuses for one stream is no trouble of the others.
    """
    tried = await broker.ask(
        [("XREADGROUP", "GROUP", group, consumer, "COUNT", 1, "STREAMS", one, LAST) for one in streams]
    )
    replies = dict(zip(streams, tried, strict=True))
    lacking = [one for one in streams if isinstance(replies[one], GroupMissing)]
    if lacking:
        made = await broker.ask([("XGROUP", "CREATE", one, group, "0", "MKSTREAM") for one in lacking])
        replies |= zip(lacking, made, strict=True)
    created = [one for one in lacking if not isinstance(replies[one], HeadwaterError)]
    unfit = {}
    for stream, reply in replies.items():
        # One that is full makes no group, and the streams that have theirs can be read.
        if isinstance(reply, ServerUnavailable) and stream not in lacking:
            raise reply
        if isinstance(reply, HeadwaterError) and not str(reply).startswith("BUSYGROUP"):
            unfit[stream] = str(reply)
    return Mended(created, unfit)
