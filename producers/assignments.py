"""Says what becomes of assignments: memberships of users in organizations."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.database import Tx, load
from headwater.event import Event
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.assignments import (
    AssignmentActivated,
    AssignmentCreated,
    AssignmentDeactivated,
    AssignmentDeleted,
    AssignmentState,
    AssignmentUpdated,
)


class Assignments(Voice):
    """For rows of `organization_memberships`. One that is not active leaves the applications' sight."""

    async def created(self, tx: Tx, row: Row) -> Receipt:
        """A user was assigned to an organization."""
        return await self._one(tx, AssignmentCreated, row)

    async def created_many(self, tx: Tx, assigned: Sequence[Row]) -> list[Receipt]:
        """Users were assigned, in this order."""
        return await self._say(tx, AssignmentCreated, assigned)

    async def updated(self, tx: Tx, row: Row) -> Receipt:
        """An assignment is now as its row says."""
        return await self._one(tx, AssignmentUpdated, row)

    async def activated(self, tx: Tx, row: Row) -> Receipt:
        """An assignment is in force again."""
        return await self._one(tx, AssignmentActivated, row)

    async def deactivated(
        self, tx: Tx, row: Row, *, by: str | None = None, reason: str | None = None
    ) -> Receipt:
        """An assignment is no longer in force; its row stays."""
        code = (await _codes(tx, [row])).get(str(row["entity_id"]))
        event = rows.assignment(AssignmentDeactivated, row, code, deactivated_by=by, reason=reason)
        return await self._state(tx, event, row)

    async def deleted(self, tx: Tx, row: Row, *, by: str | None = None, reason: str | None = None) -> Receipt:
        """An assignment's row was deleted."""
        gone = AssignmentDeleted(
            assignment_id=str(row["membership_id"]),
            user_id=str(row["user_id"]),
            organization_id=str(row["entity_id"]),
            deleted_by=by,
            reason=reason,
        )
        return await self._deletion(tx, gone, row)

    async def _one(self, tx: Tx, kind: type[AssignmentState], row: Row) -> Receipt:
        return (await self._say(tx, kind, [row]))[0]

    async def _say(self, tx: Tx, kind: type[AssignmentState], stated: Sequence[Row]) -> list[Receipt]:
        codes = await _codes(tx, stated)
        said: list[tuple[Event, Row]] = [
            (rows.assignment(kind, row, codes.get(str(row["entity_id"]))), row) for row in stated
        ]
        return await self._states(tx, said)


async def _codes(tx: Tx, stated: Sequence[Row]) -> dict[str, str]:
    names = sorted({str(row["entity_id"]) for row in stated})
    found = await tx.fetch(load(__file__, "organization_codes"), names)
    return {str(row["entity_id"]): row["entity_code"] for row in found}
