"""Everything at once, by lot: kills, stops, broken connections, servers that die, a Redis that forgets.

    python -m tests.failure.chaos --seconds 300 --seed 7

Two workers and two relays run behind proxies while chunks are said. The same seed draws the same
faults; how they meet the processes is up to the machine. After the storm everything is started once
more, what Redis lost is said again from the outbox, and the application must hold exactly what was said.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from headwater.clock import monotonic
from headwater.delivery import Pace
from headwater.embedded import Servers
from headwater.errors import BrokerUnavailable
from headwater.publish import Outgoing, Republisher
from headwater.publish.span import Between, Span
from headwater.testing import PostgresProxy, RedisProxy, RunningServers, controls, until
from tests.failure.truth import Verdict
from tests.failure.world import Child, Tempo, World, world

TEMPO = Tempo(
    pace=Pace(block=0.1, count=50, min_idle=0.6, heartbeat=0.2, drain=5.0),
    poll=0.2,
    lease=1.0,
    repairs=0.5,
    idle_in_transaction=1.0,
    timeout=1.0,
    attempts=1000,  # of deaths with an entry in hand there are many here, and none is the entry's fault
)
ROLES = ("worker", "worker", "relay", "relay")
COMMANDS = ("XREADGROUP", "XACK", "XADD", "XAUTOCLAIM", "XCLAIM", "")
STATEMENTS = ("COMMIT", "BEGIN", "SELECT", "INSERT", "WITH", "")
STEPS = (0.0, 0.0, 3600.0, -3600.0)
"""How wrong the clock of a process may be."""
SAY_EVERY = 0.15
REST = 120.0
SURE = (
    *("deaths of a worker", "deaths of a relay", "restarts of Redis", "crashes of Postgres", "FLUSHALLs"),
    *("faults of RedisProxy", "faults of PostgresProxy", "late copies", "chunks", "clocks stepped"),
)
"""What every storm must have seen, or it proves nothing."""


class Report(NamedTuple):
    """What happened, and what is wrong."""

    happened: Counter[str]
    seconds: float
    """From the end of the storm until everything was at rest."""
    verdict: Verdict


class Chaos:
    """One storm over one world."""

    def __init__(self, found: World, servers: Servers, proxies: Sequence[RedisProxy | PostgresProxy]) -> None:
        self._world = found
        self._servers = servers
        self._proxies = proxies
        self._chance = found.chance
        self._children: dict[int, Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._calm = False
        self.happened: Counter[str] = Counter()

    async def run(self, seconds: float) -> Report:
        """The storm, the calm, and the verdict."""
        for place, role in enumerate(ROLES):
            await self._start(place, role)
            self._keepers.append(asyncio.create_task(self._keep(place, role), name=f"keep {place}"))
        saying = asyncio.create_task(self._say(), name="say")
        self._keepers.append(saying)  # one that fails ends the storm, not only its calm
        try:
            await self._rage(seconds)
            self._calm = True
            await saying
            return await self._rest()
        finally:
            for task in self._keepers:
                task.cancel()
            await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _start(self, place: int, role: str) -> None:
        step = 0.0 if self._calm else self._chance.choice(STEPS)
        self.happened["clocks stepped"] += step != 0
        child = self._children[place] = self._world.child(role, WORLD_CLOCK=str(step))
        child.tell("go")

    async def _keep(self, place: int, role: str) -> None:
        while True:
            code = await self._children[place].born.wait()
            if code != -signal.SIGKILL:
                raise AssertionError(f"a {role} ended with {code}: {self._children[place].log[-3000:]}")
            self.happened[f"deaths of a {role}"] += 1
            await self._start(place, role)

    def _check(self) -> None:
        for keeper in self._keepers:
            if keeper.done():
                keeper.result()

    async def _say(self) -> None:
        while not self._calm:
            await self._world.say(bad="reject" if self._chance.random() < 0.1 else "")
            self.happened["chunks"] += 1
            try:
                if self._chance.random() < 0.2:
                    await self._world.echo()
            except BrokerUnavailable:
                self.happened["echoes missed"] += 1
            await asyncio.sleep(SAY_EVERY)

    # --- faults --------------------------------------------------------------------------------------

    async def _rage(self, seconds: float) -> None:
        began = monotonic()
        large: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (0.25, self._redis_restarts),
            (0.5, self._postgres_crashes),
            (0.75, self._redis_forgets),
        ]
        while large or monotonic() - began < seconds:  # however slow the machine is
            self._check()
            if large and monotonic() - began > large[0][0] * seconds:
                await large.pop(0)[1]()
                continue
            small = self._chance.choices((self._kill, self._freeze, self._wire, self._cut), (4, 1, 6, 1))[0]
            await small()
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))

    async def _kill(self) -> None:
        self._children[self._chance.randrange(len(ROLES))].signal(signal.SIGKILL)

    async def _freeze(self) -> None:
        child = self._children[self._chance.randrange(len(ROLES))]
        child.signal(signal.SIGSTOP)
        self.happened["stops"] += 1
        await asyncio.sleep(TEMPO.pace.min_idle * self._chance.uniform(0.5, 2.5))
        child.signal(signal.SIGCONT)

    async def _wire(self) -> None:
        proxy = self._chance.choice(self._proxies)
        name = self._chance.choice(COMMANDS if isinstance(proxy, RedisProxy) else STATEMENTS)
        skip = self._chance.randint(0, 3)
        kind = self._chance.choice(
            ("lose_reply", "cut_after", "cut_before", "delay", "trickle", "black_hole")
        )
        if kind == "delay":
            proxy.delay(name, seconds=self._chance.uniform(0.0, 0.5), skip=skip)
        elif kind == "black_hole" and isinstance(proxy, PostgresProxy):
            proxy.lose_reply("COMMIT", skip=skip)  # against silence a statement has its time limit, of 30 s
        else:
            getattr(proxy, kind)(name, skip=skip)

    async def _cut(self) -> None:
        self._chance.choice(self._proxies).cut()
        self.happened["cuts"] += 1

    async def _redis_restarts(self) -> None:
        await self._servers.redis.kill()
        await self._servers.redis.start()
        self.happened["restarts of Redis"] += 1

    async def _redis_forgets(self) -> None:
        async def forgotten() -> bool:
            await self._world.broker.execute("FLUSHALL")
            return True

        await until(forgotten, within=30)
        self.happened["FLUSHALLs"] += 1

    async def _postgres_crashes(self) -> None:
        await self._servers.postgres.kill()
        await self._servers.postgres.start()
        self.happened["crashes of Postgres"] += 1

    # --- and after it -----------------------------------------------------------------------------------

    async def _rest(self) -> Report:
        began = monotonic()
        for proxy in self._proxies:
            self.happened[f"faults of {type(proxy).__name__}"] += proxy.bitten
            await proxy.heal()
            proxy.cut()
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        # What Redis lost between two saves, or forgot altogether, is in the outbox still.
        await self._quiet()
        await self._again()
        await self._quiet()
        seconds = monotonic() - began
        await self._world.echo()
        await self._quiet()
        self.happened["commits nobody answered"] += self._world.unknown
        self.happened["late copies"] += self._world.copies
        return Report(self.happened, seconds, await self._world.verdict())

    async def _again(self) -> None:
        """Say everything again that went to a stream."""
        world = self._world
        outgoing = Outgoing(controls.CODEC, world.catalogue)
        saying = Republisher(world.source.url, world.broker, outgoing, controls.ENABLEMENT)

        async def alone() -> bool:
            async with saying.session() as connection:
                await saying.alone(connection)
                streams = {stream: Between() for stream in world.catalogue.written_keys()}
                span = Span(streams=streams, until=await saying.now(connection))
                plan = await saying.plan(connection, span)
                run = await saying.go(connection, await saying.begin(connection, span, plan, by="test"))
                return run.state == "done"

        await until(alone, within=REST, every=0.5)

    async def _quiet(self) -> None:
        left = math.inf
        while True:
            try:
                await until(self._world.quiet, within=REST, every=0.1)
                break
            except AssertionError as error:
                before, left = left, await self._left()
                if left >= before:  # slow is not stuck: every entry that was given out often runs alone
                    raise AssertionError(f"not at rest {await self._world.told()}") from error
            self._check()
        self._check()

    async def _left(self) -> int:
        """Entries that are not settled."""
        world = self._world
        groups = [one for key in world.keys for one in await world.broker.groups(key)]
        return sum((one.lag or 0) + one.pending for one in groups if one.name == world.group)


@asynccontextmanager
async def chaos(seed: int, logs: Path) -> AsyncIterator[Chaos]:
    """Servers of its own, a world behind proxies, and nothing running yet."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(Servers.start(durable=True))
        running = RunningServers(servers.redis_url, servers.postgres_url(), servers)
        found = await stack.enter_async_context(world(running, logs, tempo=TEMPO, seed=seed))
        lots = Random(seed + 1)
        proxies: list[RedisProxy | PostgresProxy] = []
        for kind, name in (
            (RedisProxy, "WORLD_REDIS"),
            (PostgresProxy, "WORLD_SINK"),
            (PostgresProxy, "WORLD_SOURCE"),
        ):
            before = kind.before(found.environment[name], seed=lots.randrange(1 << 30))
            proxy = await stack.enter_async_context(before)
            found.environment[name] = proxy.url
            proxies.append(proxy)
        yield Chaos(found, servers, proxies)


