"""Credits of the CRM: balances from states, uses as a log, increments of old producers with care.

A state carries the whole balance, so nothing is ever added up. Old producers say only by how much
an allocation grew, or, in their backfills, how much it was in all. Those figures stand until the
first state of the allocation is applied; later ones are recorded and not counted. Until then a
balance is the latest total plus the increments said after it, whatever the order they arrive in.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from consumers.crm.app import crm
from headwater.database import Tx, load
from headwater.delivery import Context
from schemas.credits import CreditAllocated, CreditConfigUpdated, CreditConsumed, CreditIncremented

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When something was said that tells no time: a total said later includes it."""


@crm.upsert(
    CreditAllocated,
    table="crm.credits",
    key="allocation_id",
    live="expires_at IS NULL OR expires_at > now()",
)
class Credit:
    """A row of `crm.credits`."""

    source_entity_id: str
    source_entity_type: str
    allocated_credits: Decimal
    used_credits: Decimal
    available_credits: Decimal
    credit_type: str
    allocation_type: str
    purpose: str | None
    allocated_at: datetime | None
    expires_at: datetime | None


@crm.upsert(CreditConfigUpdated, table="crm.credit_configs", key="config_id")
class CreditConfig:
    """A row of `crm.credit_configs`."""

    operation_code: str
    credit_cost: Decimal
    unit: str | None
    unit_multiplier: Decimal | None
    free_allowance: Decimal | None
    is_global: bool
    is_active: bool
    updated_at: datetime | None


@crm.on(CreditConsumed)
async def on_credit_consumed(event: CreditConsumed, tx: Tx, context: Context) -> None:
    """Write the use down, once an operation."""
    await tx.execute(
        load(__file__, "record_use"),
        *(context.tenant, event.operation_id, event.source_entity_id, event.user_id, event.amount),
        *(event.operation_type, event.resource_type, event.resource_id),
        event.consumed_at,
    )


@crm.on(CreditIncremented)
async def on_credit_incremented(event: CreditIncremented, tx: Tx, context: Context) -> None:
    """Record an old producer's figure, and count it while no state of its allocation was applied.

    Credits bought for an entity as a whole are not the CRM's until they are allocated to it.
    """
    counted = event.allocation_id is not None and await tx.fetchval(
        load(__file__, "lock_counted"),
        *(context.tenant, event.allocation_id, event.source_entity_id, event.source_entity_type),
        *(event.allocated_at, event.expires_at),
    )
    await tx.execute(
        load(__file__, "record_increment"),
        *(context.tenant, context.event_id, event.allocation_id, event.source_entity_id, event.amount),
        *(event.available_credits, event.cumulative, event.reason),
        *(_said_at(context), bool(counted)),
    )
    if counted:
        await tx.execute(load(__file__, "count_increments"), context.tenant, event.allocation_id)


def _said_at(context: Context) -> datetime:
    return datetime.fromisoformat(context.time) if context.time else LONG_AGO
