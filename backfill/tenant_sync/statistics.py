"""Figures of tenant syncs, counted in the database when they are asked for.

What stands now is counted over all tenants, what happened over the runs that ended within a window. Rates
are per cent, durations milliseconds, as in the answers of the existing service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from backfill.tenant_sync.health import HOUR, Hour, alerts, status_of
from backfill.tenant_sync.source import COLLECTIONS, ENTITY_CREDIT
from headwater import clock
from headwater.database import Connection, Database, Row, load

DAY = 86_400.0
STATUSES = ("pending", "in_progress", "completed", "failed")
MOST = 100
"""Tenants that a list gives."""
RUNS = 10_000
"""Runs whose collections are looked at: each has eight."""
_QUANTILES = ("p50", "p95", "p99")


class Reading(NamedTuple):
    """The last hour, for health and for Prometheus."""

    hour: Hour
    ended: Row
    """As `ended_runs.sql`: all runs."""
    by_method: list[Row]
    counts: Row
    lacking: dict[str, int]
    """Tenants whose last attempt at a collection failed, by collection; every collection is in it."""


class Statistics:
    """Of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Reading:
        """The last hour. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            return await read(connection)

    async def health(self) -> dict[str, Any]:
        """How syncs go, by the last hour."""
        reading = await self.read()
        hour, lacking = reading.hour, reading.lacking[ENTITY_CREDIT.name]
        passed = alerts(hour, average=reading.ended["average"], credits_lacking=lacking)
        rate = percent(hour.failure_rate)
        return {
            "status": status_of(hour),
            "successRate": round(100.0 - rate, 2),
            "failureRate": rate,
            "completedSyncs": hour.completed,
            "failedSyncs": hour.failed,
            "stuckSyncs": hour.stuck,
            "activeSyncs": hour.active,
            "alerts": passed,
            "windowSeconds": round(HOUR),
            "timestamp": clock.now(),
        }

    async def standing(self) -> dict[str, Any]:
        """How all tenants stand, and their collections."""
        async with self._database.connection() as connection:
            counts = await _one(connection, "counts")
            rows = await connection.fetch(load(__file__, "collections_now"))
        return {**_counted(counts), "collections": {row["name"]: _tenants(row) for row in rows}}

    async def lately(self, seconds: float) -> dict[str, Any]:
        """What became of runs that ended in the last `seconds`: rates, durations, errors."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(load(__file__, "ended_runs"), seconds)
            errors = await connection.fetch(load(__file__, "errors"), seconds)
        types = {row["type"] or "UNKNOWN_ERROR": row["runs"] for row in errors}
        return {**_ended(rows[0]), "errorTypes": types, "windowSeconds": round(seconds)}

    async def collections(self, seconds: float) -> dict[str, Any]:
        """What became of each collection in those runs; where there are very many, in the newest `RUNS`."""
        rows = await self._database.fetch(load(__file__, "collections_lately"), seconds, RUNS)
        return {row["name"]: _collection(row) for row in rows}

    async def methods(self, seconds: float) -> dict[str, Any]:
        """The same by method, and by whether it was the second choice."""
        rows = await self._database.fetch(load(__file__, "ended_runs"), seconds)
        return by_method(rows) | {"windowSeconds": round(seconds)}

    async def listed(
        self, status: str | None, tenants: Iterable[str] | None, limit: int = MOST
    ) -> list[dict[str, Any]]:
        """Syncs of these tenants, or of all; the newest run first."""
        some = None if tenants is None else list(tenants)
        rows = await self._database.fetch(load(__file__, "listed"), status, some, limit)
        return [_listed(row) for row in rows]

    async def requests(self) -> dict[str, Any]:
        """What was asked for and has not begun, and what nobody makes although it is due for a minute."""
        async with self._database.connection() as connection:
            counts = await _one(connection, "counts")
            late = await connection.fetchval(load(__file__, "late"), 60.0)
        oldest = round(counts["waiting_seconds"], 3)
        return {"waiting": counts["waiting"], "oldestSeconds": oldest, "late": late}

    async def audited(self, tenant: str) -> tuple[bool, list[dict[str, Any]]]:
        """Whether a tenant's run is stuck, and the last ten notes of the audit trail."""
        row = await self._database.fetchrow(load(__file__, "audited"), tenant, 10)
        notes = msgspec.json.decode(row["notes"], type=list[dict[str, Any]]) if row else []
        return row is not None and row["stuck_since"] is not None, notes


