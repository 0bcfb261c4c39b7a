"""Every Redis and Valkey that can be had: bundled, on the PATH, and those named in the environment.

`HEADWATER_TEST_REDIS_SERVERS=/opt/redis-7/redis-server:/opt/redis-8/redis-server` names further ones.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headwater.embedded.choice import Binary, Choice, choose_redis
from headwater.embedded.directory import secret, temporary_directory
from headwater.embedded.redis import RedisServer
from headwater.embedded.server import Site


def binaries() -> list[Path]:
    """Paths, each once."""
    named = os.environ.get("HEADWATER_TEST_REDIS_SERVERS", "").split(":")
    found = [*(one.path for one in choose_redis("auto").candidates), *(Path(one) for one in named if one)]
    return list(dict.fromkeys(path.resolve() for path in found))


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[str]:
    """The URL of a server of this binary, which keeps nothing."""
    with temporary_directory(Path(tempfile.gettempdir())) as home:
        site = Site(home, home, secret(home / "secret"), durable=False, temporary=True)
        server = RedisServer(site, lambda: Choice((Binary("redis", (0,), "system", path),)))
        try:
            await server.start()
            yield server.url
        finally:
            server.close()
