"""Credits: what an application was given, what was used, and what an operation costs.

Balances come from the state of an allocation, never from adding amounts up: `amount` says by how
much the allocation just changed (live) or what it is in all (historical), for people and older
readers. Its key is the allocation; `entityId` on the wire is the entity the credits come from.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from headwater.event import Event, Operation, Subject
from schemas.shared import ORGANIZATION, USER, Code, Id, Instant, Reference, amounts, at

CREDITS = Subject("credits")
INCREMENTS = Subject("credit_increments", state=False)
USES = Subject("credit_uses", state=False)
CONFIGS = Subject("credit_configs")


class CreditAllocated(Event, frozen=True, kw_only=True):
    """An allocation of credits to an application is now as stated; inactive ones leave its sight."""

    type: ClassVar[str] = "credit.allocated"
    subject: ClassVar[Subject] = CREDITS

    allocation_id: Id
    source_entity_id: Id | None = None
    """The entity that gives; only an allocation that is gone may lack it."""
    source_entity_type: Code = "organization"
    target_application: Code | None = None
    amount: Decimal = Decimal(0)
    """By how much it changed, or the whole of a historical one. Never to be added up."""
    allocated_credits: Decimal = Decimal(0)
    used_credits: Decimal = Decimal(0)
    available_credits: Decimal = Decimal(0)
    credit_type: Code = "free"
    allocation_type: Code = "manual"
    purpose: str | None = None
    reason: str | None = None
    is_active: bool = True
    allocated_by: Id | None = None
    allocated_at: Instant | None = None
    expires_at: Instant | None = None

    def __post_init__(self) -> None:
        amounts(self.amount, self.allocated_credits, self.used_credits, self.available_credits)
        if self.is_active and not (self.source_entity_id and self.target_application):
            raise ValueError("an active allocation names its sourceEntityId and targetApplication")

    @property
    def key(self) -> str:
        """The allocation."""
        return self.allocation_id

    @property
    def entity(self) -> str:
        """The giving entity, as older readers expect it."""
        return self.source_entity_id or self.allocation_id

    @property
    def op(self) -> Operation:
        """Gone once it is inactive."""
        return "u" if self.is_active else "d"

    @property
    def target(self) -> str:
        """The application the credits are for."""
        return self.target_application or "*"

    def headline(self) -> dict[str, Any]:
        """The amount."""
        return {"amount": self.amount}

    def labels(self) -> dict[str, Any]:
        """What older readers look for in the metadata."""
        return {
            "allocationId": self.allocation_id,
            "reason": self.reason,
            "entityType": self.source_entity_type,
            "targetApplication": self.target_application,
            "allocatedBy": self.allocated_by,
            "availableCredits": self.available_credits,
        }

    def original_time(self) -> tuple[str, Any] | None:
        """When it was first allocated."""
        return "originalAllocatedAt", self.allocated_at


class CreditIncremented(Event, frozen=True, kw_only=True):
    """An older producer says that an allocation grew; applied once by event id, before any state."""

    type: ClassVar[str] = "credit.incremented"
    subject: ClassVar[Subject] = INCREMENTS
    operation: ClassVar[Operation] = "x"
    read_only: ClassVar[bool] = True

    allocation_id: Reference | None = None
    """Missing where credits were bought for an entity instead of allocated to an application."""
    source_entity_id: Reference
    source_entity_type: Code = "organization"
    target_application: Code | None = None
    amount: Decimal
    cumulative: bool = False
    """True for historical ones: `amount` is all that was ever allocated, to be set, not added."""
    available_credits: Decimal | None = None
    reason: str | None = None
    allocated_by: Reference | None = None
    allocated_at: Instant | None = None
    expires_at: Instant | None = None

    def __post_init__(self) -> None:
        amounts(self.amount, self.available_credits)

    @property
    def key(self) -> str:
        """The allocation, or the entity where none is named."""
        return self.allocation_id or self.source_entity_id

    @property
    def entity(self) -> str:
        """The giving entity."""
        return self.source_entity_id

    @property
    def target(self) -> str:
        """The application the credits are for."""
        return self.target_application or "*"

    def headline(self) -> dict[str, Any]:
        """The amount."""
        return {"amount": self.amount}


class CreditConsumed(Event, frozen=True, kw_only=True):
    """An operation used up credits of an entity."""

    type: ClassVar[str] = "credit.consumed"
    subject: ClassVar[Subject] = USES
    operation: ClassVar[Operation] = "x"

    operation_id: Reference
    """Identity of the use; the event id where an older producer gave none."""
    source_entity_id: Reference
    user_id: Reference | None = None
    amount: Decimal
    operation_type: Reference | None = None
    """What was done: `crm.leads.create`."""
    resource_type: str | None = None
    resource_id: str | None = None
    consumed_at: Instant | None = None

    def __post_init__(self) -> None:
        amounts(self.amount)

    @property
    def key(self) -> str:
        """The operation."""
        return self.operation_id

    @property
    def entity(self) -> str:
        """The entity whose credits were used."""
        return self.source_entity_id

    def headline(self) -> dict[str, Any]:
        """Who did what, for how much."""
        said = {
            "userId": self.user_id,
            "amount": self.amount,
            "operationType": self.operation_type,
            "operationId": self.operation_id,
        }
        return {name: value for name, value in said.items() if value is not None}

    def labels(self) -> dict[str, Any]:
        """What it was done to."""
        return {"resourceType": self.resource_type, "resourceId": self.resource_id}


class CreditConfigUpdated(Event, frozen=True, kw_only=True):
    """What an operation costs is now as stated."""

    type: ClassVar[str] = "credit.config_updated"
    subject: ClassVar[Subject] = CONFIGS

    config_id: Id
    operation_code: Reference
    credit_cost: Decimal
    unit: str | None = None
    unit_multiplier: Decimal | None = None
    free_allowance: Decimal | None = None
    is_global: bool = False
    is_active: bool = True
    change_type: Code = "updated"
    """`created` or `updated`."""
    updated_by: Id | None = None
    updated_at: Instant | None = None

    def __post_init__(self) -> None:
        amounts(self.credit_cost, self.unit_multiplier, self.free_allowance)

    @property
    def key(self) -> str:
        """The configuration."""
        return self.config_id


_ALLOCATION = "3e0b6a44-9d1f-4f0a-b1c2-5a6b7c8d9e04"

EXAMPLES: tuple[Event, ...] = (
    CreditAllocated(
        allocation_id=_ALLOCATION,
        source_entity_id=ORGANIZATION,
        target_application="crm",
        amount=Decimal("1000.5"),
        allocated_credits=Decimal("1000.5"),
        used_credits=Decimal("150.5"),
        available_credits=Decimal(850),
        reason="credit_allocation",
        allocated_by=USER,
        allocated_at=at("2024-01-15T10:30:00Z"),
        expires_at=at("2027-01-15T00:00:00Z"),
    ),
    CreditIncremented(
        allocation_id=_ALLOCATION,
        source_entity_id=ORGANIZATION,
        target_application="crm",
        amount=Decimal(400),
        available_credits=Decimal(850),
        reason="application_allocation",
    ),
    CreditConsumed(
        operation_id="op-1",
        source_entity_id=ORGANIZATION,
        user_id=USER,
        amount=Decimal(50),
        operation_type="crm.leads.create",
        resource_type="lead",
        resource_id="l1",
    ),
    CreditConfigUpdated(
        config_id="8c2d1e0f-4a5b-4c6d-9e7f-1a2b3c4d5e05",
        operation_code="crm.leads.create",
        credit_cost=Decimal("1.5"),
        unit="operation",
        free_allowance=Decimal(10),
        updated_by=USER,
        updated_at=at("2026-02-01T08:00:00Z"),
    ),
)
"""One example an event."""
