"""What applications miss, and what was said again of it: two hashes of Redis, one field a stream.

A worker writes what it found lost; whoever holds the outbox answers. Both may be gone any time, as Redis may:
the worker writes again at its next look, so nothing here has to last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from headwater.broker.client import Broker
from headwater.broker.entry import EntryId
from headwater.topology import Catalogue
from headwater.topology.keys import Keys

T = TypeVar("T")
_ID = re.compile(r"\d{1,20}-\d{1,20}")


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What an application misses on one stream, as it asks for it."""

    app: str
    stream: str
    incarnation: str
    gap: int
    """The last gap of those asked for."""
    since: str
    """Everything up to here was applied."""
    upto: str = ""
    """The last entry that can be lost; empty when not known."""
    sure: int = 0
    """Entries that are lost for certain."""


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about it."""

    incarnation: str
    gap: int
    rows: int
    until: str
    """The last entry appended to the stream; `0-0` when there was nothing to append."""
    by: str
    since: str
    """What was said again went out above this entry."""
    upto: str = ""
    """And not above this one; empty: to the last."""


def field(missing: Missing) -> str:
    """Where in both hashes this stands."""
    return f"{missing.app} {missing.stream}"


async def ask(broker: Broker, keys: Keys, app: str, done: Sequence[str], wanted: list[Missing]) -> None:
    """Ask for what an application misses; and for nothing more on streams that are done with."""
    commands: list[tuple[str, ...]] = []
    if done:
        commands.append(("HDEL", keys.gaps, *(f"{app} {stream}" for stream in done)))
    if wanted:
        words = [word for one in wanted for word in (field(one), msgspec.json.encode(one).decode())]
        commands.append(("HSET", keys.gaps, *words))
    await broker.pipeline(commands)


async def asked(broker: Broker, catalogue: Catalogue) -> list[Missing]:
    """What the catalogue's applications miss now; what is none of ours is left out.

    On one Redis there may be systems beside each other: what an application of another one misses, only
    that one's outbox has. Raises BrokerUnavailable.
    """
    values = await broker.execute("HVALS", catalogue.keys.gaps)
    found = [one for one in (_read(value, Missing) for value in values) if one is not None]
    return [one for one in found if one.app in catalogue.groups and _well_formed(one.since, one.upto)]


async def answer(broker: Broker, keys: Keys, missing: Missing, done: Repaired) -> None:
    """Tell the application what was done. Raises BrokerUnavailable."""
    await broker.execute("HSET", keys.repairs, field(missing), msgspec.json.encode(done))


async def answers(broker: Broker, keys: Keys, wanted: Sequence[Missing]) -> list[Repaired | None]:
    """What was done about each; None for nothing. Raises BrokerUnavailable."""
    if not wanted:
        return []
    replies = await broker.execute("HMGET", keys.repairs, *map(field, wanted))
    found = [_read(reply, Repaired) for reply in replies]
    return [one if one and _well_formed(one.since, one.upto, one.until) else None for one in found]


def settles(done: Repaired, missing: Missing) -> bool:
    """Whether an answer is about all that is missing now. Pure.

    An answer from before a later loss is not: what it brought may be lost again.
    """
    if done.incarnation != missing.incarnation or done.gap < missing.gap or not done.until:
        return False
    parse = EntryId.parse
    ends = not done.upto or (missing.upto != "" and parse(missing.upto) <= parse(done.upto))
    return parse(done.since) <= parse(missing.since) and ends


def _well_formed(*entries: str) -> bool:
    return all(_ID.fullmatch(one) for one in entries if one)


def _read(reply: bytes | None, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(reply or b"", type=kind)
    except msgspec.MsgspecError:
        return None
