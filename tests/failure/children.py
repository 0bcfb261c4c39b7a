"""Processes of the shop that kill themselves at a failpoint."""

from __future__ import annotations

import asyncio
import signal

from tests.engine.conftest import Shop
from tests.failure.nursery import Born
from tests.failure.shop_process import begin


class Children:
    """Starts them, waits for their end."""

    def __init__(self, shop: Shop) -> None:
        self._environment = {
            "SHOP_REDIS": shop.redis_url,
            "SHOP_SOURCE": shop.source.url,
            "SHOP_SINK": shop.sink.url,
            "SHOP_PREFIX": shop.catalogue.keys.prefix,
        }
        self.settings: dict[str, str] = {}
        """Further variables of their environment."""
        self._running: list[Born] = []

    async def start(self, role: str, failpoints: str = "", name: str = "w1") -> Born:
        environment = {**self._environment, **self.settings, "HEADWATER_FAILPOINTS": failpoints}
        process = Born(begin, role, name, environment)
        self._running.append(process)
        return process

    async def die_at(self, role: str, failpoint: str, name: str = "w1") -> None:
        """Run until the failpoint has killed it."""
        process = await self.start(role, failpoint, name)
        async with asyncio.timeout(90):
            assert await process.wait() == -signal.SIGKILL

    async def end(self) -> None:
        for process in self._running:
            await process.end()
