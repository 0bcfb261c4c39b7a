"""Users of the chat: written in batches through the gate; those who leave are removed or marked.

A user whose phone (or e-mail, where the chat keeps it unique) is somebody else's is refused at once, and
stops nobody: the letter is its record, and `sync_errors` tells it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import asyncpg
import msgspec

from consumers.chat import errors, transform
from headwater.database import Tx, load
from headwater.delivery import Consumer, Context, Done
from headwater.errors import Reject, Retry
from schemas.accounts import AccountChanged, AccountDeleted

_rows = msgspec.json.Encoder(decimal_format="number")
APP = "chat"
BATCH = 500
Leavers = Literal["remove", "mark"]
LEAVERS: tuple[Leavers, ...] = get_args(Leavers)
"""What becomes of users who are not active any more."""
Answers = Sequence[Done | Retry | Reject] | None


def declare(leavers: Leavers = "remove") -> Consumer:
    """The chat's consumer. `leavers`: remove them from the chat, or leave them there with another status."""
    chat = Consumer(APP)

    @chat.on(AccountChanged, batch=BATCH)
    async def changed(events: Sequence[AccountChanged], tx: Tx, contexts: Sequence[Context]) -> Answers:
        active = [one for one in events if one.op == "u"]
        taken = await write(tx, active) if active else {}
        if taken:
            return [taken.get(one.account_id, Done()) for one in events]
        gone = {one.account_id: one.status for one in events if one.op == "d"}
        await leave(tx, gone, leavers)
        await errors.resolve(tx, [one.account_id for one in events])
        return None

    @chat.on(AccountDeleted, batch=BATCH)
    async def deleted(events: Sequence[AccountDeleted], tx: Tx, contexts: Sequence[Context]) -> Answers:
        await leave(tx, dict.fromkeys((one.account_id for one in events), "deleted"), leavers)
        await errors.resolve(tx, [one.account_id for one in events])
        return None

    return chat


async def write(tx: Tx, accounts: Sequence[AccountChanged]) -> dict[str, Reject]:
    """Write users, or say which of them can not be, and why; then none is."""
    said = _rows.encode([transform.row(one) for one in accounts]).decode()
    taken = await tx.fetch(load(__file__, "taken"), said)
    if taken:
        return {row["id"]: Reject(f"the {row['what']} is that of the user {row['owner']}") for row in taken}
    await tx.execute(load(__file__, "vacate"), said)
    await tx.execute(load(__file__, "upsert"), said)
    return {}


async def leave(tx: Tx, users: dict[str, str], leavers: Leavers) -> None:
    """Take users out of sight: remove them, or mark them with the status they have now.

    Those that rows of the chat still refer to can not be removed: they are marked, and recorded.
    """
    if not users:
        return
    if leavers == "mark":
        await _mark(tx, users)
        return
    try:
        await _remove(tx, list(users))
    except asyncpg.ForeignKeyViolationError:
        for user, status in users.items():
            try:
                await _remove(tx, [user])
            except asyncpg.ForeignKeyViolationError as error:
                await _mark(tx, {user: status})
                more: dict[str, Any] = {"table": error.table_name, "constraint": error.constraint_name}
                await errors.record(tx, "DELETE_USER_FAILED", user, str(error), more=more)


async def _remove(tx: Tx, users: list[str]) -> None:
    async with tx.transaction():
        await tx.execute(load(__file__, "remove"), users)


async def _mark(tx: Tx, users: dict[str, str]) -> None:
    await tx.execute(load(__file__, "mark"), list(users), list(users.values()))
