"""A source, an application and the processes between them, and a harness that knows what must come of it.

What is said is written down here, not read back from the source: no defect of the source can hide one
of the application. Each chunk is said in one transaction for each of three tenants with the same ids.
"""

from __future__ import annotations

import contextlib
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from headwater.broker import Broker, provision
from headwater.database import Database, Tx
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.delivery import Pace
from headwater.errors import DatabaseUnavailable
from headwater.event import Event
from headwater.publish import Producer
from headwater.testing import RunningServers, controls, until
from headwater.topology import Catalogue
from tests.failure.convergence_storm import Echo
from tests.failure.nursery import Born
from tests.failure.truth import Held, Truth, Verdict, check, text_of
from tests.failure.world_child import Tempo, begin

APP_NAME = "shelf"
TABLES = """
CREATE TABLE journal (tenant text NOT NULL, sale text NOT NULL);
CREATE TABLE sold (tenant text, good text, n int NOT NULL, PRIMARY KEY (tenant, good));
"""
QUICK = Tempo(
    pace=Pace(block=0.1, count=20, min_idle=0.6, heartbeat=0.2, drain=5.0),
    poll=0.2,
    lease=1.0,
    idle_in_transaction=1.0,
    timeout=2.0,
)
HOT = 2
"""Goods of each tenant that change in every chunk."""
ECHOED = 0.15


def key_of(number: int) -> str:
    """The good's id: the same for every tenant."""
    return str(uuid.UUID(int=number, version=4))


class Child:
    """One process, ready to start before it is needed."""

    def __init__(self, born: Born, name: str, log: Path) -> None:
        self.born = born
        self.name = name
        self._log = log

    def tell(self, line: str) -> None:
        """`go` and failpoints, or failpoints alone."""
        self.born.tell(line)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def bitten(self, point: str, action: str) -> bool:
        """Whether it said that this failpoint bit."""
        return f"failpoint {point}: {action}" in self.log

    @property
    def ended(self) -> bool:
        return self.born.returncode is not None

    @property
    def stopped(self) -> bool:
        """Whether it is stopped by a signal, as the kernel sees it."""
        return self.born.stopped

    def signal(self, number: signal.Signals) -> None:
        self.born.send_signal(number)

    async def end(self) -> None:
        """Kill it."""
        await self.born.end()


class Answer(NamedTuple):
    """True whatever it says: it was given."""

    committed: bool


class Saying:
    """One transaction that says things of one tenant."""

    def __init__(self, producer: Producer, tx: Tx, tenant: str, number: int) -> None:
        self._producer = producer
        self._tx = tx
        self.tenant = tenant
        self.number = number

    async def put(self, key: str) -> str:
        """A good is called like this now."""
        text = text_of(self.tenant, key, self.number)
        await self._state(controls.GoodChanged(good_id=key, name=text))
        return text

    async def remove(self, key: str) -> None:
        await self._state(controls.GoodRemoved(good_id=key))

    async def sell(self, sale: str, amount: int = 1, behave: str = "") -> None:
        event = controls.GoodSold(sale_id=sale, good_id="counter", amount=amount, behave=behave)
        await self._producer.publish(self._tx, event, tenant=self.tenant, operation_id=sale)

    async def _state(self, event: Event) -> None:
        version = await self._tx.fetchval("SELECT headwater.next_version()")
        await self._producer.publish(self._tx, event, tenant=self.tenant, version=version)


