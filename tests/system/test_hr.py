"""Human resources sees the credits and the assignments that are meant for it, and nothing else."""

from __future__ import annotations

from decimal import Decimal

from headwater.event import Envelope, Event
from headwater.publish import Said
from schemas.assignments import AssignmentCreated, AssignmentDeactivated
from schemas.credits import CreditAllocated, CreditConsumed
from schemas.users import UserCreated
from tests.system.conftest import Application

TENANT = "7d0c3a52-4b0e-4c37-9a55-2f3f8c1f7a10"
ORGANIZATION = "cae02c60-77b2-4a0c-8d0e-0c3b1f1d2a01"
USER = "5b1f7c88-2f51-4d1b-9a34-6f0a7f2b9c02"


def state(event: Event, version: int | None = 1) -> Envelope:
    """An envelope of ours."""
    return Said(event, TENANT, version).envelope("wrapper")


def credit(app: str) -> CreditAllocated:
    """An allocation."""
    return CreditAllocated(
        allocation_id=f"for-{app}",
        source_entity_id=ORGANIZATION,
        target_application=app,
        allocated_credits=Decimal(100),
    )


async def test_only_credits_allocated_to_hr_are_kept(hr: Application) -> None:
    await hr.take(state(credit("crm")), state(credit("hr")))

    assert [row["allocation_id"] for row in await hr.rows("hr.credits")] == ["for-hr"]


async def test_an_assignment_that_ended_stays_as_an_inactive_row(hr: Application) -> None:
    await hr.take(state(AssignmentCreated(assignment_id="a1", user_id=USER, organization_id=ORGANIZATION)))
    await hr.take(state(AssignmentDeactivated(assignment_id="a1"), 2))

    assert [row["is_active"] for row in await hr.rows("hr.assignments")] == [False]


async def test_what_hr_does_not_handle_is_passed_over(hr: Application) -> None:
    use = CreditConsumed(operation_id="op-1", source_entity_id=ORGANIZATION, amount=Decimal(1))

    assert await hr.take(state(UserCreated(user_id=USER, name="Ada")), state(use, None)) == []
