"""Apply rules weaker than the real one, and recorded deliveries to try them all on.

Each weaker rule is the real applier with one thing taken away. All rules get exactly the same
deliveries: doubled, displaced, and delivered again after a transaction that was broken off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from headwater.database import Tx, connect
from headwater.delivery import Limits
from headwater.delivery.applier import Applier
from headwater.delivery.work import Delivery, Work, sort_out
from headwater.event import Event
from headwater.publish import Said
from headwater.testing import controls
from tests.engine.conftest import Shop
from tests.failure.histories import APP, Step, Wrapper

KEY = "shelf:goods"


class Died(Exception):
    """A process ended in the middle of a transaction."""


class Real(Applier):
    """The rule as it is; can be made to die before its commit."""

    dying = False

    async def _advance(self, tx: Tx, work: Sequence[Work]) -> None:
        await super()._advance(tx, work)
        if self.dying:
            raise Died


class Unconditional(Real):
    """Takes whatever comes."""

    async def open(self) -> None:
        await super().open()
        gate = "     WHERE (l.generation, l.version) < (excluded.generation, excluded.version)\n"
        for place, mirror in self._mirrors.items():
            assert gate in mirror.statement
            assert gate in mirror.typed
            self._mirrors[place] = msgspec.structs.replace(
                mirror,
                statement=mirror.statement.replace(gate, ""),
                typed=mirror.typed.replace(gate, ""),
            )


class Forgetful(Real):
    """Keeps no tombstone."""

    async def apply(self, work: Sequence[Work]) -> None:
        await super().apply(work)
        await self.database.execute("DELETE FROM headwater.ledger WHERE deleted")


class Rule(NamedTuple):
    """How deliveries are applied."""

    name: str
    applier: type[Real] = Real
    label: str = ""
    """The metadata whose number stands for the version; empty for the version itself."""
    hasty: bool = False
    """Acknowledges before the commit: what a crash broke off does not come again."""

    def version(self, work: Work) -> Work:
        """The work under the version this rule goes by."""
        number = work.envelope.metadata.get(self.label)
        if number is None:
            return work
        return work._replace(envelope=msgspec.structs.replace(work.envelope, version=number))


REAL = Rule("the rule")
WEAKER = (
    Rule("unconditional upsert and delete", Unconditional),
    Rule("gate on updated_at", label="updatedAt"),
    Rule("gate on version without tombstone", Forgetful),
    Rule("acknowledge before commit", hasty=True),
    Rule("backfill rows under the clock", label="clock"),
    Rule("backfill rows under a fresh version", label="fresh"),
)


class Batch(NamedTuple):
    """Deliveries of one transaction."""

    work: list[Work]
    dies: bool
    again: int
    """After how many more batches it is delivered again, when it died."""


def delivered(chance: Random, recorded: Sequence[Work]) -> list[Batch]:
    """What a stream may make of its entries: some late, some twice, in batches of which some die."""
    places: list[tuple[float, int, Work]] = []
    for place, work in enumerate(recorded):
        late = chance.uniform(0, 120) if chance.random() < 0.15 else 0.0
        places.append((place + late, len(places), work))
        if chance.random() < 0.3:
            places.append((place + chance.uniform(0, 240), len(places), work))
    ordered = [work for *_, work in sorted(places)]
    batches = []
    while ordered:
        size = chance.randint(1, 40)
        # Every third dies, whatever the seed: deaths that depend on chance would now and then be too few.
        batches.append(Batch(ordered[:size], len(batches) % 3 == 1, chance.randint(0, 10)))
        del ordered[:size]
    return batches


async def replay(shop: Shop, rule: Rule, batches: Sequence[Batch]) -> None:
    """Apply the batches to an empty application by one rule."""
    await shop.sink.execute("TRUNCATE goods, headwater.ledger, headwater.position")
    applier = rule.applier(shop.sink, controls.shelf(), name="replay", limits=Limits())
    await applier.open()
    waiting = list(batches)
    while waiting:
        batch = waiting.pop(0)
        work = [rule.version(one) for one in batch.work]
        applier.dying = batch.dies
        try:
            await applier.apply(work)
        except Died:
            if not rule.hasty:
                waiting.insert(batch.again, batch._replace(dies=False))


class Recorder:
    """Lets histories happen and keeps the entries they leave on the stream."""

    def __init__(self, shop: Shop, wrapper: Wrapper, chance: Random) -> None:
        self._shop = shop
        self._wrapper = wrapper
        self._chance = chance
        self._read: dict[str, tuple[int, list[Any]]] = {}

    async def record(self, steps: Iterator[Step]) -> list[Work]:
        """Do the steps one after the other; the deliveries they become, in the stream's order."""
        for step in steps:
            if step.kind == "put" and self._chance.random() < 0.15:
                await self._overtaken(step)
            else:
                await self._wrapper.do(step)
            if step.kind == "enable":
                self._read[step.tenant] = (self._chance.randint(0, 6), await self._rows(step.tenant))
            await self._say_read(step.tenant)
        for tenant in list(self._read):
            await self._say_read(tenant, now=True)
        await self._relay()
        entries = await self._shop.broker.range(self._shop.key(KEY), count=1_000_000)
        deliveries = [Delivery(one.stream, one.id, one.fields or {}) for one in entries]
        return sort_out(deliveries, controls.shelf(), controls.CODEC).work

    async def _overtaken(self, step: Step) -> None:
        """A transaction that began first changes the row last."""
        async with self._shop.source.transaction() as first:
            await self._wrapper.do(step._replace(text=step.text[::-1]))
            await self._wrapper.within(first, step)

    async def _rows(self, tenant: str) -> list[tuple[Event, int, float]]:
        """What a backfill says about a tenant, as it stands now: event, version, time of the change."""
        rows = await self._shop.source.fetch(controls.SCOPE, tenant, APP)
        buried = await self._shop.source.fetch("SELECT * FROM headwater.tombstone WHERE tenant = $1", tenant)
        return [
            *((controls.BACKFILL.say(row), row["version"], row["changed_at"].timestamp()) for row in rows),
            *(
                (controls.BACKFILL.gone(row["key"]), row["version"], row["deleted_at"].timestamp())
                for row in buried
            ),
        ]

    async def _say_read(self, tenant: str, *, now: bool = False) -> None:
        """Append what was read of a tenant, some of its steps later."""
        left, rows = self._read.get(tenant, (1, []))
        if left > 0 and not now:
            self._read[tenant] = (left - 1, rows)
            return
        self._read.pop(tenant)
        await self._relay()
        appends = []
        for event, version, changed in rows:
            labels = {
                "updatedAt": round(changed * 1e6),
                "clock": time.time_ns() // 1000,
                "fresh": await self._shop.source.fetchval("SELECT headwater.next_version()"),
            }
            said = Said(event, tenant, version, metadata=labels)
            appends += self._shop.outgoing.entries(said.envelope("backfill", target=APP, job="job"), ())
        await self._shop.broker.append(appends)

    async def _relay(self) -> None:
        connection = await connect(self._shop.source.url)
        relay = self._shop.relay()
        while (await relay.move(connection)).rows:
            continue
        await connection.close()
