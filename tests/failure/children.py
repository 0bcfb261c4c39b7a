"""Processes of the shop that kill themselves at a failpoint."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.engine.conftest import Shop

SCRIPT = Path(__file__).with_name("shop_process.py")


class Children:
    """Starts them, waits for their end."""

    def __init__(self, shop: Shop) -> None:
        self._environment = {
            **os.environ,
            "SHOP_REDIS": shop.redis_url,
            "SHOP_SOURCE": shop.source.url,
            "SHOP_SINK": shop.sink.url,
            "SHOP_PREFIX": shop.catalogue.keys.prefix,
        }
        self.settings: dict[str, str] = {}
        """Further variables of their environment."""
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, role: str, failpoints: str = "", name: str = "w1") -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), role, name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env={**self._environment, **self.settings, "HEADWATER_FAILPOINTS": failpoints},
            cwd=SCRIPT.parents[2],
        )
        self._running.append(process)
        return process

    async def die_at(self, role: str, failpoint: str, name: str = "w1") -> None:
        """Run until the failpoint has killed it."""
        process = await self.start(role, failpoint, name)
        async with asyncio.timeout(90):
            assert await process.wait() == -signal.SIGKILL

    async def end(self) -> None:
        for process in self._running:
            if process.returncode is None:
                process.kill()
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()
