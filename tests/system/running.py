"""The pieces of a whole system in the tests' own loop, on real servers, and a client of its endpoints."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

import headwater
from backfill import Story
from headwater.admin import KeyRing, admin_application, issue, run_admin
from headwater.broker import Entry, provision
from headwater.cli.loops import Loops
from headwater.cli.project import Project, find
from headwater.cli.wiring import Wiring, wired
from headwater.config import AdminKey, Settings, load
from headwater.database import Database
from headwater.delivery import Worker
from headwater.replay import Job
from headwater.testing import RunningServers, until

ROOT = Path(headwater.__file__).parents[1]
_SEEDS = itertools.count(1000)
"""One for each story, so that tests share a system and no tenant."""


@dataclass
class Answer:
    """What an endpoint said."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def is_problem(self) -> bool:
        """Whether it is an error in the form of RFC 9457."""
        is_json = self.headers["Content-Type"].startswith("application/problem+json")
        return is_json and self.body["status"] == self.status and bool(self.body["correlationId"])


@dataclass
class Running:
    """Workers of crm and hr, relay, runner and admin interface; a test has tenants of its own."""

    wiring: Wiring
    source: Database
    sinks: dict[str, Database]
    client: aiohttp.ClientSession
    url: str
    loops: Loops
    workers: dict[str, Worker]

    @property
    def crm(self) -> Database:
        """The CRM's database."""
        return self.sinks["crm"]

    @property
    def project(self) -> Project:
        """The project it runs."""
        return self.wiring.project

    def story(self, **size: int) -> Story:
        """A new tenant's, told by nobody yet."""
        return Story(self.source, self.wiring.producer(), seed=next(_SEEDS), **size)

    async def founded(self, **size: int) -> tuple[Story, str]:
        """A story after its first day, and its first tenant."""
        story = self.story(**size)
        await story.day_one()
        return story, story.tenants[0]

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Ask an endpoint; `key` is presented, `raw` bytes are sent as they are."""
        headers = {"Authorization": f"Bearer {more.get('key', KEYS['all'])}", **more.get("headers", {})}
        if more.get("key", "all") is None:
            del headers["Authorization"]
        data = more.get("raw", None if body is None else json.dumps(body).encode())
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self.client.request(method, self.url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            return Answer(answer.status, json.loads(text) if text else None, dict(answer.headers))

    async def toggle(self, tenant: str, app: str = "crm", *, on: bool = True, **more: Any) -> Answer:
        """Switch an application."""
        path = f"/admin/organizations/{tenant}/applications/{app}/toggle"
        return await self.call("POST", path, {"isEnabled": on, **more})

    async def sync(
        self, tenant: str, app: str = "crm", *, wait: float | None = None, **options: Any
    ) -> Answer:
        """Ask for a historical sync."""
        query = "" if wait is None else f"?wait={wait:g}"
        path = f"/admin/organizations/{tenant}/applications/{app}/sync-historical{query}"
        return await self.call("POST", path, options)

    async def status(self, tenant: str, app: str = "crm") -> Answer:
        """Ask whether a sync is needed."""
        return await self.call("GET", f"/admin/organizations/{tenant}/applications/{app}/sync-status")

    async def enabled(self, tenant: str) -> Job:
        """Enable the CRM; the job that follows, ended."""
        toggled = await self.toggle(tenant)
        assert toggled.status == 200, toggled
        return await self.ended(toggled.body["historicalSync"]["job"]["id"])

    async def ended(self, job: str) -> Job:
        """The job when it has ended."""
        history = await self.wiring.history()

        async def end() -> Job | None:
            found = await history.jobs.get(job)
            return found if found and found.finished else None

        found = await until(end, within=30.0)
        assert found is not None
        return found

    async def hire(self, app: str) -> None:
        """Start an application's worker."""
        worker = self.workers[app] = await self.wiring.worker(app)
        self.loops.start(f"worker {app}", worker.run(), worker.stop)

    async def quiet(self, *apps: str) -> None:
        """Everything said has been applied by these applications, by default by all."""
        asked = apps or tuple(self.project.applications)
        groups = {self.project.catalogue.group(app).name for app in asked}
        await until(lambda: self._quiet(groups), within=30.0)

    async def _quiet(self, names: set[str]) -> bool:
        waiting = "SELECT EXISTS (SELECT FROM headwater.outbox WHERE published_at IS NULL)"
        if await self.source.fetchval(waiting):
            return False
        for key in self.project.catalogue.all_keys():
            for group in await self.wiring.broker.groups(key):
                if group.name in names and (group.pending or group.lag != 0):
                    return False
        return True

    async def entries(self, key: str, tenant: str) -> list[Entry]:
        """A tenant's entries on a stream, oldest first. The key is told without this test's prefix."""
        found, start = [], "-"
        while page := await self.wiring.broker.range(
            self.wiring.settings.key_prefix + key, start=start, count=1000
        ):
            found += page
            start = f"({page[-1].id}"
        return [one for one in found if one.fields and one.fields[b"tenantId"] == tenant.encode()]

    async def all_entries(self, tenant: str, app: str) -> list[Entry]:
        """A tenant's entries on every stream of an application alone, and those for it on the shared one."""
        prefix = self.wiring.settings.key_prefix
        keys = [key.removeprefix(prefix) for key in self.project.catalogue.keys_of(app)]
        found = [one for key in keys for one in await self.entries(key, tenant)]
        return [one for one in found if (one.fields or {})[b"target"] in {app.encode(), b"*"}]

    async def count(self, table: str, tenant: str, condition: str = "true") -> int:
        """Rows of a table of an application, one tenant's."""
        app = table.partition(".")[0]
        query = f"SELECT count(*) FROM {table} WHERE tenant_id = $1::text::uuid AND {condition}"
        found: int = await self.sinks[app].fetchval(query, tenant)
        return found


