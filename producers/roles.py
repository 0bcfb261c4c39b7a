"""Says what becomes of roles and of who has them."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.database import Tx
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.roles import RoleCreated, RoleDeleted, RoleUnassigned, RoleUpdated


class Roles(Voice):
    """For rows of `custom_roles` and `user_role_assignments`."""

    async def created(self, tx: Tx, row: Row) -> Receipt:
        """A role was defined."""
        return await self._state(tx, rows.role(RoleCreated, row), row)

    async def created_many(self, tx: Tx, defined: Sequence[Row]) -> list[Receipt]:
        """Roles were defined, in this order."""
        return await self._states(tx, [(rows.role(RoleCreated, row), row) for row in defined])

    async def updated(self, tx: Tx, row: Row, *, by: str | None = None) -> Receipt:
        """A role is now as its row says."""
        return await self._state(tx, rows.role(RoleUpdated, row, by), row)

    async def deleted(
        self,
        tx: Tx,
        row: Row,
        *,
        by: str | None = None,
        transferred_to: str | None = None,
        affected: int | None = None,
    ) -> Receipt:
        """A role's row was deleted. `transferred_to`: the role its `affected` users have now."""
        gone = RoleDeleted(
            role_id=str(row["role_id"]),
            role_name=row["role_name"],
            transferred_to_role_id=transferred_to,
            affected_users_count=affected,
            deleted_by=by,
        )
        return await self._deletion(tx, gone, row)

    async def assigned(self, tx: Tx, row: Row) -> Receipt:
        """A user has a role, as the row of `user_role_assignments` says."""
        return await self._state(tx, rows.role_assignment(row), row)

    async def assigned_many(self, tx: Tx, given: Sequence[Row]) -> list[Receipt]:
        """Users were given roles, in this order."""
        return await self._states(tx, [(rows.role_assignment(row), row) for row in given])

    async def unassigned(
        self, tx: Tx, row: Row, *, by: str | None = None, reason: str | None = None
    ) -> Receipt:
        """A user no longer has a role; the row stays, inactive."""
        return await self._state(tx, _unassigned(row, by, reason), row)

    async def assignment_deleted(
        self, tx: Tx, row: Row, *, by: str | None = None, reason: str | None = None
    ) -> Receipt:
        """A row of `user_role_assignments` was deleted."""
        return await self._deletion(tx, _unassigned(row, by, reason), row)


def _unassigned(row: Row, by: str | None, reason: str | None) -> RoleUnassigned:
    return RoleUnassigned(
        assignment_id=str(row["id"]),
        user_id=str(row["user_id"]),
        role_id=str(row["role_id"]),
        unassigned_by=by,
        reason=reason,
    )
