"""How one tenant's sync stands, as the existing service tells it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from backfill.tenant_sync.leases import State
from backfill.tenant_sync.result import answer
from backfill.tenant_sync.source import COLLECTIONS
from backfill.tenant_sync.states import Standing

_MESSAGES = {
    "not_started": "Sync has not been started",
    "pending": "Sync is asked for and has not begun",
    "in_progress": "Sync in progress",
    "completed": "Sync completed",
    "failed": "Sync failed",
}


def needs_sync(seen: Standing | None) -> bool:
    """Whether something of a tenant is to be fetched that nobody is fetching."""
    if seen is None:
        return True
    if seen.busy:
        return False
    return not seen.known or seen.phase != "completed" or seen.unfinished


def status(tenant: str, state: State | None, stuck: bool, notes: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of it."""
    if state is None:
        return _not_started(tenant) | {"events": notes}
    row, result = state.row, answer(state)
    errors = msgspec.json.decode(row["error"]) if row["error"] else None
    return {
        "tenantId": tenant,
        "status": row["status"],
        "phase": row["phase"],
        "attemptCount": row["attempts"],
        "startedAt": row["started_at"],
        "essentialAt": row["essential_at"],
        "completedAt": row["completed_at"],
        "lastAttemptAt": row["started_at"],
        "nextAttemptAt": row["next_attempt_at"],
        "isStuck": stuck,
        "isLocked": row["busy"],
        "progress": percentage(state),
        "errors": [errors] if errors else [],
        "metadata": {"triggeredBy": row["triggered_by"], "correlationId": row["correlation_id"]},
        "needsSync": needs_sync(state.standing),
        "syncMethod": row["sync_method"],
        "requestedMethod": row["requested_method"],
        "fallbackUsed": row["fallback_used"],
        "hasFailedCollections": result.has_failed_collections,
        "failedCollections": result.failed_collections,
        "collections": result.collections,
        "events": notes,
    }


def progress(tenant: str, state: State | None) -> dict[str, Any]:
    """How far it is."""
    name = "not_started" if state is None else state.row["status"]
    shown = {} if state is None else answer(state).collections
    done = set() if state is None else ended(state)
    return {
        "tenantId": tenant,
        "status": name,
        "phase": "independent" if state is None else state.row["phase"],
        "progress": 0 if state is None else percentage(state),
        "syncedCollections": sum(shown[one]["status"] == "completed" for one in done),
        "totalCollections": len(COLLECTIONS),
        "collections": shown,
        "message": _MESSAGES[name],
    }


def percentage(state: State) -> int:
    """Share of the collections that came to an end, well or not, in per cent."""
    return round(100 * len(ended(state)) / len(COLLECTIONS))


def ended(state: State) -> set[str]:
    """Collections that came to an end: in this run where it is a whole one, else in whatever run."""
    began, essential = state.row["started_at"], state.row["essential_at"]
    whole = began is not None and (essential is None or essential >= began)
    return {
        name
        for name, one in state.collections.items()
        if one["status"] != "in_progress" and not (whole and one["synced_at"] < began)
    }


def _not_started(tenant: str) -> dict[str, Any]:
    return {
        "tenantId": tenant,
        "status": "not_started",
        "phase": "independent",
        "attemptCount": 0,
        "startedAt": None,
        "essentialAt": None,
        "completedAt": None,
        "lastAttemptAt": None,
        "nextAttemptAt": None,
        "isStuck": False,
        "isLocked": False,
        "progress": 0,
        "errors": [],
        "metadata": {"triggeredBy": None, "correlationId": None},
        "needsSync": True,
        "syncMethod": "direct",
        "requestedMethod": "direct",
        "fallbackUsed": False,
        "hasFailedCollections": False,
        "failedCollections": [],
        "collections": {},
    }
