"""One process of the shop, as the command line would run it: `python -m tests.bench.process worker`.

Says a JSON line when it works, and one with CPU seconds and peak memory for every line it is sent;
ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from headwater import telemetry
from headwater.broker import Broker
from headwater.cli.loops import calm_collector
from headwater.config import LogSettings
from headwater.database import Database
from headwater.delivery import Pace, Worker
from headwater.publish import Outgoing, Relay
from headwater.replay import Runner, Ways
from headwater.testing import controls


async def build(role: str, options: dict[str, Any]) -> Any:
    """The thing to run, on the servers that the environment names."""
    broker = Broker(os.environ["SHOP_REDIS"])
    catalogue = controls.CATALOGUE.with_prefix(os.environ["SHOP_PREFIX"])
    outgoing = Outgoing(controls.CODEC, catalogue)
    if role == "relay":
        return Relay(os.environ["SHOP_SOURCE"], broker, outgoing, controls.ENABLEMENT)
    sink = await Database.open(os.environ["SHOP_SINK"])
    if role == "worker":
        pace = Pace(**options)
        return Worker(controls.shelf(), broker, sink, controls.CODEC, catalogue, name="bench", pace=pace)
    ways = Ways(
        source=await Database.open(os.environ["SHOP_SOURCE"]),
        broker=broker,
        outgoing=outgoing,
        backfills=(controls.BACKFILL,),
        mirrored=controls.MIRRORED,
        sinks={"shelf": sink},
        **options,
    )
    return Runner(ways, holder="bench")


def cpu() -> float:
    """Seconds of CPU so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """Largest resident memory so far, MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # what Linux has in ru_maxrss may be our parent's, from before the exec
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) / (1 << 10)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)


async def main(role: str) -> None:
    """Run one thing."""
    thing = await build(role, json.loads(os.environ["SHOP_OPTIONS"]))
    begun = cpu()

    def asked() -> None:
        if sys.stdin.readline():
            print(json.dumps({"cpu": cpu() - begun, "peak": peak()}), flush=True)
        else:
            loop.remove_reader(sys.stdin.fileno())
            thing.stop()

    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), asked)
    calm_collector()
    print("{}", flush=True)
    await thing.run()


if __name__ == "__main__":
    telemetry.configure(LogSettings(level="error"))
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(sys.argv[1]))
    else:
        uvloop.run(main(sys.argv[1]))
