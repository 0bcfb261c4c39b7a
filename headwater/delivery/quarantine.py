"""Entries that end every worker which tries them: taken over soon, so that they are parked within a minute.

An entry tried alone is written down first. Where its attempt shows no outcome and its worker is
silent for half of `min_idle`, more than a whole heartbeat, another worker tries it next, or parks it.
"""

from __future__ import annotations

import random

from headwater import telemetry
from headwater.delivery.recovering import Recovery
from headwater.delivery.shift import TROUBLES, Shift
from headwater.patience import pause

log = telemetry.logger(__name__)


async def suspects(shift: Shift, recovery: Recovery) -> None:
    """Take over what its worker died of, until a stop."""
    post, silence = shift.post, shift.post.pace.min_idle / 2
    while not await pause(shift.stopping, post.pace.min_idle * random.uniform(0.05, 0.15)):  # noqa: S311
        try:
            found = await shift.settler.crashed(post.app, silence)
            for stream in found.keys() & set(shift.fit):
                entries = await shift.broker.claim(
                    stream, post.group, post.name, found[stream], min_idle=silence
                )
                if entries:
                    log.info("worker.suspects_taken", app=post.app, stream=stream, entries=len(entries))
                    await recovery.again(stream, entries)
        except TROUBLES as error:
            shift.last_error = str(error)
            log.warning("worker.suspects_failed", app=post.app, error=str(error))
