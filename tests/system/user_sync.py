"""A source of users and a chat for one test, and the user sync between them in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from backfill.user_sync.process import Process
from backfill.user_sync.system import CHAT, UserSync, project_of, settings_of
from headwater.broker import provision
from headwater.cli.project import Project, find
from headwater.config import AdminSettings, Dsn, Settings, load
from headwater.config.seeds import UserSyncSettings
from headwater.database import Database, Tx
from headwater.database.migrate import APP, migrate
from headwater.delivery import Consumer
from headwater.delivery.consumer import Context
from headwater.testing import RunningServers, until
from headwater.topology import Catalogue, Group
from schemas.accounts import AccountChanged, AccountDeleted
from tests.system.running import ROOT

CHAT_TABLE = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "externalId" uuid UNIQUE, name varchar(255),
    phone varchar(255) NOT NULL UNIQUE, email varchar(255) UNIQUE);
"""


@dataclass
class World:
    """Databases, settings and project of one user sync."""

    source: Database
    chat: Database
    settings: Settings
    project: Project

    @contextlib.asynccontextmanager
    async def wired(self) -> AsyncIterator[UserSync]:
        wiring = UserSync(self.project, self.settings)
        try:
            await provision.apply(wiring.broker, self.project.catalogue)
            yield wiring
        finally:
            await wiring.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Run]:
        """The process, with its status served."""
        stop = asyncio.Event()
        async with self.wired() as wiring, aiohttp.ClientSession() as client:
            process = Process(wiring)
            task = asyncio.create_task(process.run(stop), name="user sync")
            try:
                await until(lambda: task.done() or process.turns.active)
                yield Run(process, client, task, stop)
            finally:
                stop.set()
                await task

    async def names(self) -> dict[str, str]:
        """Who is in the chat: names by external id."""
        rows = await self.chat.fetch('SELECT "externalId"::text AS id, name FROM users')
        return {row["id"]: row["name"] for row in rows}


@dataclass
class Run:
    """A process that runs."""

    process: Process
    client: aiohttp.ClientSession
    task: asyncio.Task[dict[str, Any]]
    stop: asyncio.Event

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.client.get(self.process.url + path) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.text()


@contextlib.asynccontextmanager
async def opened(servers: RunningServers, template: str, **sync: Any) -> AsyncIterator[World]:
    """A world on databases of its own; `sync`: settings of the user sync."""
    async with servers.fresh_database(template) as source_url, servers.fresh_database() as chat_url:
        await migrate(chat_url, [APP])
        source, chat = await Database.open(source_url), await Database.open(chat_url)
        try:
            await chat.execute(CHAT_TABLE)
            prefix = f"u{uuid.uuid4().hex[:8]}:"
            given = UserSyncSettings(
                source_url=Dsn(source_url), **{"status_port": 0, "retry_initial_delay": 0.05, **sync}
            )
            settings = msgspec.structs.replace(
                settings_of(msgspec.structs.replace(load(ROOT, {}), user_sync=given)),
                redis_url=Dsn(servers.redis_url),
                apps={CHAT: Dsn(chat_url)},
                key_prefix=prefix,
                admin=AdminSettings(stop_timeout=1.0),
            )
            yield World(source, chat, settings, project(prefix))
        finally:
            await source.close()
            await chat.close()


def project(prefix: str) -> Project:
    found = find(ROOT)
    streams = [*found.catalogue.streams.values()]
    groups = [Group(app=CHAT, name="chat-consumers", streams=("user-accounts",))]
    return msgspec.structs.replace(
        project_of(found),
        catalogue=Catalogue(streams, groups).with_prefix(prefix),
        applications={CHAT: consumer()},
        migrations={},
    )


def consumer() -> Consumer:
    chat = Consumer(CHAT)

    @chat.on(AccountChanged, batch=500)
    async def changed(events: Sequence[AccountChanged], tx: Tx, _: Sequence[Context]) -> None:
        there = [(one.account_id, one.first_name or "-") for one in events if one.op == "u"]
        gone = [one.account_id for one in events if one.op == "d"]
        if there:
            await tx.execute(
                'INSERT INTO users ("externalId", name, phone) '
                "SELECT id::uuid, name, '9' || id FROM unnest($1::text[], $2::text[]) AS one (id, name) "
                'ON CONFLICT ("externalId") DO UPDATE SET name = excluded.name',
                *map(list, zip(*there, strict=True)),
            )
        await tx.execute('DELETE FROM users WHERE "externalId"::text = ANY ($1)', gone)

    @chat.on(AccountDeleted)
    async def deleted(event: AccountDeleted, tx: Tx, _: Context) -> None:
        await tx.execute('DELETE FROM users WHERE "externalId"::text = $1', event.account_id)

    return chat
