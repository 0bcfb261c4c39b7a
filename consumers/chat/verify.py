"""Does the chat have exactly the active users of the source? Both sides are read in the order of their ids.

What is in hand at the moment of the look counts as different: the tolerance is for that, and is 0 by default.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from headwater import clock
from headwater.database import Database, load

SHOWN = 100
"""Ids that are named of each kind."""
PAGE = 10_000


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    source_count: int
    """Active users of the source."""
    chat_count: int
    """Users of the chat that stand for one of the source, those marked as gone left out."""
    difference: int
    """How much the counts differ."""
    missing: int
    """Active users of the source that the chat lacks."""
    extra: int
    """Users of the chat whom the source does not have, or not as active: deletions that were missed."""
    recent_source: int
    """Users changed at the source within the last hour."""
    recent_chat: int
    recent_difference: int
    consistent: bool
    """Whether no more users are missing or extra than are tolerated."""
    missing_ids: list[str]
    extra_ids: list[str]
    timestamp: datetime


async def verify(source: Database, chat: Database, tolerance: int = 0) -> Verification:
    """Compare all ids. Raises DatabaseUnavailable."""
    counts, missing, extra = [0, 0], _Some(), _Some()
    async for in_source, in_chat in _merged(_ids(source, "source_ids"), _ids(chat, "chat_ids")):
        counts[0] += in_source is not None
        counts[1] += in_chat is not None
        if in_chat is None and in_source is not None:
            missing.add(in_source)
        if in_source is None and in_chat is not None:
            extra.add(in_chat)
    recent = [
        int(await source.fetchval(load(__file__, "source_recent"))),
        int(await chat.fetchval(load(__file__, "chat_recent"))),
    ]
    return Verification(
        source_count=counts[0],
        chat_count=counts[1],
        difference=abs(counts[0] - counts[1]),
        missing=missing.count,
        extra=extra.count,
        recent_source=recent[0],
        recent_chat=recent[1],
        recent_difference=abs(recent[0] - recent[1]),
        consistent=missing.count + extra.count <= tolerance,
        missing_ids=missing.ids,
        extra_ids=extra.ids,
        timestamp=clock.now(),
    )


class _Some:
    """How many there are, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.ids: list[str] = []

    def add(self, one: str) -> None:
        self.count += 1
        if len(self.ids) < SHOWN:
            self.ids.append(one)


async def _ids(database: Database, query: str) -> AsyncIterator[str]:
    after = None
    while rows := await database.fetch(load(__file__, query), after, PAGE):
        for row in rows:
            yield row["id"]
        after = rows[-1]["id"]


async def _merged(
    left: AsyncIterator[str], right: AsyncIterator[str]
) -> AsyncIterator[tuple[str | None, str | None]]:
    """Both in order: an id that both have once, with both."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one < other):
            yield one, None
            one = await anext(left, None)
        elif one is None or other < one:
            yield None, other
            other = await anext(right, None)
        else:
            yield one, other
            one, other = await anext(left, None), await anext(right, None)
