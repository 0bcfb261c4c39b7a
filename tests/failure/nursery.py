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
_CHILDREN = ("world_child", "convergence_child", "shop_process")
_forks.set_forkserver_preload(["pytest", *(f"tests.failure.{name}" for name in _CHILDREN)])

Begin = Callable[[str, str], None]
"""What a process does: with its role, and its name."""


class Born:
    """One process, spoken to as to those of asyncio. Its standard input ends with this one: so can it."""

    def __init__(
        self, begin: Begin, role: str, name: str, environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        """What it says is added to `log`, or said by this one."""
        ears, self._mouth = _forks.Pipe(duplex=False)
        self._process = _forks.Process(
            target=_live, args=(begin, role, name, dict(environment), log, ears), daemon=True
        )
        self._process.start()
        ears.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """What it ended with, less than 0 for a signal; None while it lives."""
        return self._process.exitcode

    @property
    def stopped(self) -> bool:
        """Whether it is stopped by a signal, as the kernel sees it."""
        status = Path(f"/proc/{self.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    def tell(self, line: str) -> None:
        """One line to its standard input."""
        os.write(self._mouth.fileno(), f"{line}\n".encode())

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """`returncode`, when it has ended."""
        await until(lambda: self.returncode is not None, within=float("inf"), every=0.01)
        self._mouth.close()
        assert self.returncode is not None
        return self.returncode

    async def end(self) -> None:
        """Kill it."""
        self.kill()
        await self.wait()


def _live(
    begin: Begin, role: str, name: str, environment: Mapping[str, str], log: Path | None, ears: Connection
) -> None:
    os.dup2(ears.fileno(), 0)
    if log is not None:
        with log.open("ab") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.update(environment)
    begin(role, name)
