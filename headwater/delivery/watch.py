"""Look for losses: every few seconds at start and after trouble, one worker of an application at a time.

Redis and the application's database remember of each other: marks of streams stand in the database,
and a count of the looks in both. Whichever is behind was restored, failed over to an older copy, or
emptied. What is found becomes a gap in the same transaction that moves the marks on, so it is counted once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import asyncpg

from headwater import telemetry
from headwater.broker import START, Broker, EntryId, Seen, look, repairs
from headwater.broker.repairs import Missing
from headwater.database import Connection, Database, load
from headwater.delivery import gaps, losses
from headwater.delivery.gaps import Gap
from headwater.delivery.losses import Beats, Loss, Mark
from headwater.errors import BrokerRefused, BrokerUnavailable, HeadwaterError
from headwater.topology import Catalogue

log = telemetry.logger(__name__)
AT_ONCE = 2
"""Streams of one look: a worker of many streams goes round them."""


class Told(NamedTuple):
    """What Redis keeps of an application's database."""

    incarnation: str
    timeline: str
    beat: int

    @classmethod
    def parse(cls, text: bytes | None) -> Told | None:
        """From its spelling; None for nothing, or for what is none of ours."""
        words = (text or b"").decode(errors="replace").split(" ")
        if len(words) != 3 or not words[2].isdigit():
            return None
        return cls(words[0], words[1], int(words[2]))

    def __str__(self) -> str:
        return f"{self.incarnation} {self.timeline} {self.beat}"


class Glance(NamedTuple):
    """What one look saw and remembered."""

    seen: dict[str, Seen]
    marks: dict[str, Mark]
    told: Told | None
    behind: str
    """redis, sink, or nobody."""


