"""Seeded histories of the shop's tenants, and the one checker of whether source and application agree.

A history is a list of steps of one tenant: goods are put, removed and put again, sales are made, the
application is enabled at a random moment, and now and then disabled and enabled again. The same seed
gives the same steps; how they meet the running processes is up to the machine.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from decimal import Decimal
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec

from headwater.database import Database, Tx
from headwater.errors import JobRefused
from headwater.publish import Producer
from headwater.replay import History
from headwater.testing.controls import GoodChanged, GoodRemoved, GoodSold

APP = "shelf"
Kind = Literal["put", "remove", "sell", "enable", "disable"]


class Step(NamedTuple):
    """One thing that happens to one tenant."""

    tenant: str
    kind: Kind
    key: str = ""
    text: str = ""


def histories(chance: Random, count: int) -> list[list[Step]]:
    """Histories of `count` tenants; each ends with the application enabled."""
    return [_history(chance) for _ in range(count)]


def _history(chance: Random) -> list[Step]:
    tenant = _uuid(chance)
    goods = [_uuid(chance) for _ in range(chance.randint(2, 5))]
    steps = [_change(chance, tenant, goods) for _ in range(chance.randint(10, 22))]
    first = chance.randrange(len(steps) - 2)
    switches: list[tuple[int, Kind]] = [(first, "enable")]
    if chance.random() < 0.3:
        off, on = sorted(chance.sample(range(first + 1, len(steps)), 2))
        switches.extend([(off, "disable"), (on, "enable")])
    for place, kind in reversed(switches):
        steps.insert(place, Step(tenant, kind))
    return steps


def _change(chance: Random, tenant: str, goods: list[str]) -> Step:
    good, text = chance.choice(goods), f"name {chance.getrandbits(32):08x}"
    kind: Kind = chance.choices(("put", "remove", "sell"), (60, 30, 10))[0]
    return Step(tenant, kind, _uuid(chance) if kind == "sell" else good, text)


def _uuid(chance: Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def interleaved(chance: Random, plans: Iterable[list[Step]]) -> Iterator[Step]:
    """The steps of all histories in one order, which keeps the order within each."""
    turns = [(iter(plan), len(plan)) for plan in plans]
    waiting = [steps for steps, count in turns for _ in range(count)]
    chance.shuffle(waiting)
    return map(next, waiting)


class Wrapper:
    """The source's program: does steps, and says what it did in the same transaction."""

    def __init__(self, source: Database, producer: Producer, history: History) -> None:
        self._source = source
        self._producer = producer
        self._history = history
        self.sold: set[str] = set()

    async def do(self, step: Step) -> None:
        """Do one step in a transaction of its own."""
        async with self._source.transaction() as tx:
            await self.within(tx, step)

    async def within(self, tx: Tx, step: Step) -> None:
        """Do one step in a transaction that may have begun long before."""
        if step.kind == "put":
            await self._put(tx, step)
        elif step.kind == "remove":
            await self._remove(tx, step)
        elif step.kind == "sell":
            sale = GoodSold(sale_id=step.key, good_id="any", amount=1)
            await self._producer.publish(tx, sale, tenant=step.tenant, operation_id=step.key)
            self.sold.add(step.key)
        elif step.kind == "enable":
            await self._enable(tx, step.tenant)
        else:
            await tx.execute("DELETE FROM enabled WHERE tenant_id = $1", step.tenant)
            await self._history.jobs.cancel(step.tenant, APP, "test", tx=tx)

    async def _put(self, tx: Tx, step: Step) -> None:
        note = step.text if step.text[-1] in "02468ace" else None
        row = await tx.fetchrow(
            "INSERT INTO goods (good_id, tenant_id, name, price, note) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT (good_id) DO UPDATE SET name = excluded.name, price = excluded.price, "
            "note = excluded.note, updated_at = now() RETURNING *",
            *(step.key, step.tenant, step.text, Decimal(len(step.text)) / 8, note),
        )
        assert row is not None
        event = GoodChanged(good_id=step.key, name=row["name"], price=row["price"], note=row["note"])
        await self._say(tx, step, event, row["headwater_version"], row["updated_at"])

    async def _remove(self, tx: Tx, step: Step) -> None:
        begun = await tx.fetchval("DELETE FROM goods WHERE good_id = $1 RETURNING now()", step.key)
        if begun is not None:
            await self._say(tx, step, GoodRemoved(good_id=step.key), None, begun)

    async def _say(self, tx: Tx, step: Step, event: Any, version: int | None, begun: Any) -> None:
        metadata = {"updatedAt": round(begun.timestamp() * 1e6)}
        await self._producer.publish(tx, event, tenant=step.tenant, version=version, metadata=metadata)

    async def _enable(self, tx: Tx, tenant: str) -> None:
        await tx.execute("INSERT INTO enabled VALUES ($1, $2) ON CONFLICT DO NOTHING", tenant, APP)
        about = {"asked_by": "test", "reason": "enabled"}
        try:
            await self._history.start(tx, tenant, APP, {}, about)
        except JobRefused as refused:
            if refused.job is None:
                raise
            await self._history.restart(tx, refused.job, about)


