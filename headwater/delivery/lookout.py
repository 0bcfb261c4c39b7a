"""The worker's eye on its streams: which can be read, and whether something was lost.

Always holds: one stream that Redis refuses stops no other, and is tried again; and no trouble of a
stream makes more than a few errors a second.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from headwater import telemetry
from headwater.broker import provision
from headwater.delivery.settler import own_statements
from headwater.delivery.shift import TROUBLES, Shift
from headwater.delivery.watch import Watch
from headwater.errors import BrokerRefused
from headwater.patience import backoff, pause

log = telemetry.logger(__name__)
CALM = 0.5
"""Seconds at least between two repairs of streams."""


class Lookout:
    """Looks for losses, and keeps streams readable."""

    def __init__(self, shift: Shift, watch: Watch, beside: Sequence[str] = ()) -> None:
        """`beside`: streams that are read elsewhere, and looked at here."""
        self._shift = shift
        self._watch = watch
        self._beside = list(beside)
        self._begun: set[str] = set()
        self._turn = 0

    async def open(self) -> None:
        """Make groups where they are missing, and find what was lost while nobody looked."""
        shift = self._shift
        created = await self._mend([*shift.post.streams, *self._beside])
        with own_statements():
            self._begun.update(await self._watch.known(created))
        await self.look()

    async def look(self) -> None:
        """Look at every stream. Raises BrokerUnavailable, DatabaseUnavailable."""
        await self._look([*self._shift.fit, *self._beside])

    async def _look(self, streams: list[str]) -> None:
        post, settler = self._shift.post, self._shift.settler
        with own_statements():
            if self._begun:
                settler.count_lost(await self._watch.begun_again(sorted(self._begun)))
                self._begun.clear()
            settler.count_lost(await self._watch.look(streams))
        await settler.withdraw(post.app)

    async def watching(self) -> None:
        """Look for losses until a stop, some streams at a time."""
        shift = self._shift
        while not await pause(shift.stopping, shift.post.pace.look * random.uniform(0.8, 1.2)):  # noqa: S311
            try:
                await self._look(self._next_streams())
            except TROUBLES as error:
                log.warning("worker.look_failed", app=shift.post.app, error=str(error))

    def _next_streams(self) -> list[str]:
        aside = self._shift.aside
        self._turn += 1
        one = [aside[self._turn % len(aside)]] if aside else []
        return [*self._watch.next_streams([*self._shift.fresh, *self._beside]), *one]

    async def mending(self) -> None:
        """Try streams again that could not be read, until a stop."""
        shift, tries = self._shift, 0
        while not await pause(shift.stopping, max(CALM, backoff(tries))):
            tries = tries + 1 if shift.unfit or shift.settler.refused else 0
            try:
                await self._ask_again()
                if shift.unfit:
                    self._begun.update(await self._mend(list(shift.unfit)))
            except TROUBLES as error:
                log.warning("worker.mend_failed", app=shift.post.app, error=str(error))

    async def _ask_again(self) -> None:
        """Which streams take acknowledgements now: others may have made those that were refused."""
        group, refused = self._shift.post.group, self._shift.settler.refused
        for stream in list(refused):
            try:
                await self._shift.broker.acknowledge(group, {stream: [provision.NEVER]})
            except BrokerRefused as error:
                refused[stream] = str(error)
            else:
                refused.pop(stream, None)

    async def refused(self, error: BrokerRefused, tries: int) -> bool:
        """After a read that Redis refused: whether a cause was found, and the other streams can be read."""
        shift = self._shift
        shift.doubt()
        log.error("worker.read_refused", app=shift.post.app, error=str(error), tries=tries)
        before = set(shift.fit)
        created = await self._mend(shift.fit)
        self._begun.update(created)
        await pause(shift.stopping, max(CALM, backoff(tries)) if tries > 1 else CALM / 2)
        return bool(created) or set(shift.fit) != before

    async def _mend(self, streams: list[str]) -> list[str]:
        shift, post = self._shift, self._shift.post
        mended = await provision.mend(shift.broker, streams, post.group, post.name)
        shift.broker_ok = True
        for stream, why in mended.unfit.items():
            shift.last_error = f"{stream}: {why}"
            if stream not in shift.unfit:
                log.error("worker.stream_unfit", app=post.app, stream=stream, error=why)
        for stream in streams:
            shift.unfit.pop(stream, None)
        shift.unfit.update(mended.unfit)
        return mended.created
