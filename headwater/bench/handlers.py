"""The ways to apply events that are compared, each a consumer of the example shop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.event import Event
from headwater.publish import Said
from headwater.testing import controls

FIRST = 1 << 48
"""The first version of epoch 1: versions of the size that real ones have."""
VERSIONS = 5
"""Versions of each thing in a backlog."""


class Way(NamedTuple):
    """How events are applied, and what proves that they were."""

    app: str
    group: str
    stream: str
    """Without the prefix."""
    say: Callable[[str, int, int], Said]
    """The event of (tenant, thing, version)."""
    wrong: str
    """Query for how many of a backlog are missing or came twice: `$1 int` events -> count."""


def good(tenant: str, number: int, version: int) -> Said:
    """The state of a good, with the bytes that a usual event has."""
    identity = f"{number:08x}-0000-4000-8000-{tenant[-12:]}"
    note = f"version {version} of a good with the number {number}"
    return _said(controls.GoodChanged(good_id=identity, name=f"good {number}", note=note), tenant, version)


def sale(tenant: str, number: int, version: int) -> Said:
    """One of the sales of a good: a log entry."""
    identity = f"{number:08x}-0000-4000-8000-{tenant[-12:]}"
    event = controls.GoodSold(sale_id=f"{identity}/{version}", good_id=identity, amount=version)
    return Said(event, tenant)


def _said(event: Event, tenant: str, version: int) -> Said:
    return Said(event, tenant, FIRST + version)


BATCH = 500
"""Of the batch handler."""
_WRITE = """
INSERT INTO sales
SELECT * FROM unnest($1::text[], $2::text[]::uuid[], $3::text[], $4::int[])
"""


def batched() -> Consumer:
    """Writes sales down, many with one statement: what one does whose function takes batches."""
    consumer = Consumer("till")

    @consumer.on(controls.GoodSold, batch=BATCH)
    async def write(events: Sequence[controls.GoodSold], tx: Tx, contexts: Sequence[Context]) -> None:
        pairs = zip(events, contexts, strict=True)
        rows = [(event.sale_id, context.tenant, event.good_id, event.amount) for event, context in pairs]
        await tx.execute(_WRITE, *zip(*rows, strict=True))

    return consumer


_NEWEST = f"SELECT $1::int / {VERSIONS} - count(*) FROM goods WHERE note LIKE 'version {VERSIONS} %'"
_EACH = "SELECT $1::int - count(*) FROM sales"
_GOODS = ("shelf", "shelf-group", "shelf:goods")
_SALES = ("till", "till-group", "sales")

WAYS: dict[str, Way] = {
    "upsert": Way(*_GOODS, say=good, wrong=_NEWEST),
    "function": Way(*_SALES, say=sale, wrong=_EACH),
    "batch": Way(*_SALES, say=sale, wrong=_EACH),
}
CONSUMERS: dict[str, Callable[[], Consumer]] = {
    "upsert": controls.shelf,
    "function": controls.till,
    "batch": batched,
}
