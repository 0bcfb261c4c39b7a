"""Run one command's work with the project loaded and its connections made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from headwater.cli.invocation import Invocation
from headwater.cli.project import find
from headwater.cli.wiring import Wiring, wired

T = TypeVar("T")


def connected(invocation: Invocation, work: Callable[[Wiring], Awaitable[T]]) -> T:
    """What `work` gives; every connection is closed behind it. Raises what loading and work raise."""

    async def run() -> T:
        async with opened(invocation) as wiring:
            return await work(wiring)

    return invocation.run(run())


@contextlib.asynccontextmanager
async def opened(invocation: Invocation) -> AsyncIterator[Wiring]:
    """The project's wiring under the settings in force, closed at the end. Raises what loading raises."""
    settings = invocation.settings
    project = find(invocation.project_dir, prefix=settings.key_prefix, aside=settings.backfill.side_streams)
    async with wired(project, settings) as wiring:
        yield wiring
