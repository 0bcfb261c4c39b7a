"""Trim streams: exactly, in steps that never block Redis for long, never past what a living group lacks.

What is let go below everybody's floor goes with XTRIM MINID, some thousand entries a command. Where a group
that holds nothing any more, or a hard bound, is passed over, entries go page by page in a transaction that
also reads what each group had of them: so the loss is counted exactly, and is a gap of that group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from headwater import clock, telemetry
from headwater.broker import Broker, Entry, EntryId
from headwater.broker.entry import pairs
from headwater.broker.protocol import Command
from headwater.database import Database
from headwater.errors import HeadwaterError
from headwater.retention import losing
from headwater.retention.holding import Keep, Reader, above, beyond, line, outlived, passed_over
from headwater.telemetry import Metrics

log = telemetry.logger(__name__)
STEP = 10_000
"""Entries of one command at most, where nobody lacks any of them."""
PAGE = 200
"""Entries of one transaction, where somebody does."""
SEEN = 1_000
"""Entries of one look, where they are only counted."""
SAMPLES = 100
"""Nodes of a stream that Redis weighs to say its bytes."""
COUNTED = 100_000
"""Entries that a dry run counts; beyond, the figure is a lower bound."""


class Trimmed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one stream, or would."""

    stream: str
    length: int
    """Entries before."""
    bytes: int | None = None
    """What Redis says they took, where the stream is bounded by it."""
    removed: int
    exact: bool = True
    """False: at least so many would go (a dry run of a long stream)."""
    held_by: list[str]
    """Groups whose unapplied entries keep older ones than are wanted."""
    passed_over: list[str]
    """Groups that no longer hold it and lack entries that go."""
    lost: dict[str, int] = {}
    """Entries by group that it had not applied; each is part of a gap."""


