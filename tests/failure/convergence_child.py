"""One process of the shop, to be killed: a worker, a relay or a runner.

It runs until it is killed, or until its owner is gone: then its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from headwater import failpoints
from headwater.broker import Broker
from headwater.database import Database
from headwater.delivery import Limits, Pace, Worker
from headwater.publish import Outgoing, Relay
from headwater.replay import Runner, Ways
from headwater.testing import controls

PACE = Pace(block=0.2, count=100, min_idle=1.0, heartbeat=0.3, drain=5.0)
LIMITS = Limits(crashes=1000)
"""Workers are killed here whatever they hold: nothing that they had alone is to blame for it."""


async def build(role: str, name: str) -> Any:
    """The thing to run, on the servers that the environment names."""
    broker = Broker(os.environ["SHOP_REDIS"])
    catalogue = controls.CATALOGUE.with_prefix(os.environ["SHOP_PREFIX"])
    outgoing = Outgoing(controls.CODEC, catalogue)
    if role == "relay":
        return Relay(os.environ["SHOP_SOURCE"], broker, outgoing, controls.ENABLEMENT, batch=100)
    sink = await Database.open(os.environ["SHOP_SINK"])
    if role == "worker":
        consumer = controls.shelf()
        return Worker(consumer, broker, sink, controls.CODEC, catalogue, name=name, pace=PACE, limits=LIMITS)
    ways = Ways(
        source=await Database.open(os.environ["SHOP_SOURCE"], size=6),
        broker=broker,
        outgoing=outgoing,
        backfills=(controls.BACKFILL,),
        mirrored=controls.MIRRORED,
        sinks={"shelf": sink},
        chunk=2,
    )
    return Runner(ways, holder=name, at_once=4)


async def main(role: str, name: str) -> None:
    """Run one thing."""
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 0)
    failpoints.arm(os.environ.get("SHOP_FAILPOINTS", ""))
    await (await build(role, name)).run()


def begin(role: str, name: str) -> None:
    """Run it until it is killed."""
    asyncio.run(main(role, name))
