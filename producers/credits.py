"""Says what becomes of credit allocations, of their use, and of what operations cost."""

from __future__ import annotations

from decimal import Decimal

from headwater.database import Tx
from headwater.publish import Receipt
from producers import rows
from producers.rows import Row
from producers.voice import Voice
from schemas.credits import CreditAllocated, CreditConsumed


class Credits(Voice):
    """For rows of `credit_allocations` and `credit_configurations`."""

    async def allocated(
        self, tx: Tx, row: Row, *, amount: Decimal | None = None, reason: str | None = None
    ) -> Receipt:
        """An allocation is now as its row says: made, topped up, used, changed or ended.

        `amount`: by how much `allocated_credits` changed; by default all of it. Informative.
        """
        return await self._state(tx, rows.credit(row, amount=amount, reason=reason), row)

    async def moved(self, tx: Tx, row: Row) -> Receipt:
        """An allocation has another target now. That the one before loses it, the database says itself."""
        return await self._state(tx, rows.credit(row, reason="moved"), row)

    async def deleted(self, tx: Tx, row: Row) -> Receipt:
        """An allocation's row was deleted."""
        gone = CreditAllocated(
            allocation_id=str(row["allocation_id"]),
            target_application=row["target_application"],
            is_active=False,
            reason="deleted",
        )
        return await self._deletion(tx, gone, row)

    async def consumed(self, tx: Tx, tenant: str, use: CreditConsumed) -> Receipt:
        """An operation used credits. Saying the same operation twice is harmless."""
        return await self._producer.publish(tx, use, tenant=tenant, operation_id=use.operation_id)

    async def configured(self, tx: Tx, row: Row, *, created: bool = False) -> Receipt:
        """What an operation costs is now as its row says."""
        return await self._state(tx, rows.credit_config(row, "created" if created else "updated"), row)
