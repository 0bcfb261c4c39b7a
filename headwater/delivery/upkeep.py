"""Beside the reading: keep what is in hand, give it another attempt in time, replay dead letters."""

from __future__ import annotations

import asyncio

from headwater import clock, failpoints, telemetry
from headwater.delivery.halving import TablesUnfit
from headwater.delivery.shift import Shift
from headwater.errors import BrokerRefused, BrokerUnavailable, DatabaseUnavailable
from headwater.patience import pause

log = telemetry.logger(__name__)


async def heartbeat(shift: Shift) -> None:
    """Keep what is in hand from being taken over, until cancelled: also while a stop is carried out."""
    post = shift.post
    while True:
        await asyncio.sleep(post.pace.heartbeat)
        try:
            await shift.broker.heartbeat(post.group, post.name, shift.hand.held())
            failpoints.reached("worker.heartbeat")
        except (BrokerUnavailable, BrokerRefused) as error:
            log.warning("worker.heartbeat_failed", app=post.app, error=str(error))


async def retry(shift: Shift) -> None:
    """Give entries another attempt when their time has come."""
    while not await pause(shift.stopping, 0.05):
        due = shift.hand.due(clock.monotonic())
        if due:
            await shift.settle(shift.side, due)


async def letters(shift: Shift) -> None:
    """Replay the dead letters that somebody asked for."""
    while not await pause(shift.stopping, 0.5):
        try:
            await shift.settler.settle_letters(shift.side)
            shift.database_ok = True
        except (DatabaseUnavailable, TablesUnfit) as error:
            shift.database_ok = False
            shift.last_error = str(error)
