"""What a caller is told of a tenant's sync. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from backfill.tenant_sync.errors import SyncError
from backfill.tenant_sync.leases import State
from backfill.tenant_sync.source import AFTER, ESSENTIAL


class SyncResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer, in the names of the existing service. Durations are milliseconds."""

    success: bool
    tenant_id: str
    correlation_id: str
    sync_method: str = "direct"
    requested_method: str = "direct"
    fallback_used: bool = False
    status: str = "failed"
    phase: str = "independent"
    duration: int = 0
    essential_duration: int | None = None
    background_duration: int | None = None
    """None while it goes on."""
    background_sync_started: bool = False
    already_synced: bool = False
    joined: bool = False
    """Another caller's run was waited for."""
    stats: dict[str, Any] = {}
    collections: dict[str, dict[str, Any]] = {}
    has_failed_collections: bool = False
    failed_collections: list[dict[str, Any]] = []
    error: str | None = None
    error_type: str | None = None
    retryable: bool | None = None
    action: str | None = None
    temporal_error: str | None = None
    """Why the Temporal way did not end, where the direct one was taken after it."""
    workflow_id: str | None = None
    run_id: str | None = None


def answer(state: State) -> SyncResult:
    """What the rows of a sync say."""
    row, error = state.row, _error(state)
    essential = row["essential_seconds"]
    failed = [_failed(name, one) for name, one in state.collections.items() if one["status"] == "failed"]
    ended = row["completed_at"] is not None
    return SyncResult(
        success=row["phase"] != "independent",
        tenant_id=str(row["tenant_id"]),
        correlation_id=row["correlation_id"],
        sync_method=row["sync_method"],
        requested_method=row["requested_method"],
        fallback_used=row["fallback_used"],
        status=row["status"],
        phase=row["phase"],
        duration=_milliseconds(row["seconds"]) or 0,
        essential_duration=_milliseconds(essential),
        background_duration=_milliseconds(row["seconds"] - max(0.0, essential or 0.0)) if ended else None,
        stats=_stats(state),
        collections={name: _collection(one) for name, one in state.collections.items()},
        has_failed_collections=bool(failed),
        failed_collections=failed,
        error=error.get("message"),
        error_type=error.get("type"),
        retryable=error.get("retryable"),
        action=error.get("action"),
    )


def failure(error: SyncError, *, temporal: bool = False, instead: str | None = None) -> SyncResult:
    """What went wrong, where no row tells of it. `instead`: why Temporal's way was left before."""
    return SyncResult(
        success=False,
        sync_method="temporal" if temporal and instead is None else "direct",
        requested_method="temporal" if temporal else "direct",
        fallback_used=instead is not None,
        temporal_error=instead,
        tenant_id=error.tenant,
        correlation_id=error.correlation,
        duration=_milliseconds(error.duration) or 0,
        error=str(error),
        error_type=error.type,
        retryable=error.retryable,
        action=error.hint,
    )


def _error(state: State) -> dict[str, Any]:
    stored = state.row["error"]
    return msgspec.json.decode(stored, type=dict[str, Any]) if stored else {}


def _stats(state: State) -> dict[str, Any]:
    stored = {name: one["stored"] for name, one in state.collections.items()}
    names = [one.name for one in ESSENTIAL]
    counts = {("tenant" if name == "tenants" else name): stored.get(name, 0) for name in names}
    after = {one.name: stored.get(one.name, 0) for one in AFTER}
    return {**counts, "totalRecords": sum(counts.values()), **after}


def _collection(one: Any) -> dict[str, Any]:
    counts = {name: one[name] for name in ("fetched", "stored", "skipped", "failed", "gone")}
    return {"status": one["status"], **counts, "error": one["error"], "lastSyncAt": one["synced_at"]}


def _failed(name: str, one: Any) -> dict[str, Any]:
    counts = {name: one[name] for name in ("fetched", "stored", "failed")}
    return {"collection": name, "error": one["error"], "lastSyncAt": one["synced_at"], **counts}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
