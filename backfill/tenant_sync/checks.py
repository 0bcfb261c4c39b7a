"""What doctor asks of the tenant sync: flags that say two things, syncs that nobody makes, health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from backfill.tenant_sync.health import Hour, status_of
from backfill.tenant_sync.statistics import read
from headwater.cli.checks import Finding, fail, ok, warn
from headwater.config import Settings
from headwater.database import Connection, connect, load
from headwater.errors import ServerUnavailable

APP = "crm"
LATE = 60.0
"""Seconds after which a sync that is due should have begun."""


async def checks(settings: Settings) -> AsyncIterator[Finding]:
    """Findings; of syncs none where the CRM's database is not named, away or without its tables."""
    kept = settings.tenant_sync
    if kept.use_temporal and not kept.temporal_enabled:
        detail = "USE_TEMPORAL_FOR_AUTH is true and TEMPORAL_ENABLED is not: syncs are direct"
        yield warn("tenant sync method", detail, "set both, or neither")
    if APP not in settings.apps:
        return
    try:
        connection = await connect(settings.apps[APP].reveal())
    except ServerUnavailable:  # the doctor's own lines say so
        return
    try:
        if await connection.fetchval("SELECT to_regclass('crm.tenant_syncs')") is None:
            return
        late = await connection.fetchval(load(__file__, "late"), LATE)
        going = await _going(connection)
    finally:
        await connection.close()
    for finding in going:
        yield finding
    if late:
        yield warn("tenant sync requests", f"{late} are due, and nobody makes them", "headwater sync tenants")
    else:
        yield ok("tenant sync requests", "none is late")


async def _going(connection: Connection) -> list[Finding]:
    if await connection.fetchval("SELECT to_regproc('crm.tenant_sync_stuck_since')") is None:
        return []  # before that migration: the doctor's own lines say so
    reading = await read(connection)
    return findings(reading.hour, reading.lacking)


def findings(hour: Hour, lacking: Mapping[str, int]) -> list[Finding]:
    """What the last hour says; `lacking`: tenants whose last attempt at a collection failed. Pure."""
    found = [_judged(hour)]
    if hour.stuck:
        detail = f"{hour.stuck} in progress, and nobody makes them"
        found.append(warn("tenant sync stuck", detail, "headwater sync tenants, or headwater sync cleanup"))
    told = ", ".join(f"{name} of {count} tenants" for name, count in lacking.items() if count)
    if told:
        fix = "headwater sync tenant T: its answer says which rows, and why"
        found.append(warn("tenant sync collections", f"not whole: {told}", fix))
    return found


def _judged(hour: Hour) -> Finding:
    status, ended = status_of(hour), hour.completed + hour.failed
    detail = f"{status}: {hour.failed} of {ended} runs failed in the last hour"
    if status == "healthy":
        return ok("tenant sync health", detail)
    fix = "GET /api/sync/statistics has the types of errors, the log more under their correlation ids"
    return (fail if status == "unhealthy" else warn)("tenant sync health", detail, fix)
