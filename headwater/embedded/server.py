"""What the embedded Postgres and Redis have in common: candidates, one port, one data directory, a life.

Always holds: after `start` returned, the server answers to its password on 127.0.0.1; after `kill`, `stop` or
`close`, its process is gone.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headwater.clock import monotonic
from headwater.embedded.choice import Binary, Choice
from headwater.embedded.directory import forget_process, note_process
from headwater.embedded.process import POLL, Process
from headwater.errors import EmbeddedUnavailable

START_WITHIN = 30.0
"""Seconds a server may take until it answers; a large append-only file takes its time."""

PORTS = range(15_000, 32_000)
"""Below the ephemeral ports: there, a client that reconnects to a dead port can connect to itself."""


@dataclass(frozen=True)
class Site:
    """Where a server lives, and how carefully it keeps what it is told."""

    home: Path
    """Private; holds data and logs."""

    sockets: Path
    """Private and short."""

    password: str
    durable: bool
    temporary: bool
    """Whether nobody will want the data once the servers are closed."""


class Server(ABC):
    """One embedded server."""

    name: str
    ways_out: str
    last_signal: signal.Signals = signal.SIGTERM
    """What ends it cleanly without waiting for clients."""

    def __init__(self, site: Site, choose: Callable[[], Choice]) -> None:
        self.site = site
        self.port = 0
        self._choose = choose
        self._binary: Binary | None = None
        self._process: Process | None = None
        self._fallen: list[str] = []

    @property
    def pid(self) -> int:
        """Process id of the running server, or of the last one."""
        if self._process is None:
            raise EmbeddedUnavailable(f"{self.name} was never started")
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file that the server writes its log to."""
        return self.site.home / f"{self.name}.log"

    def describe(self) -> str:
        """Name, version, whose; and what was tried before it in vain."""
        if self._binary is None:
            return f"{self.name} (not started)"
        return f"{self._binary}" + "".join(f", because {binary} did not start" for binary in self._fallen)

    async def start(self) -> None:
        """Start it, or start it again after `kill` or `stop`: same binary, port and data.

        Raises:
            EmbeddedUnavailable: no candidate, or none came up; carries the last log lines.
        """
        if self._process is not None and self._process.exit_code is None:
            return
        if self._binary is not None:
            await self._launch(self._binary)
            return
        choice = await asyncio.to_thread(self._choose)
        troubles = list(choice.refused)
        for binary in choice.candidates:
            try:
                await self._launch_on_a_free_port(binary)
            except EmbeddedUnavailable as error:
                self._fallen.append(str(binary))
                troubles.append(str(error))
            else:
                self._binary = binary
                return
        found = "\n".join(troubles) or f"no {self.name} server was found on this machine"
        raise EmbeddedUnavailable(f"no embedded {self.name}: {found}", hint=self.ways_out)

    async def kill(self) -> None:
        """SIGKILL, and wait until the process is gone. Data stays."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Stop it cleanly, and wait until the process is gone. Data stays."""
        await self._end(self.last_signal)

    def close(self) -> None:
        """Stop it for good, without giving the loop away; at once when its data is temporary."""
        if self._process is not None:
            number = self._discarding_signal() if self.site.temporary else self.last_signal
            self._process.finish(number, within=30)
            forget_process(self.site.home, self.name)

    @property
    @abstractmethod
    def _data(self) -> Path:
        """The data directory."""

    @abstractmethod
    async def _prepare(self, binary: Binary) -> None:
        """Make the data directory ready for `binary`."""

    @abstractmethod
    def _spawn(self, binary: Binary) -> Process:
        """Start the process, on `self.port`."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server on `self.port` takes our password and is ready for commands."""

    def _discarding_signal(self) -> signal.Signals:
        return signal.SIGKILL

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(number)
            await self._process.exited(within=30)

    async def _launch_on_a_free_port(self, binary: Binary, attempts: int = 3) -> None:
        for attempt in range(1, attempts + 1):
            self.port = free_port()
            try:
                await self._launch(binary)
            except EmbeddedUnavailable as error:
                if attempt == attempts or "address already in use" not in str(error).lower():
                    raise
            else:
                return

    async def _launch(self, binary: Binary) -> None:
        until = monotonic() + START_WITHIN
        await self._prepare(binary)
        came_up = False
        while not came_up:
            came_up = await self._came_up(binary, until)

    async def _came_up(self, binary: Binary, until: float) -> bool:
        """False when it is worth another try; ends the process on every failure."""
        try:
            process = self._process = self._spawn(binary)
        except OSError as error:
            raise EmbeddedUnavailable(f"{binary} at {binary.path} can not be run ({error})") from error
        note_process(self.site.home, self.name, process.pid, self._data)
        ready = False
        try:
            while not ready and process.exit_code is None and monotonic() < until:
                ready = await self._answers()
                await asyncio.sleep(0 if ready else POLL)
        finally:
            if not ready:
                process.finish(signal.SIGKILL, within=10)
        said = process.last_lines()
        if not ready and not (self._is_passing(said) and monotonic() < until):
            raise EmbeddedUnavailable(f"{binary} at {binary.path} did not start; the end of its log:\n{said}")
        return ready

    def _is_passing(self, said: str) -> bool:
        """Whether the reason in the log goes away by itself."""
        return False


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
