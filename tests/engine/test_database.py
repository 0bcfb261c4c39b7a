"""What the settings of `database` mean to a pool."""

from __future__ import annotations

import asyncpg
import pytest

from headwater.config import DatabaseSettings
from headwater.database import Database
from headwater.errors import DatabaseUnavailable
from headwater.testing import RunningServers, until

UNLIMITED = DatabaseSettings(statement_timeout=0, lock_timeout=0, idle_in_transaction=0)


async def test_a_limit_of_zero_is_none(servers: RunningServers) -> None:
    database = await Database.open(servers.maintenance_url, limits=UNLIMITED)
    try:
        limits = [
            await database.fetchval(f"SHOW {name}")
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]

        assert limits == ["0", "0", "0"]
    finally:
        await database.close()


async def test_no_free_connection_is_told_in_time(servers: RunningServers) -> None:
    database = await Database.open(
        servers.maintenance_url, limits=DatabaseSettings(pool_max=1, acquire_timeout=0.05)
    )
    try:
        async with database.connection():
            with pytest.raises(DatabaseUnavailable, match="no connection"):
                await database.fetchval("SELECT 1")

        assert await database.fetchval("SELECT 1") == 1
    finally:
        await database.close()


async def test_a_wrong_address_is_told_at_once_also_where_no_connection_is_kept(
    servers: RunningServers,
) -> None:
    nowhere = f"{servers.maintenance_url}_nowhere"

    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        await Database.open(nowhere, limits=DatabaseSettings(pool_min=0))


async def test_a_forgotten_transaction_is_ended_by_the_server(servers: RunningServers) -> None:
    database = await Database.open(
        servers.maintenance_url, limits=DatabaseSettings(pool_max=1, idle_in_transaction=0.05)
    )
    beside = await Database.open(servers.maintenance_url)
    try:
        with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
            await forget(database, beside)

        assert await database.fetchval("SELECT 1") == 1
    finally:
        await database.close()
        await beside.close()


async def forget(database: Database, beside: Database) -> None:
    ended = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
    async with database.transaction() as tx:
        backend = await tx.fetchval("SELECT pg_backend_pid()")
        await until(lambda: beside.fetchval(ended, backend))
        await tx.fetchval("SELECT 1")
