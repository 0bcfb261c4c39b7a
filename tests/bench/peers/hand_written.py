"""The loop of the tutorials: ten at a time, each in its own transaction."""

from __future__ import annotations

import json
from decimal import Decimal

import asyncpg
import redis.asyncio

from tests.bench.peers.job import APPLY, FIELDS, GROUP, Gate, Order, columns, run


async def work(order: Order, pool: asyncpg.Pool, gate: Gate) -> None:
    client = redis.asyncio.from_url(order.redis)
    await gate()
    while True:
        found = await client.xreadgroup(GROUP, "one", {order.stream: ">"}, count=10, block=1000)
        for _, entries in found or []:
            for entry, fields in entries:
                said = json.loads(fields[b"data"])
                row = tuple(Decimal(said[name]) if name == "price" else said[name] for name in FIELDS)
                await pool.execute(APPLY, *columns([row]))
                await client.xack(order.stream, GROUP, entry)


if __name__ == "__main__":
    run(work)
