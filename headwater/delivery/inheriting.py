"""What the dead hold, taken over by what Postgres knows of them, where the server's clock is no help.

A reclaim asks how long an entry lay untouched. After the server's clock went back, nothing did: what was
touched before counts as touched just now until that time has come again, an hour or a day later. So names
whose lease ran out in Postgres, and the name that holds what was given away, are looked at beside it.

Always holds: nothing is taken from a name whose lease is kept, or that never had one.
"""

from __future__ import annotations

import random

from headwater import telemetry
from headwater.broker import pending
from headwater.broker.client import RELEASED
from headwater.database import load
from headwater.delivery.recovering import Recovery
from headwater.delivery.settler import own_statements
from headwater.delivery.shift import TROUBLES, Shift
from headwater.patience import pause

log = telemetry.logger(__name__)


class Inheritance:
    """Remembers what it saw the last time: only what has not moved since is taken."""

    def __init__(self, shift: Shift, recovery: Recovery) -> None:
        self._shift = shift
        self._recovery = recovery
        self._seen: dict[tuple[str, str], dict[str, int]] = {}
        self._turn = 0

    async def run(self) -> None:
        """Look now and then, until a stop."""
        shift = self._shift
        while not await pause(shift.stopping, shift.post.pace.min_idle * random.uniform(1.5, 2.5)):  # noqa: S311
            try:
                await self.look()
            except TROUBLES as error:
                shift.last_error = str(error)
                log.warning("worker.inherit_failed", app=shift.post.app, error=str(error))

    async def look(self) -> None:
        """Take over what was held by the dead at the last look, and still is. Raises as reading does."""
        shift, post = self._shift, self._shift.post
        with own_statements():
            rows = await shift.side.database.fetch(load(__file__, "lapsed_names"), post.app)
        dead = {RELEASED, *(row["name"] for row in rows)} - {post.name}
        streams = shift.swept(self._turn)
        found: dict[tuple[str, str], dict[str, int]] = {}
        for stream, names in (await pending.holders(shift.broker, post.group, streams)).items():
            for name in sorted(names & dead):
                found[stream, name] = await pending.untouched(shift.broker, post.group, stream, name)
        before = self._seen
        others = {place: lay for place, lay in before.items() if place[0] not in streams}
        self._seen, self._turn = {**others, **found}, self._turn + 1
        for place, entries in found.items():
            await self._take(*place, left(before.get(place, {}), entries))

    async def _take(self, stream: str, name: str, ids: list[str]) -> None:
        shift, post = self._shift, self._shift.post
        for start in range(0, len(ids), size := shift.page(100)):
            some = ids[start : start + size]
            entries = await pending.inherit(shift.broker, post.group, post.name, stream, some)
            log.warning("worker.inherited", app=post.app, stream=stream, consumer=name, entries=len(entries))
            await self._recovery.again(stream, entries)


def left(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """Entries that lie as they lay at the last look: given out as often, and not touched for all we know."""
    return sorted(entry for entry, count in now.items() if before.get(entry) == count)
