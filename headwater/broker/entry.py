"""What Redis hands out: entries and the ids that order them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from headwater.event import Fields


class EntryId(NamedTuple):
    """A position in a stream. Compares as Redis orders entries."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str | bytes) -> EntryId:
        """From `ms-seq`; a bare `ms` means sequence 0. Raises ValueError."""
        head, _, tail = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return tuple.__new__(cls, (int(head), int(tail or 0)))  # the hot path: half its constructor's time

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


START = EntryId(0, 0)


def latest(ids: Sequence[str]) -> str:
    """The one that is furthest in the stream. Raises ValueError for none, and for what is no id."""
    if len(ids) < 3 or len({one.find("-") for one in ids}) > 1 or "-" not in ids[0]:
        return max(ids, key=EntryId.parse)
    # With as many digits before the dash, the latest moment is the last in the alphabet; of its
    # sequences the longest is the highest.
    moment = max(ids).partition("-")[0] + "-"
    return max([(len(one), one) for one in ids if one.startswith(moment)])[1]


class Entry(NamedTuple):
    """One record of a stream. `fields` is None when the record is gone and only its id is left."""

    stream: str
    id: str
    fields: Fields | None


class Portion(NamedTuple):
    """How much one read may bring."""

    each: int
    """Entries of each stream."""
    most: int
    """Entries of all streams together."""
    size: int
    """Bytes after which no further entry is added."""


class ClaimedPage(NamedTuple):
    """One step of a reclaim: what was taken over, what is lost, where the next step starts."""

    entries: list[Entry]
    lost: list[str]
    """Ids that were pending but whose entries no longer exist."""
    cursor: str
    """`0-0` after the last step."""


class GroupState(NamedTuple):
    """How far a group is on one stream."""

    name: str
    consumers: int
    pending: int
    last_delivered: str
    entries_read: int | None
    lag: int | None
    """None when Redis can not tell: after XDEL, or for groups made in the middle of a stream."""

    @classmethod
    def read(cls, reply: list[Any]) -> GroupState:
        """From its part of an XINFO GROUPS reply."""
        found = pairs(reply)
        return cls(
            found["name"].decode(),
            found["consumers"],
            found["pending"],
            found["last-delivered-id"].decode(),
            found.get("entries-read"),
            found.get("lag"),
        )


class ConsumerState(NamedTuple):
    """One consumer name of a group."""

    name: str
    pending: int
    idle: float
    """Seconds since it last asked."""

    @classmethod
    def read(cls, reply: list[Any]) -> ConsumerState:
        """From its part of an XINFO CONSUMERS reply."""
        found = pairs(reply)
        return cls(found["name"].decode(), found["pending"], found["idle"] / 1000)


class StreamState(NamedTuple):
    """One stream as Redis has it."""

    length: int
    last_id: str
    entries_added: int | None
    first_id: str | None

    @classmethod
    def read(cls, reply: list[Any]) -> StreamState:
        """From an XINFO STREAM reply."""
        found = pairs(reply)
        first = found.get("first-entry")
        return cls(
            found["length"],
            found["last-generated-id"].decode(),
            found.get("entries-added"),
            first[0].decode() if first else None,
        )


def pairs(reply: list[Any]) -> dict[str, Any]:
    """A flat list of names and values, as XINFO answers, as a dict."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}