async def read(connection: Connection) -> Reading:
    """The last hour, through a connection of the caller's."""
    counts = await _one(connection, "counts")
    rows = await connection.fetch(load(__file__, "ended_runs"), HOUR)
    failed = await connection.fetch(load(__file__, "failed_collections"))
    ended = rows[0]
    hour = Hour(
        completed=ended["completed"], failed=ended["failed"], stuck=counts["stuck"], active=counts["active"]
    )
    lacking = {one.name: 0 for one in COLLECTIONS} | {row["name"]: row["tenants"] for row in failed}
    return Reading(hour, ended, [row for row in rows if row["fallback"] is not None], counts, lacking)


def by_method(rows: Iterable[Row]) -> dict[str, Any]:
    """Rows of `ended_runs.sql` as they are answered. Pure."""
    found: dict[str, dict[str, Any]] = {}
    total: dict[str, Any] = {}
    fallbacks: dict[str, Any] = {}
    for row in rows:
        if row["method"] is None:
            total = _ended(row)
        elif row["fallback"] is None:
            found[row["method"]] = _ended(row)
        elif row["fallback"]:
            fallbacks[row["method"]] = _ended(row)
    return {
        **total,
        "directSyncs": found.get("direct", {}).get("totalSyncs", 0),
        "temporalSyncs": found.get("temporal", {}).get("totalSyncs", 0),
        "fallbackSyncs": sum(one["totalSyncs"] for one in fallbacks.values()),
        "methods": {name: {**one, "fallback": fallbacks.get(name)} for name, one in found.items()},
    }


def percent(share: float) -> float:
    """A share as it is answered: two digits behind the point."""
    return round(100.0 * share, 2)


async def _one(connection: Connection, statement: str) -> Row:
    return (await connection.fetch(load(__file__, statement)))[0]


def _counted(counts: Row) -> dict[str, Any]:
    return {
        "totalTenants": counts["total"],
        "byStatus": {name: counts[name] for name in STATUSES},
        "essentialReady": counts["essential"],
        "withFailedCollections": counts["lacking"],
        "activeSyncs": counts["active"],
        "stuckSyncs": counts["stuck"],
        "waitingRequests": counts["waiting"],
    }


def _ended(row: Row) -> dict[str, Any]:
    return {
        "totalSyncs": row["total"],
        "completedSyncs": row["completed"],
        "failedSyncs": row["failed"],
        "supersededSyncs": row["superseded"],
        **_rates(row),
        "durations": _durations(row, ""),
        "essentialDurations": _durations(row, "essential_"),
    }


def _rates(row: Row) -> dict[str, float | None]:
    ended = row["completed"] + row["failed"]
    if not ended:  # nothing ended: no rate is better than a good one
        return {"successRate": None, "failureRate": None}
    rate = percent(row["failed"] / ended)
    return {"successRate": round(100.0 - rate, 2), "failureRate": rate}


def _durations(row: Row, prefix: str) -> dict[str, int | None]:
    marks = row[f"{prefix}percentiles"] or (None, None, None)
    found = {"average": row[f"{prefix}average"], **dict(zip(_QUANTILES, marks, strict=True))}
    found["max"] = row[f"{prefix}longest"]
    return {name: None if value is None else round(value * 1000) for name, value in found.items()}


def _tenants(row: Row) -> dict[str, Any]:
    ended = row["completed"] + row["failed"]
    return {
        "tenants": row["tenants"],
        "completed": row["completed"],
        "failed": row["failed"],
        "inProgress": row["in_progress"],
        "successRate": percent(row["completed"] / ended) if ended else None,
        "records": {
            "fetched": row["fetched"],
            "stored": row["stored"],
            "skipped": row["skipped"],
            "failed": row["refused"],
            "gone": row["gone"],
        },
        "lastSyncAt": row["last_at"],
    }


def _collection(row: Row) -> dict[str, Any]:
    marks = row["percentiles"] or (None, None, None)
    durations = {"average": row["average"], **dict(zip(_QUANTILES, marks, strict=True))}
    return {
        "runs": row["runs"],
        "completed": row["completed"],
        "failed": row["failed"],
        "successRate": _rates(row)["successRate"],
        "durations": {
            name: None if value is None else round(value * 1000) for name, value in durations.items()
        },
    }


def _listed(row: Row) -> dict[str, Any]:
    return {
        "tenantId": row["tenant"],
        "status": row["status"],
        "phase": row["phase"],
        "attemptCount": row["attempts"],
        "syncMethod": row["sync_method"],
        "requestedMethod": row["requested_method"],
        "fallbackUsed": row["fallback_used"],
        "correlationId": row["correlation_id"],
        "triggeredBy": row["triggered_by"],
        "startedAt": row["started_at"],
        "essentialAt": row["essential_at"],
        "completedAt": row["completed_at"],
        "nextAttemptAt": row["next_attempt_at"],
        "isStuck": row["stuck"],
        "hasFailedCollections": bool(row["lacking"]),
        "failedCollections": row["lacking"],
        "errorType": row["error_type"],
        "error": row["error"],
    }
