"""Settings changed in the database of an application while its processes run."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from headwater.config import Settings
from headwater.config.overriding import override
from headwater.database import Database
from headwater.database.overrides import Live, Overrides
from headwater.errors import HeadwaterError
from headwater.testing import RunningServers, until
from tests.engine.conftest import Shop

BEFORE = Settings()


async def test_what_is_set_is_in_force_in_a_running_process_and_gone_when_it_is_taken_back(
    shop: Shop,
) -> None:
    live, overrides = await Live.open(shop.sink, BEFORE), Overrides(shop.sink)
    looking = asyncio.create_task(live.run(every=0.05))
    assert not live.now().tenant_sync.use_temporal

    await overrides.set(*override("USE_TEMPORAL_FOR_AUTH", "true"))
    await until(lambda: live.now().tenant_sync.use_temporal)
    another = await Live.open(shop.sink, BEFORE)  # a process that starts now
    assert another.now().tenant_sync.use_temporal

    assert await overrides.unset("USE_TEMPORAL_FOR_AUTH")
    await until(lambda: not live.now().tenant_sync.use_temporal)
    assert not await overrides.unset("USE_TEMPORAL_FOR_AUTH")
    live.stop()
    await looking


async def test_a_row_that_somebody_wrote_by_hand_and_that_is_no_value_changes_nothing_else(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = Overrides(shop.sink)
    await overrides.set("TEMPORAL_AUTH_TIMEOUT_MS", "0")
    await overrides.set("NO_SUCH_SETTING", "1")
    await overrides.set(*override("TEMPORAL_ENABLED", "true"))

    live = await Live.open(shop.sink, BEFORE)

    assert live.now().tenant_sync.temporal_enabled
    assert live.now().tenant_sync.temporal_timeout == BEFORE.tenant_sync.temporal_timeout
    refused = [record.getMessage() for record in caplog.records if "overrides.refused" in record.getMessage()]
    assert len(refused) == 2


async def test_while_the_database_is_away_what_was_in_force_stays_so(shop: Shop) -> None:
    await Overrides(shop.sink).set(*override("USE_TEMPORAL_FOR_AUTH", "true"))
    live = await Live.open(shop.sink, BEFORE)
    name = urlsplit(shop.sink.url).path[1:]
    admin = await asyncpg.connect(shop.source.url)
    looking = asyncio.create_task(live.run(every=0.05))
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
        )
        await until(lambda: live.away)
        assert live.now().tenant_sync.use_temporal
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await admin.close()

    await until(lambda: not live.away)
    await Overrides(shop.sink).unset("USE_TEMPORAL_FOR_AUTH")
    await until(lambda: not live.now().tenant_sync.use_temporal)
    live.stop()
    await looking


async def test_a_database_without_the_table_says_what_to_do(servers: RunningServers) -> None:
    async with servers.fresh_database() as url:
        database = await Database.open(url)
        try:
            with pytest.raises(HeadwaterError) as refused:
                await Live.open(database, BEFORE)
        finally:
            await database.close()

    assert "headwater db migrate" in refused.value.hint
