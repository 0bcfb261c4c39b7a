"""A whole project in one process, on servers of our own: for `headwater dev` and `headwater demo`.

The order in which it stops is its promise: workers finish what they have in hand, then the relay its
pass, then the runner behind its last checkpoint, then the admin interface, then the connections. The
servers belong to the caller, whose block ends last.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from headwater.admin import KeyRing, admin_application, issue, run_admin
from headwater.broker import provision
from headwater.cli.databases import migrate_all, places
from headwater.cli.health import LOOPBACK, relay_checks, server_checks, worker_checks
from headwater.cli.loops import Loops
from headwater.cli.project import Project
from headwater.cli.readings import Sampler
from headwater.cli.wiring import Wiring, wired
from headwater.config import AdminKey, Dsn, Settings
from headwater.database import Database, connect
from headwater.database.attach import attach
from headwater.delivery import Worker
from headwater.publish import Relay
from headwater.replay import History, Runner
from headwater.replay.rounds import Rounds

if TYPE_CHECKING:  # not importable on Windows, where every other command works
    from headwater.embedded import Servers

SOURCE = "source"
"""Name of the source's database; an application's has the application's name."""
_WORKERS, _RELAY, _RUNNER = range(3)


class System:
    """Workers of every application, the relay, the runner of backfills and the admin interface, running."""

    source: Database
    sinks: dict[str, Database]
    """By application."""
    workers: dict[str, Worker]
    """By application."""
    relay: Relay
    runner: Runner
    rounds: Rounds
    history: History

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.project = wiring.project
        self.settings = wiring.settings
        """With the addresses of the servers in it."""
        self.metrics = wiring.metrics
        self.admin_url = ""
        self.admin_key, line = issue("this-run", ("read", "write"), ("*",))
        self._keys = KeyRing((*self.settings.admin.keys, AdminKey.parse(line)))
        self._loops = Loops()

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, project: Project, settings: Settings, servers: Servers) -> AsyncIterator[System]:
        """Create databases, migrate, attach, and run everything inside the block.

        The settings' own addresses are not used: nothing but `servers` is touched. `admin_key` opens
        everything and is made for this run. Raises what ended a loop, and SettingsError when the admin
        interface can not listen.
        """
        settings = addressed(project, settings, servers)
        await create_databases(servers, [SOURCE, *project.applications])
        await prepare(project, settings)
        async with wired(project, settings) as wiring:
            system = cls(wiring)
            await system._open()
            async with system._admin(), system._loops:
                system._run()
                yield system

    async def until(self, stop: asyncio.Event) -> None:
        """Wait until `stop` is set or something of the system has ended, which leaving the block raises."""
        await self._loops.until(stop)

    async def stop(self) -> None:
        """Workers, relay, runner, in this order; the admin interface goes with the block. Idempotent."""
        await self._loops.stop()

    def in_hand(self) -> int:
        """Deliveries that workers have taken and not settled yet."""
        return sum(worker.statistics()["in_hand"] for worker in self.workers.values())

    async def _open(self) -> None:
        wiring = self.wiring
        await provision.apply(wiring.broker, self.project.catalogue)
        self.source = await wiring.open_source()
        self.sinks = await wiring.open_sinks(self.project.applications)
        self.workers = {app: await wiring.worker(app) for app in self.project.applications}
        self.relay = wiring.relay()
        self.runner = await wiring.runner()
        self.rounds = await wiring.rounds()
        self.history = await wiring.history()

    def _run(self) -> None:
        for app, worker in self.workers.items():
            self._loops.start(f"worker {app}", worker.run(), worker.stop, stage=_WORKERS)
        poll = self.settings.relay.poll
        self._loops.start("relay", self.relay.run(poll=poll), self.relay.stop, stage=_RELAY)
        self._loops.start("runner", self.runner.run(), self.runner.stop, stage=_RUNNER)
        self._loops.start("rounds", self.rounds.run(), self.rounds.stop, stage=_RUNNER)
        keeper = self.wiring.keeper()
        self._loops.start("retention", keeper.run(), keeper.stop, stage=_RUNNER)

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[None]:
        checks = {
            **server_checks(self.wiring),
            **worker_checks(self.workers.values()),
            **relay_checks(self.relay),
        }
        app = admin_application(
            self._keys,
            checks=checks,
            mounts=await self.wiring.http(),
            metrics=self.metrics,
            sample=Sampler(self.wiring, self.metrics).everything,
            limits=self.settings.admin,
        )
        async with run_admin(app, LOOPBACK, self.settings.admin.port) as (host, port):
            self.admin_url = f"http://{host}:{port}"
            yield


def addressed(project: Project, settings: Settings, servers: Servers) -> Settings:
    """The settings with the addresses of `servers`, a database for the source and for each application."""
    return msgspec.structs.replace(
        settings,
        redis_url=Dsn(servers.redis_url),
        source_url=Dsn(servers.postgres_url(SOURCE)),
        apps={app: Dsn(servers.postgres_url(app)) for app in project.applications},
    )


async def create_databases(servers: Servers, names: Iterable[str]) -> None:
    """Create those that are not there yet."""
    await asyncio.gather(*(_create(servers, name) for name in names))


async def _create(servers: Servers, name: str) -> None:
    with contextlib.suppress(asyncpg.DuplicateDatabaseError):
        await servers.create_database(name)


async def prepare(project: Project, settings: Settings) -> None:
    """Migrate every database, create the wrapper's tables where there are none, attach them."""
    await migrate_all(places(project, settings))
    connection = await connect(settings.source_url.reveal() if settings.source_url else "")
    try:
        tables = [one.table for one in project.attached]
        found = await connection.fetchval(
            "SELECT count(to_regclass(name)) FROM unnest($1::text[]) AS name", tables
        )
        if tables and not found:
            await connection.execute(project.wrapper_schema)
        await attach(connection, project.attached, realm=settings.realm)
    finally:
        await connection.close()
