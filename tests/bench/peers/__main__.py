"""headwater beside what others would use for the same job: `python -m tests.bench.peers`.

Needs the dependency group `peers` (`uv sync --group peers`). Every peer gets the same events as a worker, in
the same servers and the same run, and is killed at the end. Those that apply event by event get fewer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import redis.asyncio
from faststream.redis import RedisBroker

from headwater.bench import limits, report, usage
from headwater.bench.applying import STATEMENT, drain, fill, order
from headwater.bench.figures import Figure, figure, table
from headwater.bench.handlers import WAYS
from headwater.bench.sizes import QUICK
from headwater.bench.world import World, world
from headwater.cli.output import as_json
from headwater.testing import running_servers, until
from tests.bench.peers.job import GROUP, PEERS, TABLES, Order

SLOW = 10
"""Those that apply one by one get this part of the events."""


class Cost(NamedTuple):
    rate: float
    cpu: float | None
    peak: float | None


def bodies(shop: World, events: int) -> list[dict[str, Any]]:
    """The facts of a worker's backlog, as a peer's events."""
    said = [shop.good(*one) for one in order(events)]
    found = []
    for one in said:
        envelope = one.envelope("bench")
        good = {"name": one.event.name, "price": str(one.event.price), "note": one.event.note}
        head = {"event_id": envelope.id, "tenant": one.tenant, "good_id": one.event.key}
        found.append({**head, "version": one.version, **good})
    return found


async def fill_peer(shop: World, name: str, stream: str, events: list[dict[str, Any]]) -> None:
    """Each in the format that its own publisher writes."""
    if name.startswith("FastStream"):
        async with RedisBroker(shop.redis_url, logger=None) as broker:
            client = redis.asyncio.from_url(shop.redis_url)
            for at in range(0, len(events), 500):
                async with client.pipeline(transaction=False) as pipe:
                    for one in events[at : at + 500]:
                        await broker.publish(one, stream=stream, pipeline=pipe)
                    await pipe.execute()
            await client.aclose()
        return
    for at in range(0, len(events), 500):
        some = [("XADD", stream, "*", "data", json.dumps(one)) for one in events[at : at + 500]]
        await shop.broker.pipeline(some)


async def peer(shop: World, name: str, events: list[dict[str, Any]]) -> Cost:
    """A fresh process of a peer takes its backlog."""
    stream = f"{shop.prefix}peer"
    await shop.broker.execute("DEL", stream)
    await shop.sink.execute("TRUNCATE peer_inbox, peer_goods")
    await fill_peer(shop, name, stream, events)
    await shop.broker.create_group(stream, GROUP)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.bench.peers.{PEERS[name]}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        order = Order(shop.redis_url, shop.sink.url, stream)
        running.stdin.write(json.dumps(order._asdict()).encode() + b"\n")
        assert await running.stdout.readline(), f"{name} ended at its start"
        before = usage.cpu_of(running.pid)
        running.stdin.write(b"go\n")
        return await measured(shop, stream, running.pid, before, len(events))
    finally:
        running.kill()
        await running.wait()


async def measured(shop: World, stream: str, pid: int, before: float | None, count: int) -> Cost:
    async def begun() -> bool:
        return (await shop.broker.groups(stream))[0].last_delivered != "0-0"

    async def done() -> bool:
        state = (await shop.broker.groups(stream))[0]
        return state.lag == 0 and state.pending == 0

    await until(begun, within=30.0, every=0.002)
    start = time.perf_counter()
    await until(done, within=900.0, every=0.01)
    rate = count / (time.perf_counter() - start)
    after = usage.cpu_of(pid)
    applied = await shop.sink.fetchval("SELECT count(*) FROM peer_inbox")
    assert applied == count, f"{applied} of {count} events were applied"
    cpu = None if before is None or after is None else (after - before) / count * 1e6
    return Cost(rate, cpu, usage.peak(pid))


async def compare(shop: World, events: int, rounds: int) -> list[Figure]:
    """Worker and peers in turn; ours is what the others are shares of."""
    await shop.sink.execute(TABLES)
    backlog = bodies(shop, events)
    bare = await limits.Bare.open(shop)
    envelopes = [shop.good(*one).envelope("bench") for one in order(events)]
    statement: list[float] = []
    ours: list[Cost] = []
    theirs: dict[str, list[Cost]] = {name: [] for name in PEERS}
    for _ in range(rounds):
        statement.append(await bare.gated(envelopes))
        await shop.empty()
        cost = await drain(shop, "upsert", await fill(shop, WAYS["upsert"], events))
        ours.append(Cost(cost.rate, cost.consumer, cost.peak))
        await shop.empty()
        for name in PEERS:
            print(f"measuring {name} ...", file=sys.stderr)
            some = backlog if "batch" in name else backlog[: max(events // SLOW, 1)]
            theirs[name].append(await peer(shop, name, some))
    first = line("headwater, @upsert", ours, {STATEMENT: statement})
    against = {"headwater, @upsert, in the same run": [one.rate for one in ours]}
    return [first, *(line(name, costs, against) for name, costs in theirs.items())]


def line(name: str, costs: list[Cost], against: dict[str, list[float]]) -> Figure:
    details = {"consumer_us_per_event": costs[-1].cpu, "peak_mib": costs[-1].peak}
    return figure(("peers", name), [one.rate for one in costs], limits=against, details=details)


async def main(events: int, rounds: int, show: Callable[[list[Figure], dict[str, Any]], None]) -> None:
    async with running_servers(durable=True) as servers, world(servers) as shop:
        size = QUICK._replace(events=events, rounds=rounds)
        about = await report.conditions(shop, servers, size)
        show(await compare(shop, events, rounds), about)


def shown(as_document: bool) -> Callable[[list[Figure], dict[str, Any]], None]:
    def show(figures: list[Figure], about: dict[str, Any]) -> None:
        found = {"schema": "headwater.bench.peers.v1", **report.document(figures, about)}
        print(as_json(found) if as_document else table(figures).plain())

    return show


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    asyncio.run(main(asked.events, asked.rounds, shown(asked.json)))
