"""What a group loses when entries go that it has not applied: counted, and recorded as its gap.

The count and the mark of the look for losses move together, under the lock of that look: so what is
recorded here is not found once more by a worker.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from headwater import failpoints
from headwater.broker import Broker, EntryId, look
from headwater.database import Connection, Database, load
from headwater.delivery import gaps, losses
from headwater.delivery.gaps import Gap


class Missed(NamedTuple):
    """Of some entries that went, what one group had not applied."""

    unread: list[EntryId]
    pending: list[EntryId]

    @property
    def entries(self) -> int:
        """Both together."""
        return len(self.unread) + len(self.pending)


def missed(ids: Sequence[EntryId], delivered: EntryId, pending: set[EntryId]) -> Missed:
    """What a group that was given everything up to `delivered` lacks of these. Pure."""
    return Missed([one for one in ids if one > delivered], [one for one in ids if one in pending])


class Losses:
    """What groups lose on one stream while it is trimmed: one gap for all that a group had not read."""

    def __init__(self, broker: Broker, sinks: Mapping[str, Database], stream: str) -> None:
        self._broker = broker
        self._sinks = sinks
        self._stream = stream
        self._upto: dict[str, str] = {}
        self.lost = Counter[str]()
        """Entries by group."""

    async def record(self, apps: Mapping[str, str], cut: Callable[[], Awaitable[dict[str, Missed]]]) -> None:
        """Remove entries by `cut`, and record what each group (to its application) loses by it.

        A crash after `cut` leaves it to the look for losses of the application's workers.
        """
        async with contextlib.AsyncExitStack() as stack:
            open_: dict[str, tuple[str, Connection]] = {}
            for group, app in sorted(apps.items()):
                if app in self._sinks:
                    tx = await stack.enter_async_context(self._sinks[app].transaction())
                    await tx.execute(load(__file__, "watch_lock"), app)
                    open_[group] = (app, tx)
            found = await cut()
            failpoints.reached("retention.cut")
            self.lost.update({group: one.entries for group, one in found.items() if one.entries})
            for group, (app, tx) in open_.items():
                if group in found and found[group].entries:
                    await self._record(tx, app, group, found[group])

    async def _record(self, tx: Connection, app: str, group: str, lost: Missed) -> None:
        for gap in gaps.deleted(app, self._stream, map(str, lost.pending)):
            await gaps.record(tx, gap)
        seen = (await look(self._broker, [self._stream], group)).get(self._stream)
        if seen is None or not lost.unread:
            return
        mark = (await gaps.marks(tx, app)).get(self._stream)
        found = losses.compare(mark, seen)
        # Redis's own figures may know of more that went unseen; where they tell less, our count holds.
        count = max(len(lost.unread), found.entries if found and found.kind == "trimmed_unread" else 0)
        since, upto = mark.floor if mark else losses.before(lost.unread[0]), str(lost.unread[-1])
        grown = (app, self._stream, self._upto.get(app, ""), count, upto)
        if await tx.fetchval(load(__file__, "grow_gap"), *grown) is None:
            await gaps.record(tx, Gap(app, self._stream, "trimmed_unread", "", count, str(since), upto))
        self._upto[app] = upto
        known = losses.marked(mark, seen)
        if losses.unread_trimmed(seen) is None:
            known = known._replace(trimmed=(mark.trimmed if mark else 0) + len(lost.unread))
        await gaps.keep(tx, app, {self._stream: known})
