"""One pass of the relay: rows of the outbox become entries, and say where they went.

Always holds: a row is marked only under the epoch of the relay that moved it, and only when every stream it
goes to has it. A stream that refuses holds back what is for it and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from headwater import clock, failpoints, telemetry
from headwater.broker import Broker
from headwater.database import Connection, Row, load
from headwater.errors import BrokerRefused, BrokerUnavailable, HeadwaterError, ServerUnavailable
from headwater.event.limits import SIZE_LIMIT
from headwater.publish.outgoing import Outgoing
from headwater.publish.refusals import Refusals
from headwater.publish.rows import Appends, Rows

log = telemetry.logger(__name__)

Answers = list[tuple[str, str | HeadwaterError]]
"""For each stream that was asked the entry's id, or what Redis answered instead."""


class Superseded(ServerUnavailable):
    """Another relay leads: what this one had under way is said again by that one, or was marked by it."""


class Batch(NamedTuple):
    """Rows as they were read, and what is to be appended for each."""

    rows: Sequence[Row]
    appends: list[Appends]
    errors: dict[int, str]
    """Rows that no stream can carry, and why."""

    @property
    def ids(self) -> list[int]:
        """Of its rows."""
        return [row["id"] for row in self.rows]


class Moved(NamedTuple):
    """What one pass did."""

    rows: int
    entries: int
    quarantined: int
    taken: Counter[tuple[str, str]]
    """Entries by stream and type."""


class Mover:
    """The passes of one leader."""

    def __init__(self, broker: Broker, outgoing: Outgoing, enablement: str, epoch: int) -> None:
        """`epoch`: what the leader raised the source's epoch to."""
        self._broker = broker
        self._rows = Rows(outgoing, enablement)
        self.epoch = epoch
        self.refusals = Refusals()

    async def take(self, connection: Connection, most: int, under_way: Iterable[int] = ()) -> Batch:
        """The oldest rows that are not under way, encoded."""
        rows = await connection.fetch(load(__file__, "waiting"), most, list(under_way), SIZE_LIMIT + 1)
        failpoints.reached("relay.fetched")
        # Asked after the rows were seen: who is not enabled yet will read them as history.
        enabled = await self._rows.enabled(connection, {row["tenant"] for row in rows}) if rows else {}
        batch = Batch(rows, [], {})
        for row in rows:
            found = self._rows.appends(row, enabled)
            if isinstance(found, str):
                batch.errors[row["id"]] = found
                found = []
            batch.appends.append(_without_those_there(found, row["entries"]))
        return batch

    async def finish(self, connection: Connection, batch: Batch) -> Moved:
        """Append a batch and mark its rows.

        Raises BrokerUnavailable: its rows stay waiting and are said again. Raises Superseded.
        """
        if batch.errors:
            await self._quarantine(connection, batch.errors)
        now = [self._let(row["id"], some) for row, some in zip(batch.rows, batch.appends, strict=True)]
        replies = await self._broker.append([one for some in now for one in some])
        failpoints.reached("relay.appended")
        answers = iter(replies)
        of_rows = [[(key, next(answers)) for key, _ in some] for some in now]
        await self._mark(connection, batch, of_rows)
        failpoints.reached("relay.marked")
        # After the mark: what was taken must not be said again at every try of what was refused.
        if self.refusals or any(isinstance(reply, HeadwaterError) for reply in replies):
            await self._judge(connection, batch, of_rows)
        taken = Counter(
            (key, row["type"])
            for row, answers in zip(batch.rows, of_rows, strict=True)
            for key, reply in answers
            if isinstance(reply, str)
        )
        return Moved(len(batch.rows), taken.total(), len(batch.errors), taken)

    def _let(self, row: int, wanted: Appends) -> Appends:
        if not self.refusals:
            return wanted
        return [one for one in wanted if self.refusals.lets(one[0], row)]

    async def _mark(self, connection: Connection, batch: Batch, of_rows: list[Answers]) -> None:
        marks: list[tuple[int, str, str | None]] = []
        for row, wanted, answers in zip(batch.rows, batch.appends, of_rows, strict=True):
            found = fate(row["entries"], [key for key, _ in wanted], answers)
            if found is not None and row["id"] not in batch.errors:
                marks.append((row["id"], *found))
        if marks:
            await self._fenced(connection, "mark_published", *zip(*marks, strict=True))

    async def _judge(self, connection: Connection, batch: Batch, of_rows: list[Answers]) -> None:
        now = clock.monotonic()
        for key, reply in (answer for answers in of_rows for answer in answers):
            if isinstance(reply, BrokerRefused):
                self.refusals.refused(key, str(reply), now)
            elif isinstance(reply, HeadwaterError):
                raise BrokerUnavailable(f"Redis refused an entry ({reply})")
            elif self.refusals.taken(key):
                await connection.execute(load(__file__, "release_held"), key, self.epoch)
                log.info("relay.stream_takes_again", stream=key)
        self.refusals.no_trial(batch.ids, now)

    async def try_refusing(self, connection: Connection) -> None:
        """Let the oldest row go on of each stream whose time has come."""
        for stream in self.refusals.due(clock.monotonic()):
            row = await connection.fetchval(load(__file__, "try_held"), stream, self.epoch)
            self.refusals.on_trial(stream, row)

    async def _quarantine(self, connection: Connection, errors: dict[int, str]) -> None:
        await self._fenced(connection, "quarantine", list(errors), list(errors.values()))
        log.error("relay.quarantined", rows=list(errors), errors=list(errors.values())[:3])

    async def _fenced(self, connection: Connection, statement: str, *columns: Sequence[Any]) -> None:
        if not await connection.fetchval(load(__file__, statement), *columns, self.epoch):
            raise Superseded(f"another relay leads (epoch {self.epoch} is over)")


def fate(known: str | None, wanted: Sequence[str], answers: Answers) -> tuple[str, str | None] | None:
    """What a row is to say: its entries, and the stream that refuses it, None when all have it. Pure.

    None when Redis as a whole refused: then nothing is written, and the row is said again. `known`: its
    entries from before; `answers`: what was answered for those `wanted` streams that were asked.
    """
    answered: dict[str, list[str | HeadwaterError]] = {}
    for stream, reply in answers:
        answered.setdefault(stream, []).append(reply)
    entries = [known] if known else []
    refusing = None
    for stream in dict.fromkeys(wanted):
        replies = answered.get(stream, [])
        if any(isinstance(one, HeadwaterError) and not isinstance(one, BrokerRefused) for one in replies):
            return None
        there = [f"{stream}@{one}" for one in replies if isinstance(one, str)]
        if there and len(there) == len(replies):  # of a row that has two entries there, both
            entries += there
        else:
            refusing = refusing or stream
    return " ".join(entries), refusing


def _without_those_there(appends: Appends, entries: str | None) -> Appends:
    if not entries:
        return appends
    there = {part.rpartition("@")[0] for part in entries.split(" ")}
    return [one for one in appends if one[0] not in there]
