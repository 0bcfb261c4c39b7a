"""Say rows again to one application outside of a job: paced, historical, for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from headwater import telemetry
from headwater.broker import EntryId, provision
from headwater.database import Row, load
from headwater.errors import EventError
from headwater.event import Event, Fields
from headwater.publish import Said
from headwater.replay.backfill import Backfill
from headwater.replay.ways import Ways
from headwater.replay.window import Window

log = telemetry.logger(__name__)
Appended = dict[str, str]
"""The last entry appended to each stream."""
UNSAYABLE = (EventError, msgspec.MsgspecError, ValueError, TypeError, KeyError)
"""What a row raises that no event can be made of."""
_PAUSE = 0.01


class Saying:
    """What one reconciliation says to one application of one tenant."""

    def __init__(self, ways: Ways, tenant: str, app: str, name: str) -> None:
        """`name`: what stands as the job in its entries."""
        self.ways = ways
        self.tenant = tenant
        self.app = app
        self._name = name
        self._window = Window(ways.broker, ways.window)

    async def open(self) -> None:
        """Make the application's groups where they are missing: an entry before its group would be lost."""
        catalogue = self.ways.outgoing.catalogue
        await provision.ensure(self.ways.broker, catalogue.keys_of(self.app), catalogue.group(self.app).name)

    def entries(self, event: Event, version: int | None) -> list[tuple[str, Fields]]:
        """The entries of a state, by stream. Raises EventError."""
        said = Said(event, self.tenant, version, correlation=f"{self._name}-{self.tenant}")
        envelope = said.envelope(self.ways.service, realm=self.ways.realm, target=self.app, job=self._name)
        return self.ways.outgoing.entries(envelope, ())

    async def rows(self, backfill: Backfill, rows: Sequence[Row]) -> tuple[Appended, dict[str, str]]:
        """Append rows as they are; the last entries, and why rows could not be said, by key."""
        appends: list[tuple[str, Fields]] = []
        refused: dict[str, str] = {}
        for row in rows:
            try:
                appends += self.entries(backfill.event(row), row["version"])
            except UNSAYABLE as error:
                refused[row["key"]] = f"{type(error).__name__}: {error}"[:300]
        return await self.append(appends), refused

    async def append(self, appends: Sequence[tuple[str, Fields]]) -> Appended:
        """Append entries, never further ahead of the slowest living group than the window."""
        last: Appended = {}
        size = max(1, self.ways.window // 2)
        for start in range(0, len(appends), size):
            some = list(appends[start : start + size])
            await self._window.wait_for({stream for stream, _ in some}, len(some), _nothing)
            for (stream, _), reply in zip(some, await self.ways.broker.append(some), strict=True):
                if not isinstance(reply, str):
                    raise reply
                last[stream] = reply
        return last

    async def applied(self, upto: Mapping[str, str], *, within: float) -> bool:
        """Wait until the application has applied everything up to these entries; whether it did in time."""

        async def passed() -> bool:
            for stream, entry in upto.items():
                if not await self._passed(stream, entry):
                    return False
            return True

        return await _within(within, passed)

    async def caught_up(self, *, within: float) -> bool:
        """Wait until the application has applied what was said before now; whether it did in time."""
        newest = await self.ways.source.fetchval("SELECT coalesce(max(id), 0) FROM headwater.outbox")

        async def relayed() -> bool:
            return not await self.ways.source.fetchval(load(__file__, "outbox_waits"), newest)

        begun = asyncio.get_running_loop().time()
        if not await _within(within, relayed):
            return False
        upto: Appended = {}
        for stream in self.ways.outgoing.catalogue.keys_of(self.app):
            found = await self.ways.broker.stream(stream)
            if found is not None:
                upto[stream] = found.last_id
        return await self.applied(upto, within=within - (asyncio.get_running_loop().time() - begun))

    async def _passed(self, stream: str, entry: str) -> bool:
        broker, group = self.ways.broker, self.ways.outgoing.catalogue.group(self.app).name
        state = next((one for one in await broker.groups(stream) if one.name == group), None)
        if state is None:
            return False
        # Of a stream that was lost or trimmed nothing is left to give out: comparing finds what is missing.
        due = EntryId.parse(state.last_delivered) < EntryId.parse(entry)
        if due and await broker.range(stream, start=f"({state.last_delivered}", end=entry, count=1):
            return False
        return not await broker.pending_upto(stream, group, entry)


async def _nothing() -> None:
    """Nobody's lease has to be kept."""


async def _within(seconds: float, reached: Callable[[], Awaitable[bool]]) -> bool:
    end, pause = asyncio.get_running_loop().time() + seconds, _PAUSE
    while not await reached():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(pause)
        pause = min(0.25, pause * 1.5)
    return True
