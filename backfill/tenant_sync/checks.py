"""What doctor asks of the tenant sync: flags that say two things, and syncs that nobody makes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from headwater.cli.checks import Finding, ok, warn
from headwater.config import Settings
from headwater.database import connect, load
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
    finally:
        await connection.close()
    if late:
        yield warn("tenant sync requests", f"{late} are due, and nobody makes them", "headwater sync tenants")
    else:
        yield ok("tenant sync requests", "none is late")
