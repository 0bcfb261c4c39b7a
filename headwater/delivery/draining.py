"""The end of a worker, in the order that is the promise: take nothing new, finish what is in hand, give
the rest away, so that nothing is left pending under its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from headwater import failpoints, telemetry
from headwater.broker import Broker
from headwater.delivery.shift import TROUBLES, Shift
from headwater.delivery.upkeep import orphaned
from headwater.errors import BrokerRefused, BrokerUnavailable

log = telemetry.logger(__name__)

LAST = 2.0
"""Seconds of a drain that are kept for giving away what could not be finished."""
PATIENCE = 0.25
"""Seconds between two cancels of a task that is still there."""
Task = asyncio.Task[None]
Batches = Callable[[], set[Task]]
"""Gives the transactions in flight."""


async def drain(shift: Shift, reading: Task, others: Sequence[Task], batches: Batches) -> None:
    """End every loop. `others`: those beside the reading; the heartbeat goes on while work is finished."""
    try:
        await _drain(shift, reading, others, batches)
    except BaseException:  # a heartbeat that goes on would keep from everybody what nobody works on
        await ended([reading, *others, *batches()])
        raise


async def ended(tasks: Sequence[Task]) -> None:
    """Cancel until they are gone: before Python 3.12 a wait that has just ended drops a cancel.

    A statement that hangs takes its cancel only when its server does: LAST / 2 is waited for that.
    """
    for _ in range(round(LAST / 2 / PATIENCE)):
        left = [task for task in tasks if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=PATIENCE)


async def _drain(shift: Shift, reading: Task, others: Sequence[Task], batches: Batches) -> None:
    failpoints.reached("worker.stopping")
    unblocking = asyncio.create_task(unblock(shift.broker, reading), name="unblock")
    finishing = {reading, *(task for task in others if task.get_name() != "heartbeat")}
    limit = shift.post.pace.drain
    await asyncio.wait({*finishing, *batches()}, timeout=max(limit / 2, limit - LAST))
    unblocking.cancel()
    if late := batches():
        # Started by the last read while we waited: they get what is left of a second.
        await asyncio.wait(late, timeout=1.0)
    await ended([reading, *others, *batches()])
    failpoints.reached("worker.finished")
    await within(LAST, _release(shift))
    failpoints.reached("worker.released")


async def within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Do this if it can be done in time; else leave it behind. Raises what it raises."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        await task
    task.cancel()


async def unblock(broker: Broker, reading: asyncio.Task[Any]) -> None:
    """Let a blocked read return; asked again until it did, because it may not have been blocked yet."""
    try:
        while not reading.done():
            await broker.unblock()
            await asyncio.wait({reading}, timeout=0.05)
    except (BrokerUnavailable, BrokerRefused) as error:
        log.debug("worker.unblock_failed", error=str(error))


async def _release(shift: Shift) -> None:
    """Give away all that is pending under our name: in hand, let go of, or left by a lost answer."""
    post = shift.post
    try:
        gone = await shift.broker.heartbeat(post.group, post.name, shift.hand.held())
        for stream, entries in gone.items():
            await orphaned(shift, stream, entries)
        for stream in dict.fromkeys((*post.streams, *shift.hand.held())):
            given = await shift.broker.give_back(post.group, post.name, stream, idle=post.pace.min_idle)
            shift.given_back += given
    except TROUBLES as error:
        log.warning("worker.release_failed", app=post.app, error=str(error))
