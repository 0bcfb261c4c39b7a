"""`sync_errors`: what went wrong, one row for each real error, where people of the existing service look.

Of a user that can not be applied the database itself tells when the letter is parked, in one transaction
with it. All else is recorded by whoever noticed. A row is resolved when its user is applied later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from headwater.database import Database, Tx, load
from headwater.delivery import letters

TYPES = (
    *("SYNC_USER_FAILED", "BULK_SYNC_USER_FAILED", "UPSERT_USER_FAILED", "DELETE_USER_FAILED"),
    *("COMPLETE_SYNC_FAILED", "BULK_SYNC_FAILED", "SCHEDULED_SYNC_FAILED", "REALTIME_SYNC_START_FAILED"),
    *("REALTIME_SYNC_CONNECTION_ERROR", "REALTIME_NOTIFICATION_FAILED", "POOL_ERROR", "VERIFICATION_FAILED"),
    *("SETUP_FAILED", "UNCAUGHT_EXCEPTION", "UNHANDLED_REJECTION"),
)
"""Every one there is."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `sync_errors`."""

    id: int
    error_type: str
    user_id: str | None
    error_message: str
    error_stack: str | None
    additional_data: str | None
    """JSON."""
    created_at: datetime
    resolved: bool
    resolved_at: datetime | None
    retry_count: int


async def record(
    database: Database | Tx,
    kind: str,
    user: str | None,
    what: str,
    *,
    stack: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write an error down. Raises ValueError for a type that is none, DatabaseUnavailable."""
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is no type of error; there are: {', '.join(TYPES)}")
    data = msgspec.json.encode(dict(more or {})).decode()
    texts = [text and text.replace("\x00", "�") for text in (what, stack)]
    await database.execute(load(__file__, "record"), kind, user, *texts, data)


async def resolve(tx: Tx, users: Sequence[str]) -> None:
    """What is open of these users is over: they were applied."""
    await tx.execute(load(__file__, "resolve"), list(users))


async def listed(
    chat: Database, *, unresolved: bool = False, kind: str | None = None, limit: int = 100
) -> list[Problem]:
    """The newest errors. Raises DatabaseUnavailable."""
    rows = await chat.fetch(load(__file__, "problems"), unresolved, kind, limit)
    return [Problem(**dict(row)) for row in rows]


async def counted(chat: Database, *, unresolved: bool = False) -> dict[str, int]:
    """How many errors of each type there are, the most frequent first. Raises DatabaseUnavailable."""
    rows = await chat.fetch(load(__file__, "counts"), unresolved)
    return {row["error_type"]: row["count"] for row in rows}


async def retry(chat: Database, app: str, users: Sequence[str] | None = None) -> list[int]:
    """Ask that parked users be applied now, all or these; the letters that will be. A worker does it."""
    rows = await chat.fetch(load(__file__, "parked"), app, None if users is None else list(users))
    return await letters.replay(chat, app, [row["id"] for row in rows], note="sync users retry")
