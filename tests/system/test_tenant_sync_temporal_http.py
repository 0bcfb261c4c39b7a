"""A tenant sync asked for over HTTP and made by Temporal: the same answers, and which workflow it was."""

from __future__ import annotations

from typing import Any

from backfill.tenant_sync.database import DatabaseSource
from headwater.testing import RunningServers, until
from tests.system.running import Running, running
from tests.system.test_tenant_sync_temporal import settings, working
from tests.temporal_server import Temporal


async def stats(system: Running) -> Any:
    """What is counted by method."""
    answer = await system.call("GET", "/api/sync/method-stats")
    assert answer.status == 200, answer
    return answer.body["data"]


async def test_a_trigger_names_its_workflow_and_is_counted_by_how_it_was_made(
    servers: RunningServers, templates: dict[str, str], temporal: Temporal
) -> None:
    kept = settings(temporal)
    flags = {
        "tenant_sync__use_temporal": "true",
        "tenant_sync__temporal_enabled": "true",
        "tenant_sync__temporal_address": kept.temporal_address,
        "tenant_sync__temporal_workflows": kept.temporal_workflows,
    }
    async with running(servers, templates, workers=(), **flags) as system:
        (_, one), (_, other) = await system.founded(), await system.founded()
        instead = await system.call("POST", f"/api/sync/tenants/{other}/trigger")  # nobody works yet
        async with working(kept, DatabaseSource(system.source, "crm"), system.crm):
            made = await system.call("POST", f"/api/sync/tenants/{one}/trigger")
            await until(lambda: _ended(system, 2), within=60.0)
        counted = await stats(system)

    workflow = made.body["data"]
    assert (made.status, workflow["syncMethod"]) == (200, "temporal")
    assert (workflow["workflowId"], bool(workflow["runId"])) == (f"tenant-sync:{one}", True)
    fallback = instead.body["data"]
    assert (instead.status, fallback["syncMethod"]) == (200, "direct")
    assert fallback["requestedMethod"] == "temporal"
    assert fallback["fallbackUsed"]
    assert (counted["temporalSyncs"], counted["directSyncs"], counted["fallbackSyncs"]) == (1, 1, 1)
    assert counted["methods"]["direct"]["fallback"]["completedSyncs"] == 1
    assert counted["methods"]["temporal"]["successRate"] == 100.0


async def _ended(system: Running, count: int) -> bool:
    return bool((await stats(system))["completedSyncs"] == count)
