"""The conditions that figures were measured under, and the document of both."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headwater import clock
from headwater.bench.figures import Figure
from headwater.bench.sizes import Sizes
from headwater.bench.world import World
from headwater.cli.output import utc
from headwater.testing import RunningServers


def cpu_name() -> str:
    """The processor's name, as the kernel or the platform gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


async def conditions(world: World, running: RunningServers, sizes: Sizes) -> dict[str, Any]:
    """What somebody needs to know to compare."""
    return {
        "when": utc(clock.now()),
        "cpus": os.cpu_count(),
        "cpu": cpu_name(),
        "system": platform.platform(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "loop": "uvloop" if find_spec("uvloop") else "asyncio",
        "packages": {name: version(name) for name in ("headwater", "asyncpg", "redis", "hiredis", "msgspec")},
        "servers": running.embedded.describe() if running.embedded else await _versions(world),
        "postgres": await _postgres(world),
        "redis": await _redis(world),
        "entry_bytes": _entry(world),
        "sizes": sizes._asdict(),
    }


async def _versions(world: World) -> str:
    postgres = await world.source.fetchval("SHOW server_version")
    return f"postgres {postgres} · {await world.broker.version()}"


async def _postgres(world: World) -> dict[str, str]:
    async with world.source.connection() as connection:
        names = ("fsync", "synchronous_commit", "shared_buffers")
        return {name: await connection.fetchval(f"SHOW {name}") for name in names}


async def _redis(world: World) -> dict[str, str | None]:
    reply = [one.decode() for one in await world.broker.execute("CONFIG", "GET", "append*")]
    found = dict(zip(reply[::2], reply[1::2], strict=True))
    return {name: found.get(name) for name in ("appendonly", "appendfsync")}


def _entry(world: World) -> dict[str, int]:
    entry = world.outgoing.entries(world.good(1, 1).envelope("bench"), {"shelf"})[0][1]
    return {
        "values": sum(map(len, entry.values())),
        "values_and_names": sum(map(len, entry.values())) + sum(map(len, entry)),
        "data": len(entry[b"data"]),
    }


def document(figures: Sequence[Figure], about: dict[str, Any]) -> dict[str, Any]:
    """Both, without the name of the schema. Pure."""
    return {"conditions": about, "figures": list(figures)}
