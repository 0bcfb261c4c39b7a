"""Migrated databases as templates, made once a session, and a copy of what a test needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import consumers.crm
import consumers.hr
from headwater import clock
from headwater.database import Database
from headwater.delivery import Consumer, Limits
from headwater.delivery.applier import Applier
from headwater.delivery.outcome import Outcome
from headwater.delivery.work import Delivery, Work, sort_out
from headwater.event import Envelope, Fields
from headwater.publish import Producer
from headwater.testing import RunningServers
from producers import Producers
from schemas import codec
from tests.databases import migrated
from tests.temporal_server import MISSING, Temporal, temporal_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def templates(servers: RunningServers) -> AsyncIterator[dict[str, str]]:
    """Names of databases to copy: `source` with the wrapper's tables attached, and one an application."""
    async with migrated(servers) as urls:
        yield {name: url.rpartition("/")[2] for name, url in urls.items()}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal() -> AsyncIterator[Temporal]:
    """A real Temporal. The one thing that tests do without where it can not be had, and they say so."""
    async with temporal_server() as server:
        if server is None:
            pytest.skip(MISSING)
        yield server


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


async def said(source: Database) -> list[Envelope]:
    """What is in the outbox, in order, as the relay would read it."""
    rows = await source.fetch("SELECT * FROM headwater.outbox ORDER BY id")
    return [
        Envelope(
            id=row["event_id"],
            event=codec.registry.read(row["type"], row["schema_version"], row["data"]),
            tenant=row["tenant"],
            time=clock.stamp(row["said_at"]),
            source=row["source"],
            version=row["version"],
            op=row["op"],
            target=row["target"],
        )
        for row in rows
    ]


class Application:
    """A consumer with its database: entries go in as from a stream, what became of them comes out."""

    def __init__(self, database: Database, consumer: Consumer) -> None:
        self.database = database
        self.consumer = consumer
        self._applier = Applier(database, consumer, name="test", limits=Limits(attempts=3))
        self._entries = 0
        self._last: list[Work] = []

    async def open(self) -> Application:
        """Read the tables."""
        await self._applier.open()
        return self

    async def take(self, *entries: Envelope | Fields) -> list[Outcome]:
        """Sort out and apply, as one batch; an outcome for each entry that concerned the application."""
        deliveries = []
        for one in entries:
            self._entries += 1
            fields = codec.encode(one) if isinstance(one, Envelope) else one
            deliveries.append(Delivery("stream", f"{self._entries}-0", fields))
        found = sort_out(deliveries, self.consumer, codec)
        assert not found.unreadable
        self._last = found.work
        return await self._applier.settle(found.work, {}) if found.work else []

    async def settle_again(self, failures: int) -> list[Outcome]:
        """The last batch once more, each of it having failed so often before."""
        before = {(one.delivery.stream, one.delivery.entry): failures for one in self._last}
        return await self._applier.settle(self._last, before)

    async def rows(self, table: str, order: str = "1, 2") -> list[dict[str, Any]]:
        """All rows of a table."""
        return [dict(row) for row in await self.database.fetch(f"SELECT * FROM {table} ORDER BY {order}")]


@pytest_asyncio.fixture
async def crm(crm_database: Database) -> Application:
    """The CRM."""
    return await Application(crm_database, consumers.crm.crm).open()


@pytest_asyncio.fixture
async def hr(hr_database: Database) -> Application:
    """Human resources."""
    return await Application(hr_database, consumers.hr.hr).open()
