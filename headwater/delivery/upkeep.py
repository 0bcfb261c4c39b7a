"""Beside the reading: keep what is in hand, give it another attempt in time, replay dead letters."""

from __future__ import annotations

import asyncio
import math

from headwater import clock, failpoints, telemetry
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.hand import Due
from headwater.delivery.shift import TROUBLES, Shift
from headwater.delivery.work import Delivery
from headwater.errors import DatabaseUnavailable
from headwater.patience import backoff, either

log = telemetry.logger(__name__)
RETRIES = 100
"""Entries of one retry: as many bodies are read at once."""
EAGER, CALM = 0.1, 2.0
"""Seconds between two looks for dead letters to replay: while there are any, and else."""


async def heartbeat(shift: Shift) -> None:
    """Keep what is in hand from being taken over, until cancelled: also while a stop is carried out."""
    post = shift.post
    kept = clock.monotonic()  # until then nobody could take anything over
    while True:
        await asyncio.sleep(post.pace.heartbeat)
        beat = clock.monotonic()
        shift.vitals.leave("heartbeat", post.pace.wedged)
        try:
            if beat - kept >= post.pace.min_idle:
                await _after_a_pause(shift)
            gone = await shift.broker.heartbeat(post.group, post.name, shift.hand.held())
            kept = beat
            failpoints.reached("worker.heartbeat")
            for stream, entries in gone.items():
                await orphaned(shift, stream, entries)
        except TROUBLES as error:
            log.warning("worker.heartbeat_failed", app=post.app, error=str(error))
        shift.vitals.leave("heartbeat", post.pace.heartbeat + post.pace.wedged)


async def _after_a_pause(shift: Shift) -> None:
    """This process stood still, or was cut off, for so long that others took over what it has in hand.

    It lets go of that. What it is settling at this moment goes on: gate and inbox drop what was done twice.
    """
    post, hand = shift.post, shift.hand
    for stream, ids in hand.held().items():
        ours = await shift.broker.held_by(post.group, post.name, stream)
        gone = [entry for entry in ids if entry not in ours]
        hand.forget(stream, gone)
        shift.taken_over += len(gone)
    shift.doubt()
    log.warning("worker.stood_still", app=post.app, consumer=post.name, taken_over=shift.taken_over)


async def orphaned(shift: Shift, stream: str, entries: list[str]) -> None:
    """Write down what only this worker still has: if it dies now, nothing else would tell of the loss."""
    held = [entry for entry in entries if shift.hand.has(stream, entry)]
    known = shift.hand.orphans.setdefault(stream, set())
    new = [entry for entry in held if entry not in known]
    if new:  # what is there was taken over and acknowledged by somebody: that is no loss
        new = [one.id for one in await shift.broker.bodies(stream, new) if one.fields is None]
    known.update(new)
    if new:
        await shift.settler.record_lost(shift.post.app, stream, new, pending=False)


async def retry(shift: Shift) -> None:
    """Give entries another attempt when their time has come."""
    hand, stopping = shift.hand, shift.stopping
    while not stopping.is_set():
        hand.hurried.clear()
        now, first = clock.monotonic(), hand.next_due
        if first is None or first > now:
            await either(hand.hurried, stopping, None if first is None else first - now)
        else:
            await _again(shift, hand.due(now, shift.page(RETRIES)))


async def _again(shift: Shift, due: Due) -> None:
    deliveries = list(due.ready)
    try:
        for stream, ids in due.bare.items():
            deliveries += await _embodied(shift, stream, ids)
    except TROUBLES as error:
        shift.last_error = str(error)
        for stream, ids in due.bare.items():
            shift.hand.wait_bare(stream, ids, clock.monotonic() + backoff(5))
        deliveries = list(due.ready)
    if deliveries:
        await shift.settle(shift.side, deliveries)


async def _embodied(shift: Shift, stream: str, ids: list[str]) -> list[Delivery]:
    """Read again what was let go of. What is gone meanwhile is recorded as lost."""
    entries = await shift.broker.bodies(stream, ids)
    gone = [entry.id for entry in entries if entry.fields is None]
    if gone:
        await shift.settler.record_lost(shift.post.app, stream, gone)
        shift.hand.forget(stream, gone)
    return shift.hand.embody(entries)


async def letters(shift: Shift) -> None:
    """Replay the dead letters that somebody asked for, and those whose turn has come."""
    settler, wait = shift.settler, CALM
    while not shift.stopping.is_set():
        settler.hurried.clear()
        await either(settler.hurried, shift.stopping, min(wait, settler.next_letter - clock.monotonic()))
        if settler.hurried.is_set() or shift.stopping.is_set():
            continue
        try:
            settler.next_letter = math.inf
            replayed = 0
            hold = shift.post.pace.min_idle
            while found := await settler.settle_letters(shift.side, hold=hold):
                replayed += found  # what it held back may be due now
                if shift.stopping.is_set():
                    return
            wait = EAGER if replayed else min(CALM, wait * 2)
            shift.database_ok = True
        except (DatabaseUnavailable, TablesUnfit) as error:
            shift.database_ok = False
            shift.last_error = str(error)
