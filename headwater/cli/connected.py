"""Run one command's work with the project loaded and its connections made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from headwater.cli.invocation import Invocation
from headwater.cli.project import find
from headwater.cli.wiring import Wiring, wired

T = TypeVar("T")


def connected(invocation: Invocation, work: Callable[[Wiring], Awaitable[T]]) -> T:
    """What `work` gives; every connection is closed behind it. Raises what loading and work raise."""
    settings = invocation.settings

    async def run() -> T:
        project = find(invocation.project_dir, prefix=settings.key_prefix)
        async with wired(project, settings) as wiring:
            return await work(wiring)

    return invocation.run(run())
