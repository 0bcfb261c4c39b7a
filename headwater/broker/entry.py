"""What Redis hands out: entries and the ids that order them."""

from __future__ import annotations

from typing import NamedTuple

from headwater.event import Fields


class EntryId(NamedTuple):
    """A position in a stream. Compares as Redis orders entries."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str | bytes) -> EntryId:
        """From `ms-seq`; a bare `ms` means sequence 0. Raises ValueError."""
        head, _, tail = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return cls(int(head), int(tail or 0))

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


START = EntryId(0, 0)


class Entry(NamedTuple):
    """One record of a stream. `fields` is None when the record is gone and only its id is left."""

    stream: str
    id: str
    fields: Fields | None


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


class ConsumerState(NamedTuple):
    """One consumer name of a group."""

    name: str
    pending: int
    idle: float
    """Seconds since it last asked."""


class StreamState(NamedTuple):
    """One stream as Redis has it."""

    length: int
    last_id: str
    entries_added: int | None
    first_id: str | None