_ISSUED = {
    name: issue(name, scopes, ("*",))
    for name, scopes in {"all": ("read", "write"), "reader": ("read",)}.items()
}
ELSEWHERE = str(uuid.uuid4())
_ISSUED["foreign"] = issue("foreign", ("read", "write"), (ELSEWHERE,))
KEYS = {name: key for name, (key, _) in _ISSUED.items()}
"""`all` may do everything, `reader` only read, `foreign` everything with a tenant that does not exist."""


@asynccontextmanager
async def running(
    servers: RunningServers,
    templates: dict[str, str],
    *,
    workers: tuple[str, ...] = ("crm", "hr"),
    **flags: Any,
) -> AsyncIterator[Running]:
    """Everything started, on databases and keys of its own.

    `flags` are settings: `backfill_chunk=2`, or `tenant_sync__timeout="5"` where a section's name has a `_`.
    """
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(servers.fresh_database(template))
            for name, template in templates.items()
        }
        settings = _settings(servers, urls, flags)
        project = find(ROOT, prefix=settings.key_prefix, aside=settings.backfill.side_streams)
        wiring = await stack.enter_async_context(wired(project, settings))
        stack.push_async_callback(_forget, wiring)
        await provision.apply(wiring.broker, project.catalogue)
        source, sinks = await wiring.open_source(), await wiring.open_sinks(project.applications)
        app = admin_application(
            KeyRing(AdminKey.parse(line) for _, line in _ISSUED.values()),
            mounts=await wiring.http(),
            limits=settings.admin,
        )
        host, port = await stack.enter_async_context(run_admin(app, "127.0.0.1", 0))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        loops = await stack.enter_async_context(Loops())
        relay, runner = wiring.relay(), await wiring.runner()
        loops.start("relay", relay.run(poll=0.2), relay.stop, stage=1)
        loops.start("runner", runner.run(poll=0.02), runner.stop, stage=2)
        system = Running(wiring, source, sinks, client, f"http://{host}:{port}", loops, {})
        for name in workers:
            await system.hire(name)
        yield system


def _settings(servers: RunningServers, urls: dict[str, str], flags: dict[str, Any]) -> Settings:
    environ = {
        "HEADWATER_REDIS_URL": servers.redis_url,
        "HEADWATER_SOURCE_URL": urls["source"],
        "HEADWATER_APP_CRM_URL": urls["crm"],
        "HEADWATER_APP_HR_URL": urls["hr"],
        "HEADWATER_KEY_PREFIX": f"t{uuid.uuid4().hex[:8]}:",
        "HEADWATER_BACKFILL_SETTLE_AFTER_TOGGLE": "0",
        "HEADWATER_BROKER_BLOCK": "0.5",
    }
    dotted = {name.replace("__" if "__" in name else "_", ".", 1): value for name, value in flags.items()}
    return load(ROOT, environ, dotted)


async def _forget(wiring: Wiring) -> None:
    keys = await wiring.broker.execute("KEYS", wiring.settings.key_prefix + "*")
    if keys:
        await wiring.broker.execute("DEL", *keys)


async def together(*asked: Any) -> list[Any]:
    """All of it at once."""
    return list(await asyncio.gather(*asked))
