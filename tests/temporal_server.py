"""A real Temporal for tests: the one TEMPORAL_ADDRESS names, else one of our own, else none and why."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from headwater.testing import until

KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater" / "temporal-1.5.1"
MISSING = "no Temporal here: TEMPORAL_ADDRESS is not set, `temporal` not on PATH nor built by .ci/temporal"


@dataclass
class Temporal:
    """One server."""

    address: str
    process: asyncio.subprocess.Process | None = None

    async def client(self) -> Client:
        return await Client.connect(self.address)

    async def kill(self) -> None:
        """As a crash would end it."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def binary() -> str | None:
    """The program that runs a server, if there is one."""
    return shutil.which("temporal", path=f"{os.environ.get('PATH', '')}{os.pathsep}{KEPT}")


def free_port() -> int:
    """A port nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def started(program: str, *, port: int = 0, file: Path | None = None) -> Temporal:
    """A server that answers. `file` keeps what it knows over a restart."""
    port = port or free_port()
    kept = () if file is None else ("--db-filename", str(file))
    process = await asyncio.create_subprocess_exec(
        *(program, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "never"),
        *("--port", str(port), "--http-port", str(free_port()), "--metrics-port", str(free_port()), *kept),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    server = Temporal(f"127.0.0.1:{port}", process)

    async def answers() -> bool:
        if process.returncode is not None:
            raise AssertionError(f"{program} ended with {process.returncode}")
        try:
            await server.client()
        except RuntimeError:
            return False
        return True

    await until(answers, within=60, every=0.1)
    return server


@contextlib.asynccontextmanager
async def temporal_server() -> AsyncIterator[Temporal | None]:
    """One for as long as the block; None where there is none to be had."""
    if address := os.environ.get("TEMPORAL_ADDRESS"):
        yield Temporal(address)
        return
    program = binary()
    if program is None:
        yield None
        return
    server = await started(program)
    try:
        yield server
    finally:
        await server.kill()
