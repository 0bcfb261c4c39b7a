"""The loops of one process: started together, stopped stage by stage, ended together when one fails."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self


class _Loop(NamedTuple):
    task: asyncio.Task[None]
    stop: Callable[[], None]
    stage: int


class Loops:
    """Use as a block: on leaving it every loop is stopped, lower stages first, and the first error raised.

    A cancel, as the second Ctrl-C gives, cuts the loops off instead.
    """

    def __init__(self) -> None:
        self._loops: list[_Loop] = []

    def start(
        self, name: str, work: Coroutine[Any, Any, None], stop: Callable[[], None], *, stage: int = 0
    ) -> None:
        """Run `work` as a task; `stop` makes it finish what it has in hand and return. Idempotent."""
        self._loops.append(_Loop(asyncio.create_task(work, name=name), stop, stage))

    async def until(self, stop: asyncio.Event) -> None:
        """Wait until `stop` is set or one of the loops has ended."""
        calm_collector()
        stopping = asyncio.create_task(stop.wait(), name="stopping")
        try:
            await asyncio.wait(
                {stopping, *(loop.task for loop in self._loops)}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()

    async def stop(self) -> None:
        """Stop every loop and wait for it, lower stages first. Idempotent; raises nothing of theirs."""
        for stage in sorted({loop.stage for loop in self._loops}):
            ending = [loop for loop in self._loops if loop.stage == stage]
            for loop in ending:
                loop.stop()
            await asyncio.wait([loop.task for loop in ending])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [loop.task for loop in self._loops]
        try:
            if not isinstance(error, asyncio.CancelledError):
                await self.stop()
        finally:
            await cut_off(tasks)
        failed = [task.exception() for task in tasks if not task.cancelled()]
        first = next((one for one in failed if one is not None), None)
        if first is not None and error is None:
            raise first


def calm_collector() -> None:
    """Let the garbage collector look less often, and never at what start-up made.

    A worker makes thousands of objects a batch and frees them by their counts; looking for cycles
    among them was a tenth of its time. For a process that only runs loops, once they have started.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def cut_off(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended; their errors stay in them."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()  # again and again: before Python 3.12 a wait that just ended drops a cancel
        _, left = await asyncio.wait(left, timeout=0.5)
