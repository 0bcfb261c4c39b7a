"""Rows said again in a test's world, and a Redis that forgets everything of it."""

from __future__ import annotations

from typing import Any

from headwater.publish import Relay, Repairer, Republisher
from headwater.publish.republish import Run
from headwater.publish.span import Between, Span
from headwater.testing import controls, until
from tests.engine.conftest import Shop


def republisher(shop: Shop, page: int = 10) -> Republisher:
    return Republisher(shop.source.url, shop.broker, shop.outgoing, controls.ENABLEMENT, page)


async def again(shop: Shop, streams: dict[str, Between] | None = None, **bounds: Any) -> Run:
    """Say again what lies in a span: by default everything."""
    saying = republisher(shop)
    async with saying.session() as connection:
        await saying.alone(connection)
        now = await saying.now(connection)
        span = Span(streams=streams or every(shop), **{"until": now, **bounds})
        plan = await saying.plan(connection, span)
        asked = await saying.covered(connection, span, plan)
        return await saying.go(connection, await saying.begin(connection, span, plan, by="test", asked=asked))


def repairing(shop: Shop, most: int = 1000) -> Repairer:
    """Says again by itself what is missed, up to so many rows of a stream."""
    return Repairer(republisher(shop), shop.broker, shop.catalogue, most, every=0.1)


def mending(shop: Shop, most: int = 1000) -> Relay:
    """A relay that does."""
    relay = shop.relay()
    relay.repair_with(repairing(shop, most))
    return relay


async def gaps(shop: Shop, stream: str = "sales") -> set[str]:
    """States of the gaps of a stream."""
    rows = await shop.sink.fetch("SELECT state FROM headwater.gap WHERE stream = $1", shop.key(stream))
    return {row["state"] for row in rows}


def every(shop: Shop) -> dict[str, Between]:
    return {stream: Between() for stream in shop.catalogue.written_keys()}


async def forget(shop: Shop) -> None:
    """What FLUSHALL does to this test's world, and to no other test's."""
    script = "return redis.call('DEL', unpack(redis.call('KEYS', ARGV[1])))"
    await shop.broker.execute("EVAL", script, 0, f"{shop.catalogue.keys.prefix}*")


async def moved(shop: Shop) -> None:
    """Wait until nothing of the outbox waits."""

    async def none() -> bool:
        query = "SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL"
        return not await shop.source.fetchval(query)

    await until(none)


async def looked(shop: Shop, times: int = 2) -> None:
    """Wait until a worker has looked for losses so many times more."""
    before = await _looks(shop)

    async def more() -> bool:
        return await _looks(shop) >= before + times

    await until(more)


async def _looks(shop: Shop) -> int:
    return int(await shop.sink.fetchval("SELECT coalesce(max(beat), 0) FROM headwater.beat"))
