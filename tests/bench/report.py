"""Figures beside their limits, and the conditions they were measured under."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from headwater.testing import RunningServers
from tests.bench.sizes import Sizes
from tests.bench.world import World

RESULTS = Path("bench-results")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One result."""

    name: str
    value: float
    unit: str = "events/s"
    limit: float | None = None
    """What the servers gave in the same run."""
    against: str = ""
    """What the limit is."""
    note: str = ""

    @property
    def share(self) -> float | None:
        """Part of the limit."""
        return self.value / self.limit if self.limit else None


def processor() -> str:
    """The processor's name, as the kernel or the platform gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


async def conditions(world: World, running: RunningServers, sizes: Sizes) -> dict[str, Any]:
    """What somebody needs to know to compare."""
    async with world.source.connection() as connection:
        settings = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "shared_buffers")
        }
    reply = await world.broker.execute("CONFIG", "GET", "append*")
    redis = {reply[at].decode(): reply[at + 1].decode() for at in range(0, len(reply), 2)}
    entry = world.outgoing.entries(world.good(1, 1).envelope("bench"), {"shelf"})[0][1]
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpus": os.cpu_count(),
        "processor": processor(),
        "system": platform.platform(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "loop": "uvloop" if find_spec("uvloop") else "asyncio",
        "packages": {name: version(name) for name in ("asyncpg", "redis", "hiredis", "msgspec")},
        "servers": running.embedded.describe() if running.embedded else await _versions(world),
        "postgres": settings,
        "redis": {name: redis.get(name) for name in ("appendonly", "appendfsync")},
        "entry": {
            "bytes of values": sum(map(len, entry.values())),
            "bytes with names": sum(map(len, entry.values())) + sum(map(len, entry)),
            "bytes of data": len(entry[b"data"]),
        },
        "worker": "one process, batches of up to 1000, 2 transactions",
        "sizes": sizes._asdict(),
    }


async def _versions(world: World) -> str:
    postgres = await world.source.fetchval("SHOW server_version")
    return f"postgres {postgres} · {await world.broker.version()}"


def show(figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """Print a table for people."""
    console = Console(width=None if os.isatty(1) else 150)
    for name, value in about.items():
        console.print(f"{name}: {value}", highlight=False)
    table = Table("figure", "result", "limit", "share", "of / note")
    for one in figures:
        share = "" if one.share is None else f"{one.share:.0%}"
        limit = "" if one.limit is None else f"{one.limit:,.0f}"
        value = f"{one.value:,.0f}" if one.value >= 100 else f"{one.value:,.2f}"
        table.add_row(
            one.name, f"{value} {one.unit}", limit, share, "; ".join(filter(None, (one.against, one.note)))
        )
    console.print(table)


def document(figures: Sequence[Figure], about: dict[str, Any]) -> str:
    """The same as JSON."""
    rows = [{**msgspec.structs.asdict(one), "share": one.share} for one in figures]
    return json.dumps({"schema": "headwater.bench.v1", "conditions": about, "figures": rows}, indent=2)


def keep(text: str) -> Path:
    """Write a document beside the earlier ones; where it is."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    file.write_text(text + "\n")
    return file
