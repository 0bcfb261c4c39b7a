"""The same job for every peer: read, decode, dedupe by id, upsert by version, acknowledge.

Each runs in its documented idiom, in a process of its own: its order comes on standard input, then it says
that it is ready, and works after the next line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import asyncpg
import uvloop

TABLES = """
CREATE TABLE peer_inbox (event_id text PRIMARY KEY);
CREATE TABLE peer_goods (
    tenant_id uuid NOT NULL, good_id uuid NOT NULL, version bigint NOT NULL, name text NOT NULL,
    price numeric NOT NULL, note text, PRIMARY KEY (tenant_id, good_id));
"""
APPLY = """
WITH said AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::numeric[], $7::text[])
           AS e (event_id, tenant, good, version, name, price, note)
), new AS (
    INSERT INTO peer_inbox SELECT event_id FROM said ON CONFLICT DO NOTHING RETURNING event_id
)
INSERT INTO peer_goods
SELECT DISTINCT ON (tenant, good) tenant::uuid, good::uuid, version, name, price, note
  FROM said JOIN new USING (event_id) ORDER BY tenant, good, version DESC
ON CONFLICT (tenant_id, good_id) DO UPDATE
   SET version = excluded.version, name = excluded.name, price = excluded.price, note = excluded.note
 WHERE peer_goods.version < excluded.version
"""
GROUP = "peer"
FIELDS = ("event_id", "tenant", "good_id", "version", "name", "price", "note")


class Order(NamedTuple):
    """Where the peer works."""

    redis: str
    sink: str
    stream: str


Gate = Callable[[], Awaitable[None]]


def columns(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What APPLY takes."""
    return list(zip(*rows, strict=True))


PEERS = {
    "FastStream, batch of 500": "faststream_batch",
    "FastStream, one at a time": "faststream_single",
    "hand-written redis-py loop": "hand_written",
}
"""Module of each."""


Work = Callable[[Order, asyncpg.Pool, Gate], Awaitable[None]]


def run(work: Work) -> None:
    """One peer, until its standard input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(work))


async def _main(work: Work) -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    loop = asyncio.get_running_loop()

    async def gate() -> None:
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        loop.add_reader(sys.stdin.fileno(), os._exit, 0)

    async with asyncpg.create_pool(order.sink, min_size=2, max_size=10) as pool:
        await work(order, pool, gate)
