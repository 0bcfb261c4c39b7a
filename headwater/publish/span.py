"""Which entries are to be said again, and how far that got. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from headwater.broker import START, EntryId
from headwater.broker.repairs import Missing
from headwater.errors import BrokerRefused, BrokerUnavailable, HeadwaterError
from headwater.publish.rows import Appends

SKEW = timedelta(minutes=10)
"""How far the clocks of Redis and of the source may be apart, or may have been."""
EVER = datetime(1, 1, 1, tzinfo=UTC)


class Between(msgspec.Struct, frozen=True, array_like=True):
    """Entries of one stream."""

    above: str = ""
    """Only those above this one; empty: from the first on."""
    upto: str = ""
    """None above this one; empty: to the last."""

    def has(self, entry: str) -> bool:
        """Whether an entry is one of them."""
        one = EntryId.parse(entry)
        return (not self.above or one > EntryId.parse(self.above)) and (
            not self.upto or one <= EntryId.parse(self.upto)
        )

    def covers(self, other: Between) -> bool:
        """Whether these are all of the others, and perhaps more."""
        begins = EntryId.parse(self.above or "0-0") <= EntryId.parse(other.above or "0-0")
        ends = not self.upto or (other.upto and EntryId.parse(other.upto) <= EntryId.parse(self.upto))
        return begins and bool(ends)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What is said again: rows published in this time, where they went on these streams."""

    streams: dict[str, Between]
    since: datetime = EVER
    until: datetime

    def again(self, entries: str, wanted: Appends) -> Appends:
        """What to append of a row that went to `entries` (`stream@id …`), of what it would be now.

        Only where it went before: an application that was enabled later was given its state by a
        backfill, and never this event. And only where it would go now.
        """
        went: dict[str, list[str]] = {}
        for part in entries.split(" "):
            stream, _, entry = part.rpartition("@")
            went.setdefault(stream, []).append(entry)
        return [one for one in wanted if self._has(one[0], went.get(one[0], []))]

    def _has(self, stream: str, entries: list[str]) -> bool:
        between = self.streams.get(stream)
        return between is not None and any(between.has(one) for one in entries)


class Reach(msgspec.Struct, frozen=True, array_like=True):
    """What was appended to one stream."""

    first: str
    last: str
    entries: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run got."""

    position: int = 0
    """Everything up to this row of the outbox was said."""
    rows: int = 0
    entries: int = 0
    skipped: int = 0
    """Rows that do not go any more where they went: an application is not enabled, for instance."""
    refused: int = 0
    """Rows that Redis refuses, or that no stream can carry."""
    reached: dict[str, Reach] = {}
    refusing: tuple[str, ...] = ()
    """Streams that lack something that was refused."""


class Portion(msgspec.Struct, frozen=True):
    """One row: the streams of the span that it went to, and what to append again."""

    streams: tuple[str, ...]
    appends: Appends
    unfit: str = ""
    """Why no stream can carry it; empty when one can."""


def went(entries: str, streams: Mapping[str, Between]) -> tuple[str, ...]:
    """The streams of a span that a row went to."""
    there = dict.fromkeys(part.rpartition("@")[0] for part in entries.split(" "))
    return tuple(stream for stream in there if stream in streams)


class Page(NamedTuple):
    """Rows of the outbox in order, as far as they are in the span."""

    position: int
    """The last row looked at."""
    portions: list[Portion]

    @property
    def appends(self) -> Appends:
        """What to append, in order."""
        return [one for portion in self.portions for one in portion.appends]


def advanced(before: Progress, page: Page, replies: Sequence[str | HeadwaterError]) -> Progress:
    """How far it is now. Raises BrokerUnavailable when Redis as a whole refused: nothing is noted then."""
    answers = iter(replies)
    reached, refusing = dict(before.reached), set(before.refusing)
    said = skipped = refused = entries = 0
    for one in page.portions:
        lacking = set(one.streams) if one.unfit else set()
        for stream, _ in one.appends:
            reply = next(answers)
            if isinstance(reply, str):
                reached[stream] = _further(reached.get(stream), reply)
                entries += 1
            elif isinstance(reply, BrokerRefused):
                lacking.add(stream)
            else:
                raise BrokerUnavailable(f"Redis refused an entry ({reply})")
        refusing |= lacking
        refused += bool(lacking)
        skipped += not one.appends and not lacking
        said += bool(one.appends) and not lacking
    return Progress(
        position=page.position,
        rows=before.rows + said,
        entries=before.entries + entries,
        skipped=before.skipped + skipped,
        refused=before.refused + refused,
        reached=reached,
        refusing=tuple(sorted(refusing)),
    )


def _further(before: Reach | None, entry: str) -> Reach:
    return Reach(entry, entry, 1) if before is None else Reach(before.first, entry, before.entries + 1)


def repairing(wanted: Iterable[Missing], now: datetime) -> Span:
    """What to say again so that nobody misses anything of this; `now` at the source."""
    streams: dict[str, Between] = {}
    for one in wanted:
        asked = Between(one.since, one.upto)
        known = streams.get(one.stream)
        streams[one.stream] = asked if known is None else _around(known, asked)
    begin = min((EntryId.parse(one.above) for one in streams.values()), default=START)
    return Span(streams=streams, since=published_since(begin), until=now)


def _around(one: Between, other: Between) -> Between:
    above = min(EntryId.parse(one.above), EntryId.parse(other.above))
    last = max(EntryId.parse(one.upto), EntryId.parse(other.upto)) if one.upto and other.upto else ""
    return Between(str(above), str(last))


def published_since(entry: EntryId) -> datetime:
    """When rows of later entries were published at the earliest, by the source's clock."""
    if entry == START:
        return EVER
    try:
        return datetime.fromtimestamp(entry.milliseconds / 1000, UTC) - SKEW
    except (OverflowError, ValueError, OSError):  # an id that somebody chose: any time will do
        return EVER


def kept(since: datetime, removed: datetime | None) -> bool:
    """Whether the outbox still has everything that was published since then."""
    return removed is None or removed < since


def command(app: str, missed: Mapping[str, str]) -> str:
    """What to type to bring back what one application misses: above which entry, by stream."""
    since = min(map(EntryId.parse, missed.values()), default=START)
    where = f"--stream {next(iter(missed))}" if len(missed) == 1 else f"--app {app}"
    return f"headwater relay republish --since {since} {where}"