class Row(NamedTuple):
    """A good as it stands somewhere."""

    name: str
    price: Decimal
    note: str | None


Place = tuple[str, str]
"""(tenant, key)."""


class Disagreement(msgspec.Struct, frozen=True):
    """What differs between the source and the application; false when nothing does."""

    missing: frozenset[Place]
    resurrected: frozenset[Place]
    stale: frozenset[Place]
    ledger: frozenset[Place]
    """Keys whose rows agree, but not what the ledger says of them."""

    def __bool__(self) -> bool:
        return self.rows or bool(self.ledger)

    @property
    def rows(self) -> bool:
        """Whether rows differ, whatever the ledger says."""
        return bool(self.missing or self.resurrected or self.stale)


async def disagreement(source: Database, sink: Database) -> Disagreement:
    """Compare, row by row, every tenant that has the application enabled."""
    said = await source.fetch(
        "SELECT tenant_id::text AS tenant, good_id::text AS key, name, price, note, "
        "headwater_version AS version FROM goods JOIN enabled USING (tenant_id)"
    )
    kept = await sink.fetch(
        "SELECT tenant_id::text AS tenant, good_id::text AS key, name, price, note FROM goods"
    )
    true, held = _rows(said), _rows(kept)
    versions: dict[Place, int] = {(row["tenant"], row["key"]): row["version"] for row in said}
    return Disagreement(
        missing=frozenset(true.keys() - held.keys()),
        resurrected=frozenset(held.keys() - true.keys()),
        stale=frozenset(place for place in true.keys() & held.keys() if true[place] != held[place]),
        ledger=frozenset(await _ledger(source, sink, versions)),
    )


def _rows(rows: Iterable[Any]) -> dict[Place, Row]:
    return {(row["tenant"], row["key"]): Row(row["name"], row["price"], row["note"]) for row in rows}


async def _ledger(source: Database, sink: Database, living: dict[Place, int]) -> set[Place]:
    found = {
        (row["tenant"], row["key"]): (row["version"], row["deleted"])
        for row in await sink.fetch("SELECT tenant, key, version, deleted FROM headwater.ledger")
    }
    buried = {
        (row["tenant"], row["key"]): row["version"]
        for row in await source.fetch(
            "SELECT t.tenant, t.key, t.version FROM headwater.tombstone AS t "
            "JOIN enabled AS e ON e.tenant_id = t.tenant::uuid"
        )
    }
    wrong = {place for place, version in living.items() if found.get(place) != (version, False)}
    for place in buried.keys() - living.keys():
        # A repair says "gone" with a version drawn for it, which is larger than the tombstone's.
        version, deleted = found.get(place, (0, False))
        if not deleted or version < buried[place]:
            wrong.add(place)
    return wrong | (found.keys() - living.keys() - buried.keys())
