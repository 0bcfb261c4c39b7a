"""Active credit allocations of a tenant to one application, said again: whole balances, never increments."""

from collections.abc import Mapping
from typing import Any

from headwater.database import load
from headwater.event import Event
from headwater.replay import Backfill
from producers import rows
from schemas.credits import CREDITS


def _say(row: Mapping[str, Any]) -> Event:
    return rows.credit(row, reason="historical_sync")


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"allocationId": row["key"], "amount": str(row["allocated_credits"])}


credits = Backfill(  # noqa: A001 (the subject's own name)
    subject=CREDITS.name,
    scope=load(__file__, "credits"),
    order=("allocation_id",),
    key_column="allocation_id",
    say=_say,
    gone=rows.credit_gone,
    option="syncCredits",
    detail=_detail,
)
