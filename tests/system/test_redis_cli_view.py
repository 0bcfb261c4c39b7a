"""What `redis-cli` shows of a stream: flat fields in constant order, as the seed prints them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from headwater.testing import RunningServers
from tests.system.running import Running, running

ROUTING = ["schemaVersion", "op", "version", "key", "target", "hist"]
CREDIT = ["eventId", "eventType", "tenantId", "entityId", "amount", "expiresAt", "timestamp", "source"]
OTHER = ["eventId", "eventType", "tenantId", "entityId", "timestamp", "source"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    """A running system."""
    async with running(servers, templates) as system:
        yield system


async def shown(system: Running, key: str) -> list[list[tuple[str, str]]]:
    """`XREAD STREAMS key 0`, each entry as the field and value lines that are printed."""
    name = system.wiring.settings.key_prefix + key
    reply: Any = await system.wiring.broker.execute("XREAD", "STREAMS", name, "0")
    [(stream, entries)] = reply.items() if isinstance(reply, dict) else reply
    assert stream.decode() == name
    lines = []
    for _, flat in entries:
        texts = [one.decode() for one in flat]
        lines.append(list(zip(texts[::2], texts[1::2], strict=True)))
    return lines


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(system: Running) -> str:
    """A tenant whose history was synced, and that went on changing."""
    story, tenant = await system.founded()
    await system.enabled(tenant)
    await story.change(60)
    await system.quiet()
    return tenant


def names(lines: list[tuple[str, str]]) -> list[str]:
    """The fields in the order in which they stand."""
    return [name for name, _ in lines]


async def test_credit_events_show_the_flat_fields_of_the_seed(system: Running, tenant: str) -> None:
    entries = await shown(system, "credit-events")

    [past] = [dict(lines) for lines in entries if dict(lines)["hist"] == "1"]
    allocation = await system.source.fetchrow(
        "SELECT allocation_id::text, source_entity_id::text, allocated_at FROM credit_allocations "
        "WHERE allocation_id = $1::text::uuid",
        past["key"],
    )
    assert allocation is not None
    assert (past["eventType"], past["tenantId"]) == ("credit.allocated", tenant)
    assert (past["entityId"], past["amount"]) == (allocation["source_entity_id"], "400.0000")
    metadata = json.loads(past["metadata"])
    assert (metadata["allocationId"], metadata["targetApplication"]) == (allocation["allocation_id"], "crm")
    assert metadata["isHistoricalSync"] is True
    assert metadata["originalAllocatedAt"][:19] == allocation["allocated_at"].isoformat()[:19]
    assert metadata["originalAllocatedAt"].endswith("Z")
    assert metadata["entityType"] == "organization"
    assert float(metadata["availableCredits"]) == 400


async def test_live_credit_events_stand_beside_and_are_told_apart_by_the_flag(
    system: Running, tenant: str
) -> None:
    live = [dict(lines) for lines in await shown(system, "credit-events") if dict(lines)["hist"] == "0"]

    assert len(live) > 3
    for one in live:
        metadata = json.loads(one["metadata"])
        assert metadata["isHistoricalSync"] is False
        assert "originalAllocatedAt" not in metadata
        assert one["tenantId"] == tenant
        float(one["amount"])


async def test_organizations_show_the_flat_fields_of_the_seed(system: Running, tenant: str) -> None:
    entries = await shown(system, "crm:sync:organization:org_created")

    past = [dict(lines) for lines in entries if dict(lines)["hist"] == "1"]
    assert len(past) == 5
    for one in past:
        assert (one["eventType"], one["tenantId"], one["target"]) == ("org.created", tenant, "crm")
        data, metadata = json.loads(one["data"]), json.loads(one["metadata"])
        assert data["organizationId"] == one["entityId"] == one["key"]
        assert data["orgCode"].startswith("ORG_")
        assert {"orgName", "description", "industry", "website"} <= set(data)
        assert (data["industry"], data["website"]) != (None, None)
        assert metadata["isHistoricalSync"] is True
        assert metadata["originalCreatedAt"] == data["createdAt"]


async def test_fields_stand_in_constant_order(system: Running, tenant: str) -> None:
    for lines in await shown(system, "crm:sync:organization:org_created"):
        job = ["job"] if dict(lines)["hist"] == "1" else []
        assert names(lines) == [*OTHER, *ROUTING, *job, "data", "metadata"]
    for lines in await shown(system, "credit-events"):
        job = ["job"] if dict(lines)["hist"] == "1" else []
        if dict(lines)["eventType"] == "credit.allocated":
            without = [name for name in CREDIT if name != "expiresAt" or name in names(lines)]
            assert names(lines) == [*without, *ROUTING, *job, "data", "metadata"]


async def test_what_stands_on_the_stream_of_a_tenant_that_never_opted_in_is_nothing(system: Running) -> None:
    _, other = await system.founded()
    await system.quiet()

    streams = ("crm:sync:organization:org_created", "crm:organization-assignments")
    seen = {dict(lines)["tenantId"] for key in streams for lines in await shown(system, key)}

    assert other not in seen
