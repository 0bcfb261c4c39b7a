"""Migrated databases as templates, made once a session, and a copy of what a test needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from consumers import migrations
from headwater.database import Database, connect
from headwater.database.attach import attach
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.publish import Producer
from headwater.testing import RunningServers
from producers import Producers, attached, wrapper_schema
from schemas import codec


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def templates(servers: RunningServers) -> AsyncIterator[dict[str, str]]:
    """Names of databases to copy: `source` with the wrapper's tables attached, and one an application."""
    async with (
        servers.fresh_database() as source,
        servers.fresh_database() as crm,
        servers.fresh_database() as hr,
    ):
        await migrate(source, [SOURCE])
        connection = await connect(source)
        await connection.execute(wrapper_schema)
        await connection.close()
        await attach(source, attached)
        for app, url in (("crm", crm), ("hr", hr)):
            await migrate(url, [APP, (app, migrations[app])])
        yield {name: url.rpartition("/")[2] for name, url in (("source", source), ("crm", crm), ("hr", hr))}


async def _copy(servers: RunningServers, template: str) -> AsyncIterator[Database]:
    async with servers.fresh_database(template) as url:
        database = await Database.open(url)
        try:
            yield database
        finally:
            await database.close()


@pytest_asyncio.fixture
async def source(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Database]:
    """The wrapper's database: empty tables, attached."""
    async for database in _copy(servers, templates["source"]):
        yield database


@pytest_asyncio.fixture
async def crm_database(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Database]:
    """The CRM's database, empty."""
    async for database in _copy(servers, templates["crm"]):
        yield database


@pytest_asyncio.fixture
async def hr_database(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Database]:
    """The database of human resources, empty."""
    async for database in _copy(servers, templates["hr"]):
        yield database


@pytest_asyncio.fixture
async def producers() -> Producers:
    """The wrapper's producers."""
    return Producers(Producer(codec, source="wrapper"))
