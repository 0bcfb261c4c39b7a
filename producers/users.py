"""Says what becomes of the users of a tenant."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.database import Tx
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.users import UserCreated, UserDeactivated, UserDeleted, UserUpdated


class Users(Voice):
    """For rows of `tenant_users`."""

    async def created(self, tx: Tx, row: Row) -> Receipt:
        """A person joined the tenant."""
        return await self._state(tx, rows.user(UserCreated, row), row)

    async def created_many(self, tx: Tx, joined: Sequence[Row]) -> list[Receipt]:
        """People joined the tenant, in this order."""
        return await self._states(tx, [(rows.user(UserCreated, row), row) for row in joined])

    async def updated(self, tx: Tx, row: Row) -> Receipt:
        """A user is now as the row says; also one who may sign in again."""
        return await self._state(tx, rows.user(UserUpdated, row), row)

    async def deactivated(
        self, tx: Tx, row: Row, *, by: str | None = None, reason: str | None = None
    ) -> Receipt:
        """A person may no longer sign in; the row stays."""
        return await self._state(tx, rows.user(UserDeactivated, row, deactivated_by=by, reason=reason), row)

    async def deleted(self, tx: Tx, row: Row, *, by: str | None = None, reason: str | None = None) -> Receipt:
        """A user's row was deleted."""
        return await self._deletion(
            tx, UserDeleted(user_id=str(row["user_id"]), deleted_by=by, reason=reason), row
        )
