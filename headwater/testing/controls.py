"""Example declarations for tests: a shop with goods, its sales, and two applications that follow it."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from headwater.delivery import Consumer, Context
from headwater.errors import Reject, Retry
from headwater.event import Codec, Event, Operation, Registry, Subject
from headwater.replay import Backfill, Mirrored
from headwater.topology import Catalogue, Group, Stream

GOODS = Subject("goods")
SALES = Subject("sales", state=False)
SHELVES = Subject("shelves")


class GoodChanged(Event, frozen=True, kw_only=True):
    """A good looks like this now."""

    type: ClassVar[str] = "good.changed"
    subject: ClassVar[Subject] = GOODS

    good_id: str
    name: str
    price: Decimal = Decimal(1)
    note: str | None = None

    @property
    def key(self) -> str:
        """The good's id."""
        return self.good_id


class GoodRemoved(Event, frozen=True, kw_only=True):
    """A good is not sold any more."""

    type: ClassVar[str] = "good.removed"
    subject: ClassVar[Subject] = GOODS
    operation: ClassVar[Operation] = "d"

    good_id: str

    @property
    def key(self) -> str:
        """The good's id."""
        return self.good_id


class GoodSold(Event, frozen=True, kw_only=True):
    """A sale: a log entry, handled by code."""

    type: ClassVar[str] = "good.sold"
    subject: ClassVar[Subject] = SALES
    operation: ClassVar[Operation] = "x"

    sale_id: str
    good_id: str
    amount: int
    behave: str = ""
    """What the handler does: empty works; `reject`, `retry`, `crash`, `bad-sql` fail."""

    @property
    def key(self) -> str:
        """The sale's id."""
        return self.sale_id


REGISTRY = Registry([GoodChanged, GoodRemoved, GoodSold])
CODEC = Codec(REGISTRY)
CATALOGUE = Catalogue(
    [
        Stream(name="sales", events=(GoodSold,)),
        Stream(name="{app}:goods", events=(GoodChanged, GoodRemoved)),
    ],
    [
        Group(app="shelf", name="shelf-group", streams=("sales", "{app}:goods")),
        Group(app="till", name="till-group", streams=("sales",)),
    ],
)

SOURCE_TABLES = """
CREATE TABLE goods (
    good_id uuid PRIMARY KEY, tenant_id uuid NOT NULL,
    name text NOT NULL, price numeric NOT NULL DEFAULT 1, note text,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX goods_page ON goods (tenant_id, good_id);
CREATE TABLE enabled (tenant_id uuid, app text, PRIMARY KEY (tenant_id, app));
SELECT headwater.attach(
    'goods', 'goods', 'tenant_id', 'good_id', ARRAY['name', 'price', 'note', 'tenant_id'], true);
"""
SINK_TABLES = """
CREATE TABLE goods (
    tenant_id uuid NOT NULL, good_id uuid NOT NULL, name text NOT NULL, price numeric NOT NULL, note text,
    PRIMARY KEY (tenant_id, good_id));
CREATE TABLE sales (
    sale_id text PRIMARY KEY, tenant_id uuid NOT NULL, good_id text NOT NULL, amount int NOT NULL);
"""
ENABLEMENT = "SELECT tenant_id::text AS tenant, app FROM enabled WHERE tenant_id = ANY ($1::text[]::uuid[])"
SCOPE = """
SELECT good_id::text AS key, headwater_version AS version, created_at, updated_at AS changed_at,
       good_id, name, price, note
  FROM goods WHERE tenant_id = $1::text::uuid AND $2::text IS NOT NULL
"""
BACKFILL = Backfill(
    subject="goods",
    scope=SCOPE,
    order=("good_id",),
    key_column="good_id",
    say=lambda row: GoodChanged(good_id=row["key"], name=row["name"], price=row["price"], note=row["note"]),
    gone=lambda key: GoodRemoved(good_id=key),
    option="goods",
)
MIRRORED = {
    "shelf": {
        "goods": Mirrored(
            app="shelf", subject="goods", table="goods", key="good_id", columns=("name", "price", "note")
        )
    },
    "till": {},
}


def shelf() -> Consumer:
    """Mirrors goods and writes sales down."""
    consumer = Consumer("shelf")

    @consumer.upsert(GoodChanged, gone=(GoodRemoved,), table="goods", key="good_id")
    class Good:
        name: str
        price: Decimal
        note: str | None

    _write_sales(consumer)
    return consumer


def till() -> Consumer:
    """Only writes sales down."""
    consumer = Consumer("till")
    _write_sales(consumer)
    return consumer


def _write_sales(consumer: Consumer) -> None:
    @consumer.on(GoodSold)
    async def on_good_sold(event: GoodSold, tx: object, context: Context) -> None:
        await _misbehave(event)
        query = "INSERT INTO sales VALUES ($1, $2, $3, $4)"
        values = (event.sale_id, context.tenant, event.good_id, event.amount)
        if event.behave == "bad-sql":
            values = (event.sale_id, context.tenant, None, event.amount)  # type: ignore[assignment]
        await tx.execute(query, *values)  # type: ignore[attr-defined]


async def _misbehave(event: GoodSold) -> None:
    if event.behave == "reject":
        raise Reject("this sale is refused")
    if event.behave == "retry":
        raise Retry(after=0.05)
    if event.behave == "crash":
        raise RuntimeError("the handler has a defect")