class World:
    """Made by `world`."""

    def __init__(
        self, source: Database, sink: Database, broker: Broker, catalogue: Catalogue, chance: Random
    ) -> None:
        self.source = source
        self.sink = sink
        self.broker = broker
        self.catalogue = catalogue
        self.chance = chance
        self.truth = Truth()
        self.tenants = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(3)]
        self.environment: dict[str, str] = {}
        self.logs = Path()
        self._producer = Producer(controls.CODEC, source="shop")
        self.unknown = 0
        """Transactions whose commit was not answered."""
        self._said = 0
        self._children: list[Child] = []
        self._echoes = [Echo(chance, broker, key) for key in catalogue.keys_of(APP_NAME)]

    @property
    def group(self) -> str:
        return self.catalogue.group(APP_NAME).name

    @property
    def keys(self) -> Sequence[str]:
        return self.catalogue.keys_of(APP_NAME)

    # --- what is said ------------------------------------------------------------------------------

    async def say(self, *, bad: str = "") -> None:
        """One chunk; with `bad` also a sale that the handler fails as this says, for every tenant."""
        self._said += 1
        for tenant in self.tenants:
            await self._say(tenant, self._said, bad)

    async def _say(self, tenant: str, number: int, bad: str) -> None:
        """One transaction; true is what it said once it is known to be committed."""
        said = Truth()
        try:
            async with self.source.transaction() as tx:
                await self._chunk(Saying(self._producer, tx, tenant, number), said, bad)
        except DatabaseUnavailable:
            if not (await until(lambda: self._answered(tenant, number), within=60.0)).committed:
                return
        self.truth.goods |= said.goods
        self.truth.sales |= said.sales
        self.truth.sold += said.sold
        self.truth.bad |= said.bad

    async def _answered(self, tenant: str, number: int) -> Answer:
        """Whether a transaction whose commit was not answered is committed, asked when the source is back."""
        query = "SELECT EXISTS (SELECT FROM headwater.outbox WHERE tenant = $1 AND key = $2)"
        answer = Answer(await self.source.fetchval(query, tenant, f"s{number}-0"))
        self.unknown += 1
        return answer

    async def _chunk(self, saying: Saying, said: Truth, bad: str) -> None:
        number, once, gone = saying.number, key_of(1000 + saying.number), key_of(500_000 + saying.number)
        for key in (*map(key_of, range(HOT)), once, gone):
            said.goods[saying.tenant, key] = await saying.put(key)
        await saying.remove(gone)
        said.goods[saying.tenant, gone] = None
        for sale in range(3):
            await saying.sell(f"s{number}-{sale}", amount=1 + sale)
            said.sales.add((saying.tenant, f"s{number}-{sale}"))
            said.sold[saying.tenant, "counter"] += 1 + sale
        if bad:
            await saying.sell(f"bad{number}", behave=bad)
            said.bad.add((saying.tenant, f"bad{number}"))

    async def echo(self) -> None:
        """Append late copies of entries seen so far."""
        for one in self._echoes:
            await one.again(ECHOED)

    @property
    def copies(self) -> int:
        return sum(one.copies for one in self._echoes)

    # --- what became of it ---------------------------------------------------------------------------

    async def quiet(self) -> bool:
        """Whether everything said is on its streams, read and acknowledged."""
        waiting = "SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL"
        if await self.source.fetchval(waiting):
            return False
        groups = [one for key in self.keys for one in await self.broker.groups(key)]
        mine = [one for one in groups if one.name == self.group]
        return len(mine) == len(self.keys) and all(one.lag == one.pending == 0 for one in mine)

    async def held(self) -> Held:
        """What the application holds."""
        goods = await self.sink.fetch("SELECT tenant_id::text, good_id::text, name FROM goods")
        sales = await self.sink.fetch("SELECT tenant, sale FROM journal")
        sold = await self.sink.fetch("SELECT tenant, good, n FROM sold")
        letters = await self.sink.fetch("SELECT tenant, key FROM headwater.dead_letter")
        return Held(
            goods={(tenant, key): name for tenant, key, name in goods},
            sales=Counter((tenant, sale) for tenant, sale in sales),
            sold={(tenant, good): n for tenant, good, n in sold},
            letters=Counter((tenant, key) for tenant, key in letters),
        )

    async def verdict(self) -> Verdict:
        return check(self.truth, await self.held())

    # --- processes -------------------------------------------------------------------------------------

    def child(self, role: str, **environment: str) -> Child:
        """A process that waits for its `go`."""
        name = f"{role}-{len(self._children)}"
        log = self.logs / f"{name}.log"
        log.touch()
        found = Child(Born(begin, role, name, {**self.environment, **environment}, log), name, log)
        self._children.append(found)
        return found

    async def told(self) -> str:
        """What is not at rest, and what every living process waits for."""
        waiting = await self.source.fetchval(
            "SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL"
        )
        parts = [f"outbox {waiting}"]
        for key in self.keys:
            for one in await self.broker.groups(key):
                parts.append(f"{key} lag {one.lag} pending {one.pending}")
                parts += [str(consumer) for consumer in await self.broker.consumers(key, one.name)]
        for child in (one for one in self._children if not one.ended):
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGUSR1)
            with contextlib.suppress(AssertionError):
                await until(lambda child=child: "tasks told" in child.log, within=3)
            parts.append(f"=== {child.name}\n{child.log[-6000:]}")
        return "\n".join(parts)

    async def end(self) -> None:
        """Kill every process."""
        for one in self._children:
            await one.end()


@asynccontextmanager
async def world(
    servers: RunningServers, logs: Path, *, tempo: Tempo = QUICK, seed: int = 0
) -> AsyncIterator[World]:
    """Empty databases, streams and groups; nothing runs yet."""
    async with AsyncExitStack() as stack:
        source_url = await stack.enter_async_context(servers.fresh_database())
        sink_url = await stack.enter_async_context(servers.fresh_database())
        await migrate(source_url, [SOURCE])
        await migrate(sink_url, [APP])
        source, sink, broker = (
            await Database.open(source_url),
            await Database.open(sink_url),
            Broker(servers.redis_url),
        )
        await source.execute(controls.SOURCE_TABLES)
        await sink.execute(controls.SINK_TABLES + TABLES)
        prefix = f"w{uuid.uuid4().hex[:8]}:"
        catalogue = controls.CATALOGUE.with_prefix(prefix)
        found = World(source, sink, broker, catalogue, Random(seed))
        for tenant in found.tenants:
            await source.execute("INSERT INTO enabled VALUES ($1, $2)", tenant, APP_NAME)
        await provision.apply(broker, catalogue)
        found.environment = {
            "WORLD_TEMPO": msgspec.json.encode(tempo).decode(),
            "WORLD_REDIS": servers.redis_url,
            "WORLD_SOURCE": source_url,
            "WORLD_SINK": sink_url,
            "WORLD_PREFIX": prefix,
        }
        found.logs = logs
        try:
            yield found
        finally:
            await found.end()
            await broker.execute("DEL", *catalogue.all_keys())
            await broker.close()
            await source.close()
            await sink.close()
