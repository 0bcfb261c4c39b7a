"""Entries put on a stream by hand, and what became of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from headwater.broker import Broker, lag, provision
from headwater.database import Tx
from headwater.delivery import Consumer, Context, Worker
from headwater.event import Event, Fields
from headwater.publish import Said
from headwater.testing import until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop

SALES, GOODS = "sales", "shelf:goods"
Handle = Callable[[GoodSold, Tx, Context], Awaitable[None]]


def fields(shop: Shop, event: Event, version: int | None = None, **history: Any) -> Fields:
    """An entry as our producers write it. `history`: target and job, for a historical one."""
    said = Said(event, shop.tenant, version, operation_id=None if version else event.key)
    return shop.outgoing.codec.encode(said.envelope("test", **history))


def sale(shop: Shop, name: str, behave: str = "") -> Fields:
    return fields(shop, GoodSold(sale_id=name, good_id="g", amount=1, behave=behave))


async def put(shop: Shop, *entries: Fields, stream: str = SALES) -> list[str]:
    """Append entries to streams whose groups exist; their ids."""
    await provision.apply(shop.broker, shop.catalogue)
    return [str(reply) for reply in await shop.broker.append([(shop.key(stream), one) for one in entries])]


async def take(shop: Shop, name: str, stream: str = SALES) -> list[str]:
    """Read as a consumer that then does nothing more; the ids it holds."""
    key = shop.key(stream)
    return [one.id for one in await shop.broker.read("shelf-group", name, [key], count=1000, block=0.05)]


def sold_by(handle: Handle) -> Consumer:
    """An application that does this with sales."""
    consumer = Consumer("shelf")

    @consumer.on(GoodSold)
    async def on_good_sold(event: GoodSold, tx: Tx, context: Context) -> None:
        await handle(event, tx, context)

    return consumer


async def settled(shop: Shop, pending: int = 0) -> bool:
    """Whether everything appended was given out, and no more than `pending` is in anybody's hands."""
    left = 0
    for key in shop.catalogue.keys_of("shelf"):
        behind = await lag.lag(shop.broker, key, "shelf-group")
        if behind is None or behind.entries:
            return False
        left += behind.pending
    return left == pending


async def applied(shop: Shop, *names: str, pending: int = 0) -> None:
    """Wait until these sales, and no others, are written and all but `pending` entries acknowledged."""

    async def done() -> bool:
        return await shop.sales() == sorted(names) and await settled(shop, pending)

    await until(done)


async def started(shop: Shop, worker: Worker) -> Worker:
    shop.start(worker)
    await until(lambda: worker.ready)
    return worker


async def calls(broker: Broker, command: str) -> int:
    """How often the server was asked this by anybody."""
    text = (await broker.execute("INFO", "commandstats")).decode()
    found = [line for line in text.splitlines() if line.startswith(f"cmdstat_{command}:")]
    return int(found[0].partition("calls=")[2].partition(",")[0]) if found else 0


async def letters(shop: Shop) -> dict[str, str]:
    """Reason by key of everything parked."""
    rows = await shop.sink.fetch("SELECT key, entry, reason FROM headwater.dead_letter ORDER BY id")
    return {row["key"] or row["entry"]: row["reason"] for row in rows}


async def gaps(shop: Shop) -> list[tuple[str, str]]:
    rows = await shop.sink.fetch("SELECT kind, entry FROM headwater.gap ORDER BY id")
    return [(row["kind"], row["entry"]) for row in rows]