class Trimmer:
    """Trims streams of one system."""

    def __init__(self, broker: Broker, sinks: Mapping[str, Database], metrics: Metrics | None = None) -> None:
        """`sinks`: databases of applications; a loss of one that is not among them is found by its worker."""
        self._broker = broker
        self._sinks = sinks
        self._metrics = metrics

    async def trim(
        self, key: str, keep: Keep, readers: Sequence[Reader], *, dry: bool = False
    ) -> Trimmed | None:
        """Trim one stream; None when it does not exist.

        Raises BrokerUnavailable, BrokerRefused; DatabaseUnavailable where a loss could not be recorded.
        """
        state = await self._broker.stream(key)
        if state is None:
            return None
        last = EntryId.parse(state.last_id)
        used = None if keep.size is None else await self._used(key)
        wanted = min(last, await self._wanted(key, state.length, keep, used or 0))
        upto = line(readers, last, wanted, all_applied=keep.applied)
        losing_now = passed_over(readers, upto)
        done = Trimmed(
            stream=key,
            length=state.length,
            bytes=used,
            removed=0,
            held_by=[one.group for one in readers if one.holds and one.floor < wanted],
            passed_over=[one.group for one in losing_now],
        )
        if dry:
            return await self._would(key, upto, keep, done)
        removed = await self._plain(key, min((one.floor for one in losing_now), default=upto))
        more, lost = await self._forced(key, upto if losing_now else None, keep, readers)
        return self._told(msgspec.structs.replace(done, removed=removed + more, lost=dict(lost)))

    async def _used(self, key: str) -> int:
        return int(await self._broker.execute("MEMORY", "USAGE", key, "SAMPLES", SAMPLES) or 0)

    async def _wanted(self, key: str, length: int, keep: Keep, used: int) -> EntryId:
        """Up to where age and number let entries go, or bytes ask for it."""
        bounds = []
        if keep.seconds is not None:
            seconds, micros = await self._broker.execute("TIME")
            # A clock that stands in the future would make everything old: the earlier one counts.
            now = min(int(seconds) * 1000 + int(micros) // 1000, int(clock.now().timestamp() * 1000))
            bounds.append(outlived(now, keep.seconds))
        if keep.entries is not None:
            bounds.append(await self._at(key, length - keep.entries))
        kept = min(bounds, default=EntryId(0, 0))
        excess = 0 if keep.size is None else beyond(length, used, keep.size)
        return max(kept, await self._at(key, excess)) if excess else kept

    async def _at(self, key: str, place: int) -> EntryId:
        """The id of the entry at this place, 1 the first; of the last, when there are fewer."""
        last, start = EntryId(0, 0), "-"
        while place > 0:
            page = await self._broker.range(key, start=start, count=min(SEEN, place))
            if not page:
                break
            last, place = EntryId.parse(page[-1].id), place - len(page)
            start = f"({page[-1].id}"
        return last

    async def _plain(self, key: str, upto: EntryId) -> int:
        """Remove everything up to there, which nobody lacks."""
        least, removed = str(above(upto)), 0
        while some := await self._broker.execute("XTRIM", key, "MINID", "~", least, "LIMIT", STEP):
            removed += some  # whole nodes only: never more than was asked for
        return removed + int(await self._broker.execute("XTRIM", key, "MINID", "=", least))

    async def _forced(
        self, key: str, upto: EntryId | None, keep: Keep, readers: Sequence[Reader]
    ) -> tuple[int, Counter[str]]:
        """Remove up to there, and beyond the hard bound, counting what each group had not applied."""
        removed, recorder = 0, losing.Losses(self._broker, self._sinks, key)
        while upto is not None:
            page = await self._broker.range(key, end=str(upto), count=PAGE)
            if not page:
                break
            removed += await self._page(key, page, readers, recorder)
        excess = 0 if keep.most is None else await self._broker.execute("XLEN", key) - keep.most
        while excess > 0:
            page = await self._broker.range(key, count=min(PAGE, excess))
            if not page:
                break
            removed += await self._page(key, page, readers, recorder)
            excess -= len(page)
        return removed, recorder.lost

    async def _page(
        self,
        key: str,
        page: Sequence[Entry],
        readers: Sequence[Reader],
        recorder: losing.Losses,
    ) -> int:
        ids = [EntryId.parse(one.id) for one in page]
        lacking = passed_over(readers, ids[-1])

        removed: list[int] = []

        async def cut() -> dict[str, losing.Missed]:
            count, missed = await self._cut(key, ids, [one.group for one in lacking])
            removed.append(count)
            return missed

        apps = {one.group: one.app for one in lacking}
        await recorder.record(apps, cut)
        return sum(removed)

    async def _cut(
        self, key: str, ids: Sequence[EntryId], groups: Iterable[str]
    ) -> tuple[int, dict[str, losing.Missed]]:
        """Remove these, the stream's first; what each group had of them at that very moment."""
        named = list(groups)
        first, last = str(ids[0]), str(ids[-1])
        commands: list[Command] = [("MULTI",), ("XINFO", "GROUPS", key)]
        commands += [("XPENDING", key, group, first, last, len(ids)) for group in named]
        commands += [("XTRIM", key, "MINID", "=", str(above(ids[-1]))), ("EXEC",)]
        answer: Any = (await self._broker.ask(commands))[-1]
        if isinstance(answer, HeadwaterError):
            raise answer
        states, *pending, removed = answer
        delivered = {one["name"].decode(): one["last-delivered-id"] for one in map(pairs, states)}
        missed = {
            group: losing.missed(ids, EntryId.parse(delivered[group]), _ids(reply))
            for group, reply in zip(named, pending, strict=True)
            if group in delivered
        }
        return int(removed), missed

    async def _would(self, key: str, upto: EntryId, keep: Keep, done: Trimmed) -> Trimmed:
        found, start = 0, "-"
        while found < COUNTED:
            page = await self._broker.range(key, start=start, end=str(upto), count=SEEN)
            found += len(page)
            if len(page) < SEEN:
                break
            start = f"({page[-1].id}"
        excess = 0 if keep.most is None else done.length - keep.most
        return msgspec.structs.replace(done, removed=max(found, excess), exact=found < COUNTED)

    def _told(self, done: Trimmed) -> Trimmed:
        for group, count in done.lost.items():
            log.error("stream.trimmed_past_group", stream=done.stream, group=group, entries=count)
            if self._metrics:
                self._metrics.lost(done.stream, group, count)
        if self._metrics:
            self._metrics.trimmed(done.stream, done.removed)
        return done


def _ids(reply: Any) -> set[EntryId]:
    return set() if isinstance(reply, Exception) else {EntryId.parse(identity) for identity, *_ in reply}
