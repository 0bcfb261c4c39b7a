"""Real servers for tests, ours and our users': those named in the environment, else embedded ones.

`HEADWATER_TEST_REDIS_URL` and `HEADWATER_TEST_POSTGRES_URL` name them. The Postgres user must be allowed to
create databases. `HEADWATER_EMBEDDED` chooses among embedded ones (`auto`, `system`, `bundled`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from headwater.embedded import Mode, Servers
from headwater.embedded.databases import create_database, drop_database


@dataclass(frozen=True)
class RunningServers:
    """A Redis and a Postgres that answer, wherever they come from."""

    redis_url: str
    maintenance_url: str
    """Of a database that nobody tests in; others are created from there."""

    embedded: Servers | None
    """Ours to kill and restart; None when both are named in the environment."""

    def postgres_url(self, database: str) -> str:
        """Of one database."""
        return urlunsplit(urlsplit(self.maintenance_url)._replace(path=f"/{database}"))

    @asynccontextmanager
    async def fresh_database(self, template: str | None = None) -> AsyncIterator[str]:
        """The URL of a new database, empty or a copy of `template`; dropped at the end, in use or not."""
        name = f"headwater_test_{secrets.token_hex(6)}"
        await create_database(self.maintenance_url, name, template)
        try:
            yield self.postgres_url(name)
        finally:
            await drop_database(self.maintenance_url, name)


@asynccontextmanager
async def running_servers(*, durable: bool = False) -> AsyncIterator[RunningServers]:
    """Start what the environment does not name: embedded; fast and keeping nothing unless `durable`."""
    redis = os.environ.get("HEADWATER_TEST_REDIS_URL")
    postgres = os.environ.get("HEADWATER_TEST_POSTGRES_URL")
    if redis and postgres:
        yield RunningServers(redis, postgres, None)
        return
    mode = cast("Mode", os.environ.get("HEADWATER_EMBEDDED", "auto"))
    async with Servers.start(mode=mode, durable=durable, redis=not redis, postgres=not postgres) as embedded:
        yield RunningServers(redis or embedded.redis_url, postgres or embedded.postgres_url(), embedded)
