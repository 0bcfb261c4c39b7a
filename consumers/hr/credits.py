"""Credits that were allocated to human resources."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from consumers.hr.app import hr
from schemas.credits import CreditAllocated


@hr.upsert(
    CreditAllocated,
    table="hr.credits",
    key="allocation_id",
    live="expires_at IS NULL OR expires_at > now()",
)
class Credit:
    """A row of `hr.credits`."""

    source_entity_id: str
    allocated_credits: Decimal
    used_credits: Decimal
    available_credits: Decimal
    credit_type: str
    allocated_at: datetime | None
    expires_at: datetime | None