async def told(seconds: float, seed: int, limit: float) -> dict[str, object]:
    """One storm and what is to be said of it, also where it failed or took longer than `limit` seconds."""
    found: dict[str, object] = {"seed": seed, "seconds": seconds}
    happened: Counter[str] = Counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with asyncio.timeout(limit), chaos(seed, Path(folder)) as storm:
                happened = storm.happened
                report = await storm.run(seconds)
                found |= {"rest": round(report.seconds, 1), **report.verdict.counts()}
                found["differs"] = str(report.verdict) if report.verdict else ""
    except Exception as error:  # noqa: BLE001, RUF100 (whatever it is, the report tells it)
        found["error"] = "".join(traceback.format_exception(error))[-6000:]
    return {**found, **happened}


def faults(found: Mapping[str, object]) -> list[str]:
    """What is wrong with a storm: it failed, something differs, or something did not bite. Pure."""
    if "error" in found:
        return ["it failed"]
    wrong = [kind for kind in Verdict.__struct_fields__ if found[kind]]
    return wrong + [f"no {name}" for name in SURE if not found.get(name)]


def main(seconds: float, seed: int) -> int:
    """One storm; its report as JSON, always. The exit status: 1 when anything is wrong with it."""
    found = asyncio.run(told(seconds, seed, 2 * seconds + 10 * REST))
    wrong = faults(found)
    print(msgspec.json.format(msgspec.json.encode({**found, "wrong": wrong})).decode(), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    sys.exit(main(given.seconds, given.seed))
