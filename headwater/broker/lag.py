"""How far groups are behind: always a number, also where Redis itself has lost count.

Everything about all groups comes in one pipeline with the server's own time, so that no other
clock is compared with its ids. A server whose clock went back has ids from its own future: then
ages count from the newest id, are at least that old, and `clock_behind` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from headwater.broker.client import RELEASED, Broker
from headwater.broker.entry import ConsumerState, EntryId, GroupState, StreamState
from headwater.broker.protocol import Command
from headwater.errors import GroupMissing, HeadwaterError

ALIVE_WITHIN = 15.0
"""Seconds of silence after which a consumer counts as gone."""
COUNT_BOUND = 10_000
"""Entries that are counted one by one where nothing else tells how many there are."""
PAGE = 1_000


class Lag(NamedTuple):
    """How far behind a group is on one stream."""

    stream: str
    group: str
    entries: int
    """Entries not yet given to the group."""
    exact: bool
    """False: at least so many."""
    pending: int
    seconds: float
    """Age of the first entry not yet given out, 0 when there is none."""
    oldest_pending: float
    """Age of the oldest entry given out and not acknowledged, 0 when there is none."""
    living: int
    """Consumers that asked within `ALIVE_WITHIN` seconds."""
    silent: float | None
    """Seconds since any consumer asked; None when none ever did."""
    length: int
    """Entries the stream has."""
    oldest_entry: float | None
    """Age of the first of them; None when it is empty."""
    clock_behind: float
    """Seconds that the server's clock is behind its newest id; above 0, ages are lower bounds."""

    @property
    def oldest(self) -> float:
        """Age of the oldest entry that is not applied: not given out, or pending."""
        return max(self.seconds, self.oldest_pending)

    @property
    def unapplied(self) -> int:
        """Entries not given out, and pending ones."""
        return self.entries + self.pending


class Facts(NamedTuple):
    """What Redis says about one group on one stream, at one moment."""

    now: int
    """The server's time in milliseconds."""
    stream: StreamState
    group: GroupState
    first_pending: str | None
    consumers: Sequence[ConsumerState]
    first_unread: str | None = None


def known(facts: Facts) -> int | None:
    """Entries not yet given to the group; None when they have to be counted. Pure.

    Redis's own figure is wrong above the stream's length (after a trim), and missing after XDEL.
    """
    if facts.first_unread is None:
        return 0
    if facts.first_unread == facts.stream.first_id:
        return facts.stream.length  # nothing before it is left: all there is, is unread
    figure = facts.group.lag
    return figure if figure is not None and 0 < figure <= facts.stream.length else None


def judged(facts: Facts, stream: str, entries: int, *, exact: bool) -> Lag:
    """The lag from the facts and a count. Pure."""
    newest = EntryId.parse(facts.stream.last_id).milliseconds
    now = max(facts.now, newest)

    def age(entry: str | None) -> float:
        # In a stream begun again a pending id may be above every entry: nothing is known of its age.
        return 0.0 if entry is None else max(0, now - EntryId.parse(entry).milliseconds) / 1000

    asking = [one.idle for one in facts.consumers if one.name != RELEASED]
    return Lag(
        stream=stream,
        group=facts.group.name,
        entries=entries,
        exact=exact,
        pending=facts.group.pending,
        seconds=age(facts.first_unread),
        oldest_pending=age(facts.first_pending),
        living=sum(idle < ALIVE_WITHIN for idle in asking),
        silent=min(asking, default=None),
        length=facts.stream.length,
        oldest_entry=None if facts.stream.first_id is None else age(facts.stream.first_id),
        clock_behind=max(0.0, (newest - facts.now) / 1000),
    )


async def lags(broker: Broker, where: Iterable[tuple[str, str]]) -> list[Lag | None]:
    """For each (stream, group) how far it is behind; None where stream or group does not exist.

    Two pipelines for any number of them; more only where a bounded count is needed.
    Raises BrokerUnavailable, BrokerRefused.
    """
    wanted = list(where)
    commands: list[Command] = [("TIME",)]
    for stream, group in wanted:
        commands += [("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream)]
        commands += [("XPENDING", stream, group), ("XINFO", "CONSUMERS", stream, group)]
    time, *replies = await broker.ask(commands)
    now = int(_answered(time)[0]) * 1000 + int(_answered(time)[1]) // 1000
    found = [_facts(now, group, replies[4 * at : 4 * at + 4]) for at, (_, group) in enumerate(wanted)]
    unread = [at for at, facts in enumerate(found) if facts is not None and _unread(facts)]
    first = await broker.ask(
        [("XRANGE", wanted[at][0], f"({_last(found[at])}", "+", "COUNT", 1) for at in unread]
    )
    for at, reply in zip(unread, first, strict=True):
        facts, entries = found[at], _answered(reply)
        found[at] = facts and facts._replace(first_unread=entries[0][0].decode() if entries else None)
    return [
        None if facts is None else await _lag(broker, stream, facts)
        for (stream, _), facts in zip(wanted, found, strict=True)
    ]


async def lag(broker: Broker, stream: str, group: str) -> Lag | None:
    """One group on one stream, as `lags`."""
    return (await lags(broker, [(stream, group)]))[0]


async def living(broker: Broker, stream: str, group: str) -> int:
    """How many consumers of the group asked for entries of the stream within `ALIVE_WITHIN` seconds."""
    consumers = await broker.consumers(stream, group)
    return sum(one.idle < ALIVE_WITHIN and one.name != RELEASED for one in consumers)


def _facts(now: int, group: str, replies: Sequence[Any]) -> Facts | None:
    if any(isinstance(reply, GroupMissing) for reply in replies):
        return None
    stream, groups, pending, consumers = map(_answered, replies)
    state = next((one for one in map(GroupState.read, groups) if one.name == group), None)
    if state is None:
        return None
    first = pending[1].decode() if pending[1] else None
    return Facts(now, StreamState.read(stream), state, first, list(map(ConsumerState.read, consumers)))


def _answered(reply: Any) -> Any:
    if isinstance(reply, HeadwaterError):
        raise reply
    return reply


def _unread(facts: Facts) -> bool:
    return EntryId.parse(facts.group.last_delivered) < EntryId.parse(facts.stream.last_id)


def _last(facts: Facts | None) -> str:
    return facts.group.last_delivered if facts else "-"


async def _lag(broker: Broker, stream: str, facts: Facts) -> Lag:
    entries = known(facts)
    if entries is not None:
        return judged(facts, stream, entries, exact=True)
    entries = await _count(broker, stream, facts.group.last_delivered)
    return judged(facts, stream, entries, exact=entries < COUNT_BOUND)


async def _count(broker: Broker, stream: str, after: str) -> int:
    counted = 0
    while counted < COUNT_BOUND:
        page = await broker.range(stream, start=f"({after}", count=PAGE)
        counted += len(page)
        if len(page) < PAGE:
            break
        after = page[-1].id
    return counted
