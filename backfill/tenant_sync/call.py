"""One caller of a tenant sync: what it asked for, how far it has come, and what it does next. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from backfill.tenant_sync.errors import SyncError
from backfill.tenant_sync.leases import State
from backfill.tenant_sync.result import SyncResult
from backfill.tenant_sync.routing import Method, after
from backfill.tenant_sync.source import COLLECTIONS, Collection
from backfill.tenant_sync.states import Step, next_step
from backfill.tenant_sync.temporal.shapes import workflow_id


class Call(msgspec.Struct, kw_only=True):
    """One caller's way through."""

    tenant: str
    correlation: str
    triggered_by: str
    method: Method
    force: bool
    background: bool = True
    joined: str = ""
    """Correlation id of the run that is waited for."""
    temporal: bool = False
    """Asked of Temporal first."""
    trouble: SyncError | None = None
    """Why Temporal's way was left."""
    run_id: str | None = None
    until: float = 0.0
    """When Temporal's time is over, on the monotonic clock."""

    @property
    def instead(self) -> str | None:
        """The trouble as a text."""
        return None if self.trouble is None else str(self.trouble)

    def told(self, result: SyncResult, **about: Any) -> SyncResult:
        """A result with what only this call knows."""
        if self.run_id is not None:
            about |= {"workflow_id": workflow_id(self.tenant), "run_id": self.run_id or None}
        return msgspec.structs.replace(result, temporal_error=self.instead, **about)


def step_of(state: State | None, call: Call) -> Step:
    """What the call does next, by how the tenant stands."""
    step = next_step(state.standing if state else None, force=call.force)
    return "ready" if step == "finish" and not call.background else step


def ended(state: State, joined: str) -> bool:
    """Whether the run that is waited for has failed."""
    row = state.row
    return bool(row["correlation_id"] == joined and not row["busy"] and row["status"] == "failed")


def is_left(call: Call, state: State) -> bool:
    """Whether a failed run is one of the way that the call has left, and is not the call's own answer."""
    return call.trouble is not None and state.row["sync_method"] == "temporal"


def brought(call: Call, state: State) -> bool:
    """Whether Temporal has the essential data in; where its lease ran out meanwhile, it has the rest, too."""
    return call.run_id is not None and not call.force and state.standing.essential


def stuck(call: Call, state: State) -> bool:
    """Whether the run that holds the lease is Temporal's, and does not move any more."""
    row = state.row
    if call.trouble is None or row["sync_method"] != "temporal":
        return False
    return after(call.trouble, busy=row["busy"], idle=row["idle"]) == "steal"


def unfinished(state: State | None) -> list[Collection]:
    """Collections that did not come to their end."""
    done = {
        name for name, one in (state.collections if state else {}).items() if one["status"] == "completed"
    }
    return [one for one in COLLECTIONS if one.name not in done]
