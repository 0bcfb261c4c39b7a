"""The end of a worker, in the order that is the promise: take nothing new, finish what is in hand, give
the rest away, so that nothing is left pending under its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from headwater import failpoints, telemetry
from headwater.delivery.shift import Shift
from headwater.errors import BrokerRefused, BrokerUnavailable

log = telemetry.logger(__name__)

Task = asyncio.Task[None]
Batches = Callable[[], set[Task]]
"""Gives the transactions in flight."""


async def drain(shift: Shift, reading: Task, others: Sequence[Task], batches: Batches) -> None:
    """End every loop. `others`: those beside the reading; the heartbeat goes on while work is finished."""
    failpoints.reached("worker.stopping")
    unblocking = asyncio.create_task(_unblock(shift, reading), name="unblock")
    finishing = {reading, *(task for task in others if task.get_name() != "heartbeat")}
    await asyncio.wait({*finishing, *batches()}, timeout=shift.post.pace.drain)
    unblocking.cancel()
    if late := batches():
        # Started by the last read while we waited: they get what is left of a second.
        await asyncio.wait(late, timeout=1.0)
    ending = [reading, *others, *batches()]
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
    failpoints.reached("worker.finished")
    await _release(shift)
    failpoints.reached("worker.released")


async def _unblock(shift: Shift, reading: Task) -> None:
    """Let a blocked read return; asked again until it did, because it may not have been blocked yet."""
    try:
        while not reading.done():
            await shift.broker.unblock()
            await asyncio.wait({reading}, timeout=0.05)
    except (BrokerUnavailable, BrokerRefused) as error:
        log.debug("worker.unblock_failed", error=str(error))


async def _release(shift: Shift) -> None:
    """Give away all that is pending under our name: in hand, let go of, or left by a lost answer."""
    post = shift.post
    try:
        for stream in dict.fromkeys((*post.streams, *shift.hand.held())):
            given = await shift.broker.give_back(post.group, post.name, stream, idle=post.pace.min_idle)
            shift.given_back += given
    except (BrokerUnavailable, BrokerRefused) as error:
        log.warning("worker.release_failed", app=post.app, error=str(error))
