"""One process of the shop, as the command line would run it.

Reads a line that says what it is, answers with a line once that is built, works after the next line,
and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Protocol

import msgspec

from headwater.bench.handlers import CONSUMERS
from headwater.broker import Broker
from headwater.cli import running
from headwater.cli.loops import calm_collector
from headwater.config import LogSettings
from headwater.database import Database
from headwater.delivery import Worker
from headwater.publish import Outgoing, Relay
from headwater.replay import Runner, Ways
from headwater.testing import controls
from headwater.topology import Catalogue


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to be."""

    role: str
    """worker, relay or runner."""
    redis: str
    source: str
    sink: str
    prefix: str
    consumer: str = "upsert"
    """One of `handlers.CONSUMERS`."""
    name: str = "bench"
    """Of a worker."""
    window: int = 500
    """Of a runner."""
    aside: bool = False
    """Whether backfills go through side streams: the same for runner and worker."""


class Work(Protocol):
    """What runs until it is stopped."""

    async def run(self) -> None:
        """Until `stop`."""

    def stop(self) -> None:
        """Finish what is in hand."""


async def build(order: Order) -> Work:
    """The thing to run, on the servers of the order."""
    broker = Broker(order.redis)
    catalogue = controls.CATALOGUE.with_prefix(order.prefix).with_side_streams(["*"] if order.aside else [])
    outgoing = Outgoing(controls.CODEC, catalogue)
    if order.role == "relay":
        return Relay(order.source, broker, outgoing, controls.ENABLEMENT)
    sink = await Database.open(order.sink)
    if order.role == "runner":
        return await _runner(order, broker, outgoing, sink)
    return _worker(order, broker, catalogue, sink)


def _worker(order: Order, broker: Broker, catalogue: Catalogue, sink: Database) -> Worker:
    consumer = CONSUMERS[order.consumer]()
    return Worker(consumer, broker, sink, controls.CODEC, catalogue, name=order.name)


async def _runner(order: Order, broker: Broker, outgoing: Outgoing, sink: Database) -> Runner:
    ways = Ways(
        source=await Database.open(order.source),
        broker=broker,
        outgoing=outgoing,
        backfills=(controls.BACKFILL,),
        mirrored=controls.MIRRORED,
        sinks={"shelf": sink},
        window=order.window,
    )
    return Runner(ways, holder="bench")


async def main() -> None:
    """Run one thing."""
    loop = asyncio.get_running_loop()
    work = await build(msgspec.json.decode(await _line(loop), type=Order))
    calm_collector()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not await _line(loop):
        return
    loop.add_reader(sys.stdin.fileno(), work.stop)
    try:
        await work.run()
    finally:
        loop.remove_reader(sys.stdin.fileno())


async def _line(loop: asyncio.AbstractEventLoop) -> Any:
    return await loop.run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    running.run(main(), LogSettings(level="error"))
