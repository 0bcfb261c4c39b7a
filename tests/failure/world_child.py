"""One process of a world, made to fail: a relay or a worker.

It is ready to start, and starts at the line `go`; what stands behind it, and on every later line, are
the failpoints to arm. It runs until it is stopped or killed, or until its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from headwater import clock, failpoints
from headwater.broker import Broker
from headwater.config import DatabaseSettings
from headwater.database import Database, Tx
from headwater.delivery import Consumer, Context, Limits, Pace, Worker
from headwater.errors import DatabaseUnavailable, Reject
from headwater.publish import Outgoing, Relay, Repairer, Republisher
from headwater.testing import controls


class Tempo(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the processes of a world are."""

    pace: Pace = Pace()
    poll: float = 1.0
    lease: float = 15.0
    """Both of the relay."""
    repairs: float = 0.0
    """Seconds between looks of the relay at what was lost; 0: it does not look."""
    idle_in_transaction: float = DatabaseSettings().idle_in_transaction
    timeout: float = 5.0
    """Of Redis."""
    attempts: int = 2


def consumer() -> Consumer:
    """Mirrors goods; writes sales down and adds them up, where a second time would show."""
    shelf = Consumer("shelf")

    @shelf.upsert(controls.GoodChanged, gone=(controls.GoodRemoved,), table="goods", key="good_id")
    class Good:
        name: str
        price: Decimal
        note: str | None

    @shelf.on(controls.GoodSold)
    async def on_good_sold(event: controls.GoodSold, tx: Tx, context: Context) -> None:
        if event.behave == "reject":
            raise Reject("this sale is refused")
        if event.behave == "crash":
            raise RuntimeError("the handler has a defect")
        await tx.execute("INSERT INTO journal VALUES ($1, $2)", context.tenant, event.sale_id)
        await tx.execute(
            "INSERT INTO sold VALUES ($1, $2, $3) ON CONFLICT (tenant, good) DO UPDATE SET n = sold.n + $3",
            *(context.tenant, event.good_id, event.amount),
        )

    return shelf


async def opened(url: str, limits: DatabaseSettings) -> Database:
    """The sink, however long it is away."""
    while True:
        try:
            return await Database.open(url, limits=limits)
        except DatabaseUnavailable:
            await asyncio.sleep(0.1)


def step_clock() -> None:
    """Let this process believe that it is another hour, when the environment says so."""
    seconds = float(os.environ.get("WORLD_CLOCK", "0"))
    now, of_day, in_ns = clock.now, time.time, time.time_ns
    if seconds:
        clock.now = lambda: now() + timedelta(seconds=seconds)
        time.time = lambda: of_day() + seconds
        time.time_ns = lambda: in_ns() + int(seconds * 1e9)


async def build(role: str, name: str) -> tuple[Any, dict[str, float]]:
    """What to run, and how."""
    tempo = msgspec.json.decode(os.environ["WORLD_TEMPO"], type=Tempo)
    broker = Broker(os.environ["WORLD_REDIS"], timeout=tempo.timeout)
    catalogue = controls.CATALOGUE.with_prefix(os.environ["WORLD_PREFIX"])
    if role == "relay":
        outgoing = Outgoing(controls.CODEC, catalogue)
        about = (os.environ["WORLD_SOURCE"], broker, outgoing, controls.ENABLEMENT)
        relay = Relay(*about)
        if tempo.repairs:
            saying = Republisher(*about)
            relay.repair_with(Repairer(saying, broker, catalogue, most=1_000_000, every=tempo.repairs))
        return relay, {
            "poll": tempo.poll,
            "lease": tempo.lease,
        }
    limits = DatabaseSettings(idle_in_transaction=tempo.idle_in_transaction)
    sink = await opened(os.environ["WORLD_SINK"], limits)
    manner: Any = {
        "name": name,
        "pace": tempo.pace,
        "limits": Limits(attempts=tempo.attempts, crashes=1000, first=0.05, longest=0.2),
    }
    return Worker(consumer(), broker, sink, controls.CODEC, catalogue, **manner), {}


def told() -> None:
    lines = os.read(sys.stdin.fileno(), 4096).decode()
    if not lines:
        os._exit(0)
    failpoints.arm(lines.strip().rpartition("\n")[2])


def tell_tasks() -> None:
    """What every task waits for, on stderr."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=6, file=sys.stderr)
    sys.stderr.write("tasks told\n")


async def main(role: str, name: str) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, tell_tasks)
    loop.add_reader(sys.stdin.fileno(), told)
    thing, options = await build(role, name)
    loop.add_signal_handler(signal.SIGTERM, thing.stop)
    await thing.run(**options)


def begin(role: str, name: str) -> None:
    """Wait for `go`, then run."""
    first = _line()
    if not first.startswith("go"):
        return
    failpoints.arm(first.removeprefix("go").strip())
    step_clock()
    asyncio.run(main(role, name))


def _line() -> str:
    """No byte more than that: the rest is read as it comes."""
    found = b""
    while not found.endswith(b"\n") and (one := os.read(sys.stdin.fileno(), 1)):
        found += one
    return found.decode()
