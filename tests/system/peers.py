"""The existing services as processes, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = Path(__file__).parent / "old_customer_service.py"


class Old:
    """One of them, running."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url, self.process = url, process

    async def put(self, what: str, data: Any) -> None:
        """Arrange its `rows`, its `peer` or its next `fault`s."""
        async with aiohttp.ClientSession() as session:
            sent = {"data": data} if isinstance(data, str) else {"json": data}
            async with session.put(f"{self.url}/{what}", **sent) as answer:
                assert answer.status == 200

    async def get(self, what: str) -> Any:
        """Its `rows`, or what it has `seen`."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/{what}") as answer:
            return await answer.json()


@contextlib.asynccontextmanager
async def old_service(side: str) -> AsyncIterator[Old]:
    """A process of its own; gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), side), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield Old(f"http://127.0.0.1:{port}", process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
