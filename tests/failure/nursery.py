"""Processes that begin as copies of one that has imported everything: there at once, and killed like any."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from headwater.testing import until

_forks = get_context("forkserver")
_forks.set_forkserver_preload(["pytest", "tests.failure.world_child", "tests.failure.convergence_child"])

Begin = Callable[[str, str], None]
"""What a process does: with its role, and its name."""


class Born:
    """One process. Its standard input ends with this one, so that it can; what it says is added to `log`."""

    def __init__(self, begin: Begin, role: str, name: str, log: Path, environment: Mapping[str, str]) -> None:
        ears, self._mouth = _forks.Pipe(duplex=False)
        self._process = _forks.Process(
            target=_live, args=(begin, role, name, log, dict(environment), ears), daemon=True
        )
        self._process.start()
        ears.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """What it ended with, less than 0 for a signal; None while it lives."""
        return self._process.exitcode

    def tell(self, line: str) -> None:
        """One line to its standard input."""
        os.write(self._mouth.fileno(), f"{line}\n".encode())

    def signal(self, number: signal.Signals) -> None:
        if self.code is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        """`code`, when it has ended."""
        await until(lambda: self.code is not None, within=float("inf"), every=0.01)
        self._mouth.close()
        assert self.code is not None
        return self.code

    async def end(self) -> None:
        """Kill it."""
        self.signal(signal.SIGKILL)
        await self.wait()


def _live(
    begin: Begin, role: str, name: str, log: Path, environment: Mapping[str, str], ears: Connection
) -> None:
    with log.open("ab") as out:
        for place, source in ((0, ears.fileno()), (1, out.fileno()), (2, out.fileno())):
            os.dup2(source, place)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.update(environment)
    begin(role, name)
