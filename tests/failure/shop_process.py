"""One process of the shop: relay, worker, runner, till or again.

It runs until it is stopped or killed, or until its owner is gone: then its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from headwater import failpoints
from headwater.broker import Broker
from headwater.config import DatabaseSettings
from headwater.database import Database, Tx
from headwater.delivery import Consumer, Context, Limits, Pace, Worker
from headwater.publish import DirectProducer, Outgoing, Relay, Republisher, Said
from headwater.publish.span import Between, Span
from headwater.replay import Runner, Ways
from headwater.testing import controls


def pace() -> Pace:
    """Quick; how much at once is up to the test."""
    return Pace(
        block=0.2,
        min_idle=1.0,
        heartbeat=0.3,
        drain=5.0,
        hand=int(os.environ.get("SHOP_HAND", "67108864")),
        count=int(os.environ.get("SHOP_COUNT", "1000")),
    )


PARKED = "SELECT count(*) FROM headwater.dead_letter WHERE event_id = $1"


def consumer() -> Consumer:
    """The shop's, or one that a certain sale is the death of."""
    deadly = os.environ.get("SHOP_DEADLY")
    if os.environ.get("SHOP_ORDERED"):
        return in_order()
    if not deadly:
        return controls.shelf()
    found = Consumer("shelf")

    @found.on(controls.GoodSold)
    async def on_good_sold(event: controls.GoodSold, tx: Tx, context: Context) -> None:
        if event.sale_id == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        await tx.execute("INSERT INTO sales VALUES ($1, $2, 'g', 1)", event.sale_id, context.tenant)

    return found


def in_order() -> Consumer:
    """Writes each thing's sales down in order, slowly; some fail at first; marks what comes out of turn."""
    found = Consumer("shelf")

    @found.on(controls.GoodSold, ordered=True)
    async def on_good_sold(event: controls.GoodSold, tx: Tx, context: Context) -> None:
        written = await tx.fetchval("SELECT count(*) FROM sales WHERE good_id = $1", event.sale_id)
        turn = "" if written == event.amount else "wrong-"
        name = f"{turn}{event.sale_id}-{event.amount}"
        await tx.execute("SELECT pg_sleep(0.01)")
        if event.amount % 10 == 3 and not await tx.fetchval(PARKED, context.event_id):
            raise RuntimeError("not before it was parked once")
        await tx.execute(
            "INSERT INTO sales VALUES ($1, $2, $3, $4)", name, context.tenant, event.sale_id, event.amount
        )

    return found


class Till:
    """Says five sales without an outbox, the same ones at every start, and ends."""

    def __init__(self, outgoing: Outgoing, broker: Broker, tenant: str) -> None:
        self._producer = DirectProducer(outgoing, broker, enabled=_nobody, source="till")
        self._tenant = tenant

    def stop(self) -> None:
        """It ends by itself."""

    async def run(self) -> None:
        sales = [controls.GoodSold(sale_id=f"s{number}", good_id="g", amount=1) for number in range(5)]
        said = [Said(sale, self._tenant, operation_id=sale.sale_id) for sale in sales]
        outcomes = await self._producer.publish_many(said)
        assert all(one.outcome == "ok" for one in outcomes)


class Again:
    """Says all of the outbox again, ten rows at once, or goes on with a run that was ended; then ends."""

    def __init__(self, republisher: Republisher, streams: Iterable[str]) -> None:
        self._republisher = republisher
        self._streams = {stream: Between() for stream in streams}

    def stop(self) -> None:
        """It ends by itself."""

    async def run(self) -> None:
        again = self._republisher
        async with again.session() as connection:
            await again.alone(connection)
            number = await again.unfinished(connection, "test")
            if number is None:
                span = Span(streams=self._streams, until=await again.now(connection))
                plan = await again.plan(connection, span)
                asked = await again.covered(connection, span, plan)
                run = await again.begin(connection, span, plan, by="test", asked=asked)
            else:
                run = await again.find(connection, number)
            await again.go(connection, run)


async def _nobody(tenants: Iterable[str]) -> dict[str, set[str]]:
    return {tenant: set() for tenant in tenants}


async def build(role: str, name: str) -> Any:
    broker = Broker(os.environ["SHOP_REDIS"])
    catalogue = controls.CATALOGUE.with_prefix(os.environ["SHOP_PREFIX"])
    catalogue = catalogue.with_side_streams(os.environ.get("SHOP_ASIDE", "").split())
    outgoing = Outgoing(controls.CODEC, catalogue)
    if role == "till":
        return Till(outgoing, broker, tenant=name)
    if role == "again":
        about = (os.environ["SHOP_SOURCE"], broker, outgoing, controls.ENABLEMENT)
        return Again(Republisher(*about, page=10), catalogue.written_keys())
    if role == "relay":
        return Relay(os.environ["SHOP_SOURCE"], broker, outgoing, controls.ENABLEMENT)
    hasty = DatabaseSettings(idle_in_transaction=2.0)  # what a frozen process holds is free soon
    sink = await Database.open(os.environ["SHOP_SINK"], limits=hasty)
    if role == "worker":
        limits = Limits(attempts=int(os.environ.get("SHOP_ATTEMPTS", "3")), first=0.05, longest=0.2)
        settings: dict[str, Any] = {"name": name, "pace": pace(), "limits": limits}
        return Worker(consumer(), broker, sink, controls.CODEC, catalogue, **settings)
    ways = Ways(
        source=await Database.open(os.environ["SHOP_SOURCE"]),
        broker=broker,
        outgoing=outgoing,
        backfills=(controls.BACKFILL,),
        mirrored=controls.MIRRORED,
        sinks={"shelf": sink},
        chunk=10,
        window=10,
        lease=float(os.environ.get("SHOP_LEASE", "10")),
    )
    return Runner(ways, holder=name, at_once=1)


async def main(role: str, name: str) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), os._exit, 0)
    failpoints.arm(os.environ.get("HEADWATER_FAILPOINTS", ""))
    thing = await build(role, name)
    loop.add_signal_handler(signal.SIGTERM, thing.stop)
    await thing.run()


def begin(role: str, name: str) -> None:
    """Run it to its end."""
    asyncio.run(main(role, name))
