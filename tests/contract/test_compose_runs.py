"""What compose.yaml runs, run here: its commands, variables and health checks, on the servers of the tests.

Only addresses and ports are put in; the containers themselves are not part of it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio

from headwater.broker import Broker
from headwater.database import connect
from headwater.testing import RunningServers, until
from tests.contract.compose import image_environment, ours
from tests.contract.tree import ROOT

BINARIES = Path(sys.executable).parent
SERVING = ("relay", "worker-crm", "worker-hr", "admin")


@pytest_asyncio.fixture
async def environ(servers: RunningServers) -> AsyncIterator[dict[str, str]]:
    """Variables of the image and of the file, with addresses of the tests' servers."""
    prefix = f"compose-{uuid.uuid4().hex[:8]}:"
    async with AsyncExitStack() as stack:
        wrapper, crm, hr = [await stack.enter_async_context(servers.fresh_database()) for _ in range(3)]
        connection = await connect(wrapper)
        await connection.execute((ROOT / "producers/sql/wrapper.sql").read_text(encoding="utf-8"))
        await connection.close()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        yield {
            **plain,
            **image_environment(),
            **ours()["admin"]["environment"],
            "PATH": f"{BINARIES}{os.pathsep}{plain['PATH']}",
            "HEADWATER_REDIS_URL": servers.redis_url,
            "HEADWATER_SOURCE_URL": wrapper,
            "HEADWATER_APP_CRM_URL": crm,
            "HEADWATER_APP_HR_URL": hr,
            "HEADWATER_KEY_PREFIX": prefix,
        }
        broker = Broker(servers.redis_url)
        keys = await broker.execute("KEYS", prefix + "*")
        if keys:
            await broker.execute("DEL", *keys)
        await broker.close()


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def ported(words: list[str], old: str, new: str) -> list[str]:
    return [word.replace(old, new) for word in words]


def migrate(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    one: dict[str, Any] = ours()["migrate"]
    return subprocess.run(
        [*one["entrypoint"], *one["command"]],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Container:
    """A service's command as a process of this machine, on a port of its own."""

    def __init__(self, name: str, environ: dict[str, str]) -> None:
        one: dict[str, Any] = ours()[name]
        old, new = one["command"][-1], free_port()
        self.check = ported(one["healthcheck"]["test"][1:], f":{old}/", f":{new}/")
        self.environ = environ
        self.process = subprocess.Popen(
            ["headwater", *ported(one["command"], old, new)],
            cwd=ROOT,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )

    def settled(self) -> bool:
        """Whether its health check passes, or it has ended."""
        asked = subprocess.run(self.check, env=self.environ, capture_output=True, check=False, timeout=60)
        return asked.returncode == 0 or self.process.poll() is not None

    def stop(self) -> tuple[int, str]:
        """(exit code, what it said) after it was told to stop."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


async def test_after_migrate_every_process_becomes_healthy_and_drains_when_told_to_stop(
    environ: dict[str, str],
) -> None:
    done = migrate(environ)
    assert done.returncode == 0, done.stderr

    with ExitStack() as stack:
        running = {}
        for name in SERVING:
            running[name] = Container(name, environ)
            stack.callback(running[name].process.kill)
        for container in running.values():
            await until(container.settled, within=120, every=0.3)
        ended = {name: container.stop() for name, container in running.items()}

    assert {name: code for name, (code, _) in ended.items()} == dict.fromkeys(SERVING, 0), ended
    assert all("draining" in said for _, said in ended.values()), ended
