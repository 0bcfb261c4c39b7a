"""FastStream: a subscriber of 500 models at a time."""

from __future__ import annotations

import asyncpg
from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from tests.bench.peers.job import APPLY, GROUP, Gate, Order, columns, run
from tests.bench.peers.model import Good, row


async def work(order: Order, pool: asyncpg.Pool, gate: Gate) -> None:
    broker = RedisBroker(order.redis, logger=None)
    stream = StreamSub(order.stream, group=GROUP, consumer="one", batch=True, max_records=500)

    @broker.subscriber(stream=stream)
    async def apply(goods: list[Good]) -> None:
        await pool.execute(APPLY, *columns([row(good) for good in goods]))

    await gate()
    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    run(work)
