"""Credits stand where the source has them, whoever moves or ends an allocation, and however it is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from headwater.testing import RunningServers
from producers import Producers
from tests.system.running import Running, running

ONE = """
UPDATE credit_allocations SET {} WHERE allocation_id = (
    SELECT allocation_id FROM credit_allocations
     WHERE tenant_id = $1 AND target_application = 'crm' AND is_active LIMIT 1)
RETURNING *
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Running]:
    async with running(servers, templates) as system:
        yield system


@pytest.mark.parametrize("said_as", ["moved", "allocated", "nothing"])
async def test_an_allocation_that_moved_is_gone_where_it_was_and_stands_where_it_is(
    system: Running, said_as: str
) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    assert (await system.toggle(tenant, "hr", skipHistoricalSync=True)).status == 200
    before = await system.count("crm.credits", tenant)
    say = Producers(system.wiring.producer()).credits

    async with system.source.transaction() as tx:
        row: Any = await tx.fetchrow(ONE.format("target_application = 'hr'"), UUID(tenant))
        if said_as != "nothing":
            await (say.moved(tx, row) if said_as == "moved" else say.allocated(tx, row))
    await system.quiet()

    assert await system.count("crm.credits", tenant) == before - 1
    assert await system.count("hr.credits", tenant) == (said_as != "nothing")
    status = (await system.status(tenant)).body
    assert (status["syncState"], status["needsSync"]) == ("clean", False)


async def test_an_allocation_that_ended_is_gone(system: Running) -> None:
    _, tenant = await system.founded()
    await system.enabled(tenant)
    before = await system.count("crm.credits", tenant)

    async with system.source.transaction() as tx:
        row: Any = await tx.fetchrow(ONE.format("is_active = false"), UUID(tenant))
        await Producers(system.wiring.producer()).credits.allocated(tx, row)
    await system.quiet()

    assert await system.count("crm.credits", tenant) == before - 1
    assert (await system.status(tenant)).body["syncState"] == "clean"
