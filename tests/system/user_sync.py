"""A source of users and a chat for one test, and the user sync between them in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from backfill.user_sync.process import Process
from backfill.user_sync.system import CHAT, UserSync, project_of, settings_of
from consumers import chat
from headwater.broker import provision
from headwater.cli.project import Project, find
from headwater.config import AdminSettings, Dsn, Settings, load
from headwater.config.seeds import UserSyncSettings
from headwater.database import Database
from headwater.database.migrate import APP, migrate
from headwater.testing import RunningServers, until
from tests.system.running import ROOT


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
        source, there = await Database.open(source_url), await Database.open(chat_url)
        try:
            await there.execute(chat.chat_schema)
            await migrate(chat_url, [APP, (CHAT, chat.migrations)])
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
            yield World(source, there, settings, project_of(find(ROOT, prefix=prefix), settings))
        finally:
            await source.close()
            await there.close()
