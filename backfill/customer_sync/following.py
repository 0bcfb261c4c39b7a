"""The stream's part of the customer sync in one process: for each side, a teller, its doorbell and a worker.

It stops in the order of the way: the bell, then the teller, then the worker with what it has in hand.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec

import streams
from backfill.customer_sync.hearing import declare
from backfill.customer_sync.saying import Teller, nobody
from backfill.customer_sync.service import vault_of
from backfill.customer_sync.system import preferred
from consumers.customer_records.meeting import Side
from consumers.customer_records.store import Store
from headwater.broker import provision
from headwater.cli.invocation import Invocation
from headwater.cli.loops import Loops
from headwater.cli.project import Project, find
from headwater.cli.wiring import Wiring
from headwater.delivery import Worker
from headwater.publish import DirectProducer
from producers.accounts.bell import Bell

BELL = "customer_edits"
_TELLING, _TAKING = range(2)


@contextlib.asynccontextmanager
async def opened(invocation: Invocation) -> AsyncIterator[Wiring]:
    """The system of the two services, closed at the end. Raises what loading raises."""
    settings = invocation.settings
    wiring = Wiring(project_of(find(invocation.project_dir), settings.key_prefix), settings)
    try:
        yield wiring
    finally:
        await wiring.close()


def project_of(project: Project, prefix: str) -> Project:
    """The project as these two services see it."""
    return msgspec.structs.replace(project, catalogue=streams.customers.with_prefix(prefix), applications={})


class Following:
    """What says and takes for the sides that are here."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.tellers: dict[Side, Teller] = {}
        self.workers: dict[Side, Worker] = {}
        self._bells: list[Bell] = []

    async def open(self, sides: Sequence[Side]) -> None:
        """Connect. Raises SettingsError, ServerUnavailable, DeclarationError."""
        wiring, settings = self._wiring, self._wiring.settings.customer_sync
        await wiring.open_sinks(sides)
        vault, stores = vault_of(settings), {}
        for side in sides:
            wiring.app_url(side)
            stores[side] = Store(wiring.sinks[side], side, vault, preferred(settings.prefer))
        declared = {str(side): declare(side, store, vault) for side, store in stores.items()}
        wiring.project = msgspec.structs.replace(wiring.project, applications=declared)
        await provision.apply(wiring.broker, wiring.project.catalogue)
        for side, store in stores.items():
            producer = DirectProducer(
                wiring.outgoing, wiring.broker, enabled=nobody, source=side, realm=wiring.settings.realm
            )
            url = wiring.app_url(side)
            teller = self.tellers[side] = Teller(store, url, producer, vault)
            self._bells.append(Bell(url, teller.rung, name=BELL))
            self.workers[side] = await wiring.worker(side)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises what ended a loop."""
        async with Loops() as loops:
            for side, teller in self.tellers.items():
                worker = self.workers[side]
                loops.start(f"take {side}", worker.run(), worker.stop, stage=_TAKING)
                loops.start(f"say {side}", teller.run(), teller.stop, stage=_TELLING)
            for bell in self._bells:
                loops.start("bell", bell.run(), bell.stop, stage=_TELLING)
            await loops.until(stop)
