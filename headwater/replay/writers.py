"""Draw a version for a deletion that no transaction which is open now can undo unseen.

A row that such a transaction brings back carries a version it may have drawn before, and would be dropped as
older than the deletion. So all of them have to end first; one that stays open is waited for only so long, and
then named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from headwater.database import Database, load

PAUSE = 0.05


class Drawn(NamedTuple):
    """A version larger than any drawn by a transaction that was open before; or who is still open."""

    version: int | None
    open: str = ""
    """The oldest of those that kept it from being drawn."""


async def version_past_writers(source: Database, *, within: float) -> Drawn:
    """Draw, and wait up to `within` seconds for whoever was open. Raises DatabaseUnavailable."""
    version: int = await source.fetchval("SELECT headwater.next_version()")
    # A statement of its own: later than the draw.
    first_later = await source.fetchval(load(__file__, "next_transaction"))
    end = asyncio.get_running_loop().time() + within
    while not await source.fetchval(load(__file__, "writers_ended"), first_later):
        if asyncio.get_running_loop().time() > end:
            row = await source.fetchrow(load(__file__, "open_writer"), first_later)
            return Drawn(None, told(None if row is None else dict(row)))
        await asyncio.sleep(PAUSE)
    return Drawn(version)


def told(writer: Mapping[str, Any] | None) -> str:
    """An open transaction in words; None: it ended in that moment. Pure."""
    if writer is None:
        return "a transaction at the source was open, and has ended since"
    if writer["prepared"] is not None:
        who = f"the prepared transaction {writer['prepared']!r}"
    else:
        who = f"a transaction of pid {writer['pid']} (application_name {writer['application']!r})"
    age = "" if writer["seconds"] is None else f" for {writer['seconds']:.0f} s"
    return f"{who} of role {writer['role']!r} in database {writer['database']!r} is open at the source{age}"
