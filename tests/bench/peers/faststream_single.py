"""FastStream: a subscriber of one model at a time."""

from __future__ import annotations

import asyncpg
from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from tests.bench.peers.job import APPLY, GROUP, Gate, Order, columns, run
from tests.bench.peers.model import Good, row


async def work(order: Order, pool: asyncpg.Pool, gate: Gate) -> None:
    broker = RedisBroker(order.redis, logger=None)

    @broker.subscriber(stream=StreamSub(order.stream, group=GROUP, consumer="one"))
    async def apply(good: Good) -> None:
        await pool.execute(APPLY, *columns([row(good)]))

    await gate()
    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    run(work)
