"""Processes that are killed again and again while a shop's histories happen, and what the kills broke off.

Kills come at random moments from outside, and at chosen places from inside (failpoints); whoever
died is started again at once. Copies of old entries are appended at random later moments.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

from headwater.broker import Broker
from headwater.event import Fields
from headwater.testing import until
from tests.failure.convergence_child import begin
from tests.failure.nursery import Born

PLACES = {
    "worker": ("worker.read", "worker.applied", "worker.committed", "worker.acknowledged"),
    "relay": ("relay.appended", "relay.marked"),
    "runner": ("backfill.appended", "backfill.checkpointed"),
}
FIRST = {"worker": "worker.applied=2", "relay": "relay.appended=2", "runner": "backfill.appended"}
"""How each process dies first, so that what must be broken off is, whatever chance does later."""
PROCESSES = ("worker-1", "worker-2", "relay-1", "runner-1")
KILLED = -9


class Storm:
    """Four processes, killed and restarted until `calm`."""

    def __init__(self, chance: Random, environment: dict[str, str], logs: Path) -> None:
        self._chance = chance
        self._environment = environment
        self._logs = logs
        self._running: dict[str, Born] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._ending = False
        self.calm = False
        self.kills: Counter[str] = Counter()
        """Deaths by role."""
        self.left: Counter[str] = Counter()
        """Entries that killed workers left pending, by key."""

    async def start(self, broker: Broker, keys: list[str], group: str) -> None:
        """Start every process and keep it running."""
        for name in PROCESSES:
            self._running[name] = self._spawn(name)
            self._keepers.append(asyncio.create_task(self._keep(name, broker, keys, group), name=name))

    def _spawn(self, name: str) -> Born:
        role = name.partition("-")[0]
        if name not in self._running:
            armed = FIRST[role]
        else:
            armed = "" if self.calm or self._chance.random() < 0.4 else self._armed(role)
        environment = {**self._environment, "SHOP_FAILPOINTS": armed}
        return Born(begin, role, name, environment, self._logs / f"{name}.log")

    def _armed(self, role: str) -> str:
        return f"{self._chance.choice(PLACES[role])}={self._chance.randint(2, 12)}"

    async def _keep(self, name: str, broker: Broker, keys: list[str], group: str) -> None:
        role = name.partition("-")[0]
        while True:
            code = await self._running[name].wait()
            if self._ending:
                return
            if code != KILLED:
                raise AssertionError(f"{name} ended with {code}: {self._tail(name)}")
            self.kills[role] += 1
            if role == "worker":
                for key in keys:
                    pending = await broker.execute("XPENDING", key, group, "-", "+", 10_000, name)
                    self.left[key] += len(pending)
            self._running[name] = self._spawn(name)

    def _tail(self, name: str) -> str:
        return (self._logs / f"{name}.log").read_text(errors="replace")[-3000:]

    def kill(self, name: str = "") -> None:
        """Kill one process, any when none is named."""
        self._running[name or self._chance.choice(PROCESSES)].kill()

    async def all_died(self, times: int = 2) -> None:
        """Go on killing until every role died so often: on a busy machine chance alone may pass one by."""
        for name in PROCESSES:
            role = name.partition("-")[0]
            await until(lambda name=name, role=role: self._died(name, role, times), within=120.0, every=0.2)

    def _died(self, name: str, role: str, times: int) -> bool:
        self.check()
        if self.kills[role] < times:
            self.kill(name)
        return self.kills[role] >= times

    def subside(self) -> None:
        """Kill the relay and the workers once more; who starts from now on is left alone."""
        self.calm = True
        for name in ("relay-1", "worker-1", "worker-2"):
            self.kill(name)

    def check(self) -> None:
        """Raise what a keeper found wrong."""
        for keeper in self._keepers:
            if keeper.done():
                keeper.result()

    async def end(self) -> None:
        """Kill everything and start nothing again."""
        self._ending = True
        for name in self._running:
            self.kill(name)
        await asyncio.gather(*self._keepers, return_exceptions=True)


class Echo:
    """Appends copies of what stands on a stream, late and more than once."""

    def __init__(self, chance: Random, broker: Broker, key: str) -> None:
        self._chance = chance
        self._broker = broker
        self._key = key
        self._seen: list[Fields] = []
        self._last = "-"
        self.copies = 0

    async def again(self, share: float) -> None:
        """Append copies of some entries seen so far, as many as `share` of what is new."""
        before = len(self._seen)
        for entry in await self._broker.range(self._key, start=self._last, count=100_000):
            self._seen.append(entry.fields or {})
            self._last = f"({entry.id}"
        fresh = len(self._seen) - before
        chosen = [self._chance.choice(self._seen) for _ in range(round(fresh * share))]
        await self._broker.append([(self._key, fields) for fields in chosen])
        self.copies += len(chosen)

    async def said_again(self) -> int:
        """How many entries carry an event that another entry carries too, copies not counted."""
        entries = await self._broker.range(self._key, count=1_000_000)
        identities = Counter((entry.fields or {})[b"eventId"] for entry in entries)
        return sum(identities.values()) - len(identities) - self.copies
