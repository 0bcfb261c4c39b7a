"""The crash matrix: every failpoint of worker and relay, failed in every way, and what became of it.

    python -m tests.failure.matrix              at the default pace, with a table in Markdown; some minutes
    python -m tests.failure.matrix --quick      as the tests do

Each cell arms one process, says chunks until the failpoint bites, and waits until a successor, or the
process itself, has brought everything to rest; then the application must hold exactly what was said.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from headwater.clock import monotonic, now
from headwater.failpoints import POINTS
from headwater.testing import RunningServers, running_servers, until
from tests import machine
from tests.failure.truth import Verdict
from tests.failure.world import QUICK, Child, Tempo, World, world

ACTIONS = ("kill", "raise", "drop", "stop")
ROLES = ("relay", "worker")
BAD = {"worker.parking": "reject", "worker.parked": "reject", "worker.failed": "crash"}
"""Failpoints that only a sale can reach that no handler takes."""
LEAVING = ("worker.stopping", "worker.finished", "worker.released")
FRESH = ("relay.leading", "worker.reclaimed")
"""Failpoints that a process reaches that has just started."""
PATIENCE = 90.0


class Cell(NamedTuple):
    """What became of one failpoint that failed in one way."""

    point: str
    action: str
    seconds: float
    """From the failure until everything said was applied and acknowledged."""
    needed_wake: bool
    """Whether that took until the stopped process went on."""
    proof: str
    verdict: Verdict


def points(role: str) -> list[str]:
    """The failpoints of a role."""
    return [name for name in POINTS if name.startswith(f"{role}.")]


class Fleet:
    """The processes of one world: one at work for each role, and one that is ready to succeed it."""

    def __init__(self, found: World) -> None:
        self._world = found
        self._at_work: dict[str, Child] = {}
        self._ready: dict[str, Child] = {}

    async def start(self) -> None:
        """One of each."""
        for role in ROLES:
            self._ready[role] = self._world.child(role)
            await self.succeed(role)

    def at_work(self, role: str) -> Child:
        return self._at_work[role]

    async def succeed(self, role: str, armed: str = "") -> Child:
        """Let the next process begin, and make another one ready."""
        begun = self._at_work[role] = self._ready[role]
        begun.tell(f"go {armed}")
        self._ready[role] = self._world.child(role)
        return begun


class Bite(NamedTuple):
    """A failpoint that bit."""

    child: Child
    at: float
    proof: str


class Matrix:
    """Runs cells in one world, one after the other."""

    def __init__(self, found: World, tempo: Tempo) -> None:
        self._world = found
        self._fleet = Fleet(found)
        self._hold = 3 * (tempo.pace.min_idle + tempo.lease) + tempo.idle_in_transaction + 15.0
        """Seconds that a stopped process stays stopped, when nothing is at rest before."""
        self._pause = tempo.pace.min_idle
        """Seconds that it stays stopped after that."""

    async def run(self, action: str, chosen: Sequence[str]) -> list[Cell]:
        """A cell for each failpoint."""
        await self._fleet.start()
        cells = []
        for point in chosen:
            cells.append(await self._cell(point, action))
        return cells

    async def _cell(self, point: str, action: str) -> Cell:
        role = point.partition(".")[0]
        bite = await self._provoke(role, point, action)
        await self._world.say()
        needed_wake = not await self._recovered(role, bite.child, action)
        if needed_wake:
            bite.child.signal(signal.SIGCONT)
            assert await self._recovered(role, bite.child, "")
        seconds = monotonic() - bite.at
        await self._wake(role, bite.child, action)
        return Cell(point, action, seconds, needed_wake, bite.proof, await self._world.verdict())

    async def _provoke(self, role: str, point: str, action: str) -> Bite:
        child = await self._armed(role, point, action)
        for _ in range(200):
            if point in LEAVING and not child.ended:
                child.signal(signal.SIGTERM)
            try:
                await until(lambda: child.bitten(point, action), within=0.3, every=0.01)
            except AssertionError:
                await self._world.say(bad=BAD.get(point, ""))
            else:
                return Bite(child, monotonic(), await self._proof(child, point, action))
        raise AssertionError(f"{point} was never reached by {child.name}: {child.log[-2000:]}")

    async def _armed(self, role: str, point: str, action: str) -> Child:
        spec = f"{point}:{action}"
        child = self._fleet.at_work(role)
        if point in FRESH:
            child.signal(signal.SIGTERM)
            await child.born.wait()
            await self._world.say()
            if point == "worker.reclaimed":
                await self._abandon()
            return await self._fleet.succeed(role, spec)
        child.tell(spec)
        await self._world.say(bad=BAD.get(point, ""))
        return child

    async def _abandon(self) -> None:
        """Leave entries pending under the name of somebody who never comes back."""
        found = self._world

        async def read() -> bool:
            return bool(await found.broker.read(found.group, "ghost", found.keys, count=10, block=0.1))

        await until(read, within=PATIENCE)

    @staticmethod
    async def _proof(child: Child, point: str, action: str) -> str:
        if action == "kill":
            assert await child.born.wait() == -signal.SIGKILL
            return "died by signal 9"
        if action == "stop":
            await until(lambda: child.stopped)
            return "stopped, says the kernel"
        assert child.bitten(point, action)
        return "said so before it failed"

    async def _recovered(self, role: str, child: Child, action: str) -> bool:
        """Wait for rest, with a successor for who is gone; False when it takes who is stopped to go on."""
        began = monotonic()
        succeeded = child is not self._fleet.at_work(role)
        while not await self._world.quiet():
            if not succeeded and (child.ended or action == "stop"):
                await self._fleet.succeed(role)
                succeeded = True
            waited = monotonic() - began
            if action == "stop" and waited > self._hold:
                return False
            if waited > PATIENCE:
                raise AssertionError(f"not at rest {await self._world.told()}")
            await asyncio.sleep(0.05)
        return True

    async def _wake(self, role: str, child: Child, action: str) -> None:
        """Let a stopped process go on beside its successor, with late copies and more to do for both."""
        if action == "stop":
            await until_past(self._pause)
            child.signal(signal.SIGCONT)
        await self._world.echo()
        await self._world.say()
        await self._recovered(role, child, "")
        if child is not self._fleet.at_work(role):
            await child.end()
        elif child.ended:
            await self._fleet.succeed(role)


async def until_past(seconds: float) -> None:
    """Wait until so much time is over, and look at nothing."""
    end = monotonic() + seconds
    await until(lambda: monotonic() > end, within=seconds + 5)


async def column(
    servers: RunningServers, action: str, tempo: Tempo, logs: Path, chosen: Sequence[str] = ()
) -> list[Cell]:
    """All cells of one action, in a world of its own."""
    wanted = chosen or [point for role in ROLES for point in points(role)]
    folder = logs / action
    folder.mkdir()
    async with world(servers, folder, tempo=tempo, seed=ACTIONS.index(action)) as found:
        return await Matrix(found, tempo).run(action, wanted)


def table(cells: Sequence[Cell]) -> Iterator[str]:
    """Lines of Markdown: seconds until rest, by failpoint and action."""
    by_place = {(one.point, one.action): one for one in cells}
    yield "| failpoint | " + " | ".join(ACTIONS) + " |"
    yield "| --- " * (len(ACTIONS) + 1) + "|"
    for point in dict.fromkeys(one.point for one in cells):
        spelled = [_spelled(by_place.get((point, action))) for action in ACTIONS]
        yield f"| `{point}` | " + " | ".join(spelled) + " |"
    total: dict[str, int] = {}
    for one in cells:
        for kind, count in one.verdict.counts().items():
            total[kind] = total.get(kind, 0) + count
    yield ""
    yield f"{len(cells)} cells; " + ", ".join(f"{kind} {count}" for kind, count in total.items())


def _spelled(cell: Cell | None) -> str:
    if cell is None:
        return ""
    bad = " **wrong**" if cell.verdict else ""
    return f"{cell.seconds:.1f}{' (woken)' if cell.needed_wake else ''}{bad}"


async def everything(servers: RunningServers, tempo: Tempo, logs: Path) -> list[Cell]:
    """All actions at once, each in its own world: most of the time all of them wait."""
    columns = await asyncio.gather(*(column(servers, action, tempo, logs) for action in ACTIONS))
    return [cell for cells in columns for cell in cells]


async def main(quick: bool) -> None:
    """Run it and print the table."""
    machine.prepare()
    with tempfile.TemporaryDirectory() as folder:
        async with running_servers() as servers:
            cells = await everything(servers, QUICK if quick else Tempo(), Path(folder))
            described = servers.embedded.describe() if servers.embedded else "servers of the environment"
    print(f"{now():%Y-%m-%d}, {described}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("\n".join(table(cells)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the short pace of the tests")
    asyncio.run(main(parser.parse_args().quick))
