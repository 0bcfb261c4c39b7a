"""Lives of workers that all end by SIGKILL: `python restarts.py COUNT WIDTH`; the environment names servers.

Each life is a process of its own, forked from this one: it takes a name, reads an entry with it, and dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from headwater.broker import Broker
from headwater.database import Database
from headwater.delivery.names import Lease


async def live() -> None:
    """Until the entry is read: never acknowledged, so that the name dies with something in its hands."""
    database = await Database.open(os.environ["SHOP_SINK"], size=1)
    name = await Lease(database, "shelf").take()
    broker = Broker(os.environ["SHOP_REDIS"])
    await broker.read("shelf-group", name, [os.environ["SHOP_STREAM"]], count=1, block=0.01)


def life() -> int:
    """Start one; its number."""
    number = os.fork()
    if number == 0:
        try:
            asyncio.run(live())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return number


def main(count: int, width: int) -> None:
    """`width` lives at a time; prints how many ended as they should."""
    running: set[int] = set()
    ended = 0
    for number in range(count + width):
        if number >= width:
            process, status = os.wait()
            running.discard(process)
            ended += os.WIFSIGNALED(status)
        if number < count:
            running.add(life())
    sys.stdout.write(f"{ended}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
