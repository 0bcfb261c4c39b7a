"""A process that starts embedded servers, tells where they are, and waits to be ended.

Arguments: mode, and a directory to keep or nothing. Prints one JSON line when the servers answer. Leaves on a
line from stdin, or on Ctrl-C; then it tells first whether the servers still answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Literal, cast

import asyncpg
from redis.asyncio import Redis

from headwater.embedded import Servers


async def main(mode: Literal["auto", "bundled"], directory: Path | None) -> None:
    async with Servers.start(directory, mode) as servers:
        report = {
            "home": str(servers.redis.site.home),
            "redis": servers.redis.pid,
            "postgres": servers.postgres.pid,
            "redis_url": servers.redis_url,
            "postgres_url": servers.postgres_url(),
            "description": servers.describe(),
            "program": os.readlink(f"/proc/{servers.postgres.pid}/exe"),
            "data": await _data_directory(servers),
        }
        loop = asyncio.get_running_loop()
        # Any handler gives the loop a descriptor that signals wake it by: without one, a Ctrl-C that comes
        # just before it falls asleep waits until something else happens (CPython's asyncio.run has none).
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        print(json.dumps(report), flush=True)
        try:
            await loop.run_in_executor(None, sys.stdin.readline)
        except asyncio.CancelledError:
            print(json.dumps({"answering_after_ctrl_c": await _answering(servers)}), flush=True)
            raise


async def _data_directory(servers: Servers) -> str:
    connection = await asyncpg.connect(servers.postgres_url())
    try:
        return cast("str", await connection.fetchval("SHOW data_directory"))
    finally:
        await connection.close()


async def _answering(servers: Servers) -> bool:
    async with Redis.from_url(servers.redis_url) as redis:
        return bool(await redis.ping()) and bool(await _data_directory(servers))


if __name__ == "__main__":
    asyncio.run(
        main(cast("Literal['auto', 'bundled']", sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)
    )
