"""How much to take at once: as much as fits, judged by what came before. Pure.

Always holds: no portion is empty, so a small budget makes a worker slow and never stops it; and of entries
as large as those before, no portion brings more bytes than there is room for, but one entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from headwater.broker import Portion
from headwater.event import Fields

FIRST_SIZE = 8_388_608.0
"""Bytes of an entry where nothing is known: far more than our own producers append, so the first reads are
small, and their size doubles until it is right. Others append what they like."""
SMALL = 50
"""Entries of a read after which no more than that were waiting."""
AROUND = 1_000
"""What an entry takes in memory beside its values."""


def size_of(fields: Fields) -> int:
    """Bytes that an entry takes in hand."""
    return AROUND + sum(map(len, fields.values()))


def learn(known: float, size: int, brought: int) -> float:
    """Bytes of an entry to reckon with, after a read that `brought` so many entries of that `size` together.

    Rises at once to what came, and falls by half with each read: large ones cost a worker its memory,
    small ones only some reads.
    """
    return max(known / 2, size / brought) if brought else known


def grown(most: int, brought: int) -> int:
    """How many entries to ask for after a read that brought so many: twice as many, from `SMALL` to `most`.

    So a flood of large entries into quiet streams is met with a small read, which tells their size.
    """
    return min(most, max(SMALL, 2 * brought))


def portion(*, most: int, room: int, size: float, busy: int) -> Portion:
    """What to ask for: up to `most` entries and `room` bytes, shared by as many streams as were `busy`."""
    fitting = max(1, min(most, int(room / max(1.0, size))))
    return Portion(each=max(1, fitting // max(1, busy)), most=fitting, size=max(1, room))


def turns(streams: Sequence[str], brought: Mapping[str, int]) -> list[str]:
    """Streams in the order to ask them: who brought least last time comes first.

    Where one answer is bounded over all streams, a busy one else leaves no room for those behind it.
    """
    return sorted(streams, key=lambda stream: brought.get(stream, 0))


def brought_by(streams: Iterable[str]) -> Mapping[str, int]:
    """How many entries each stream brought, from the stream of each entry."""
    return Counter(streams)
