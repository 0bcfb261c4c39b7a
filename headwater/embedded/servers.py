"""Both servers together: found, started at once, described in one line, and gone at the end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from headwater.embedded.choice import Mode, check_mode, choose_postgres, choose_redis
from headwater.embedded.databases import create_database
from headwater.embedded.directory import SHORT, kept_directory, secret, temporary_directory
from headwater.embedded.postgres import PostgresServer, major_of_data
from headwater.embedded.redis import RedisServer
from headwater.embedded.server import Server, Site
from headwater.errors import EmbeddedUnavailable


class Servers:
    """A Postgres and a Redis of our own, on loopback, each on a random port with a random password.

    Made by `Servers.start`. They stop with the block; when we are killed, the kernel stops them (Linux), and
    the next start removes their files.
    """

    def __init__(self, redis: RedisServer | None, postgres: PostgresServer | None) -> None:
        self._redis = redis
        self._postgres = postgres

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        directory: Path | None = None,
        mode: Mode = "auto",
        *,
        durable: bool = True,
        redis: bool = True,
        postgres: bool = True,
    ) -> AsyncIterator[Self]:
        """Start the servers; both answer inside the block. Call it on the main thread.

        `directory` keeps data and passwords between runs; None is a temporary one, removed at the end.
        `durable=False` is for tests: no fsync, and Redis keeps nothing over a restart.

        Raises:
            SettingsError: unknown `mode`.
            EmbeddedUnavailable: `mode` is off, no server was found, or none came up.
        """
        check_mode(mode)
        if mode == "off":
            raise EmbeddedUnavailable(
                "embedded servers are off", hint=f"{RedisServer.ways_out} {PostgresServer.ways_out}"
            )
        with ExitStack() as stack:
            site = _site(stack, directory, durable=durable)
            servers = cls(
                RedisServer(site, lambda: choose_redis(mode)) if redis else None,
                PostgresServer(site, lambda: choose_postgres(mode, major_of_data(site.home)))
                if postgres
                else None,
            )
            stack.callback(servers._close)
            await servers._start_together()
            yield servers

    @property
    def redis(self) -> RedisServer:
        """The Redis or Valkey server, to kill, stop and start alone."""
        if self._redis is None:
            raise EmbeddedUnavailable("redis was not asked for")
        return self._redis

    @property
    def postgres(self) -> PostgresServer:
        """The Postgres server, to kill, stop and start alone."""
        if self._postgres is None:
            raise EmbeddedUnavailable("postgres was not asked for")
        return self._postgres

    @property
    def redis_url(self) -> str:
        """With the password in it."""
        return self.redis.url

    def postgres_url(self, database: str = "postgres") -> str:
        """Of one database, with the password in it; the user is a superuser."""
        return self.postgres.url(database)

    async def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, empty or a copy of `template`.

        Raises:
            asyncpg.DuplicateDatabaseError: there is one of that name.
        """
        await create_database(self.postgres_url(), name, template)

    def describe(self) -> str:
        """One line for a person, such as `postgres 18.4 (bundled) · valkey 9.1.2 (bundled)`."""
        return " · ".join(server.describe() for server in self._all())

    def _all(self) -> list[Server]:
        return [server for server in (self._postgres, self._redis) if server is not None]

    async def _start_together(self) -> None:
        try:
            async with asyncio.TaskGroup() as starting:
                for server in self._all():
                    starting.create_task(server.start(), name=f"start {server.name}")
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def _close(self) -> None:
        with ExitStack() as closing:  # one that resists does not spare the others
            for server in self._all():
                closing.callback(server.close)


def _site(stack: ExitStack, directory: Path | None, *, durable: bool) -> Site:
    if directory is None:
        home = stack.enter_context(temporary_directory(Path(tempfile.gettempdir())))
    else:
        home = stack.enter_context(kept_directory(directory))
    # Paths of sockets end at 104 bytes, and another account has to get at them.
    near = home.parent == SHORT.resolve()
    sockets = home if near and directory is None else stack.enter_context(temporary_directory(SHORT))
    return Site(home, sockets, secret(home / "secret"), durable=durable, temporary=directory is None)