class Watch:
    """Finds the losses of one application."""

    def __init__(self, broker: Broker, database: Database, catalogue: Catalogue, app: str) -> None:
        self._database = database
        self._broker = broker
        self._keys = catalogue.keys
        self._every = catalogue.keys_of(app)
        self._app = app
        self._group = catalogue.group(app).name
        self._turn = 0
        self._asked: Collection[str] = self._every

    def next_streams(self, streams: Sequence[str]) -> list[str]:
        """The streams whose turn it is."""
        if len(streams) <= AT_ONCE:
            return list(streams)
        start = self._turn % len(streams)
        self._turn += AT_ONCE
        return [*streams, *streams][start : start + AT_ONCE]

    async def look(self, streams: Sequence[str]) -> list[Gap]:
        """Look at `streams`; at every stream when one of the two servers went back. What is lost.

        Raises BrokerUnavailable, DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            timeline = await _timeline(connection)
            async with connection.transaction():
                if not await connection.fetchval(load(__file__, "watch_turn"), self._app):
                    return []
                found, ours, wanted = await self._compare(connection, timeline, streams)
        await self._tell(ours, wanted)
        for gap in found:
            log.error("delivery.lost", app=self._app, stream=gap.stream, kind=gap.kind, entries=gap.entries)
        return found

    async def _compare(
        self, tx: Connection, timeline: str, streams: Sequence[str]
    ) -> tuple[list[Gap], Told, list[Missing]]:
        row = await tx.fetchrow(load(__file__, "beat"), self._app)
        if row is None:
            raise HeadwaterError("the application's database remembers no look")
        await tx.execute(load(__file__, "lock_gaps"), self._app)
        told = Told.parse(await self._broker.execute("HGET", self._keys.beats, self._app))
        ours = Told(row["incarnation"], timeline, row["beat"])
        behind = who_is_behind(ours, told, row["heard"])
        seen = await look(self._broker, self._every if behind else streams, self._group)
        glance = Glance(seen, await gaps.marks(tx, self._app), told, behind)
        found = [self._gap(stream, loss, glance) for stream, loss in lost(glance).items()]
        await self._write(tx, found, glance)
        heard = told.beat if told and behind != "sink" else 0
        known = (self._app, max(ours.beat, heard) + 1, heard, behind == "sink")
        incarnation = await tx.fetchval(load(__file__, "beat_on"), *known)
        wanted = await gaps.missing(tx, self._app, incarnation)
        return found, Told(incarnation, timeline, known[1]), await self._answered(tx, wanted)

    def _gap(self, stream: str, loss: Loss, glance: Glance) -> Gap:
        seen = glance.seen[stream]
        gap = Gap(self._app, stream, loss.kind, "", loss.entries, str(loss.since))
        if loss.kind == "sink_changed" and losses.whole(seen, loss.since):
            return gap._replace(repair="read_again", until=str(seen.last))
        return gap

    async def _write(self, tx: Connection, found: list[Gap], glance: Glance) -> None:
        for gap in found:
            if gap.kind == "sink_changed":
                # Before the commit: a crash in between only reads the same entries twice.
                await rewind(self._broker, gap.stream, self._group, EntryId.parse(gap.since))
            await gaps.record(tx, gap)
        again = {gap.stream for gap in found if gap.kind == "sink_changed"}
        seen = {stream: one for stream, one in glance.seen.items() if stream not in again}
        marks = {stream: losses.marked(glance.marks.get(stream), one) for stream, one in seen.items()}
        await gaps.keep(tx, self._app, marks)
        for closed in await gaps.close_applied(tx, self._app, seen):
            log.info("gap.closed", app=self._app, gap=closed)

    async def _answered(self, tx: Connection, wanted: list[Missing]) -> list[Missing]:
        """What is still to be asked for, once the answers that have come are noted."""
        left = []
        for one, done in zip(wanted, await repairs.answers(self._broker, self._keys, wanted), strict=True):
            if done is None or not repairs.settles(done, one):
                left.append(one)
            else:
                await gaps.repairing(tx, one, done, "republish")
                log.info("gap.repairing", app=one.app, stream=one.stream, by=done.by, until=done.until)
        return left

    async def _tell(self, ours: Told, wanted: list[Missing]) -> None:
        # Not at every look: idle workers ask little of Redis. Others may have asked before the first one.
        there = {one.stream for one in wanted}
        done = [stream for stream in self._asked if stream not in there]
        try:
            await self._broker.execute("HSET", self._keys.beats, self._app, str(ours))
            await repairs.ask(self._broker, self._keys, self._app, done, wanted)
        except (BrokerUnavailable, BrokerRefused) as error:
            # A Redis that is full takes no word and can be read all the same. The next look says it again.
            log.warning("watch.not_told", app=self._app, error=str(error))
        else:
            self._asked = there

    async def begun_again(self, streams: Sequence[str]) -> list[Gap]:
        """Record what is lost with groups that had to be made again at the earliest entry."""
        async with self._database.transaction() as tx:
            await tx.execute(load(__file__, "lock_gaps"), self._app)
            known = await gaps.marks(tx, self._app)
            seen = await look(self._broker, streams, self._group)
            found = [self._begun(stream, known.get(stream), seen.get(stream)) for stream in streams]
            for gap in found:
                await gaps.record(tx, gap)
            await tx.execute(load(__file__, "drop_marks"), self._app, streams)
        return found

    def _begun(self, stream: str, mark: Mark | None, seen: Seen | None) -> Gap:
        since = mark.floor if mark else START
        entries = max(1, mark.unsettled) if mark else 1
        gap = Gap(self._app, stream, "group_missing", "", entries, str(since))
        if mark and seen and not losses.regressed(mark, seen) and losses.whole(seen, since):
            return gap._replace(repair="read_again", until=str(seen.last))
        return gap

    async def known(self, streams: Sequence[str]) -> list[str]:
        """Those of the streams that were looked at before."""
        async with self._database.connection() as connection:
            remembered = await gaps.marks(connection, self._app)
        return [stream for stream in streams if stream in remembered]


def who_is_behind(ours: Told, told: Told | None, heard: int) -> str:
    """Which of the two was restored, failed over or emptied: redis, sink, or nobody. Pure."""
    if told is None:
        return losses.forgetful(Beats(ours.beat, heard, 0))
    timelines = {ours.timeline, told.timeline} - {"-"}
    if told.incarnation != ours.incarnation or len(timelines) > 1:
        return "sink"
    return losses.forgetful(Beats(ours.beat, heard, told.beat))


def lost(glance: Glance) -> dict[str, Loss]:
    """What is lost on each stream. Pure."""
    found = {}
    for stream, seen in glance.seen.items():
        mark = glance.marks.get(stream)
        loss = losses.compare(mark, seen)
        if glance.behind == "sink":
            loss = Loss("sink_changed", 1, mark.floor if mark else START)
        elif glance.behind == "redis" and mark is not None and loss is None:
            loss = losses.regression(mark)
        if loss is not None:
            found[stream] = loss
    return found


async def rewind(broker: Broker, stream: str, group: str, to: EntryId) -> None:
    """Let the group read again what comes after `to`; what it has in hand stays with its workers."""
    words = ("ENTRIESREAD", 0) if to == START else ()
    await broker.execute("XGROUP", "SETID", stream, group, str(to), *words)


async def _timeline(connection: Connection) -> str:
    try:
        return str(await connection.fetchval(load(__file__, "timeline")))
    except asyncpg.PostgresError as error:  # a managed server may keep it to itself
        log.debug("watch.no_timeline", error=str(error))
        return "-"
