"""Say again what the outbox of the source still holds, after Redis lost entries.

In outbox order, so in order per thing; under the ids and versions of before, so that what was applied
changes nothing. One run at a time; each page is checkpointed after it is appended, and a run that was
killed goes on from there. Nothing in the outbox is changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from headwater import failpoints, telemetry
from headwater.broker import START, Broker, provision, repairs
from headwater.broker.repairs import Missing, Repaired
from headwater.database import Connection, connect, is_unavailable, load
from headwater.errors import BrokerRefused, DatabaseUnavailable, HeadwaterError
from headwater.publish.outgoing import Outgoing
from headwater.publish.rows import Appends, Rows
from headwater.publish.span import Page, Portion, Progress, Reach, Span, advanced, kept, repairing, went

log = telemetry.logger(__name__)
_ALONE = 0x616761696E  # "again": the advisory lock of whoever says rows again
_COMMAND_TIMEOUT = 120.0
_IDLE = "60s"
"""A run that does nothing for so long is none any more: its machine stands still."""
_REACHED = dict[str, Reach]
PAGE = 200
"""Rows read, appended and checkpointed at once."""

Room = Callable[[Iterable[str], int, Callable[[], Awaitable[None]]], Awaitable[None]]
"""Waits until so many entries fit on each of these streams; calls the third now and then meanwhile."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a span holds."""

    rows: int
    first: int
    last: int
    removed: datetime | None
    """Rows published up to then may be gone from the outbox; None when none ever was removed."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it stands."""

    id: int
    state: str
    by: str
    span: Span
    asked: tuple[Missing, ...]
    """Gaps that were open when it began: answered at its end."""
    found: int
    last: int
    progress: Progress
    answered: tuple[Missing, ...] = ()
    """Those that were answered now."""


class Republisher:
    """Says rows of one source again."""

    def __init__(
        self, source_url: str, broker: Broker, outgoing: Outgoing, enablement: str, page: int = PAGE
    ) -> None:
        """`enablement`: `$1 text[] tenants -> rows (tenant, app)`; `page`: rows appended at once."""
        self._url = source_url
        self._size = page
        self._broker = broker
        self._outgoing = outgoing
        self._rows = Rows(outgoing, enablement)
        self._room: Room | None = None

    def pace_with(self, room: Room) -> None:
        """Append no faster than this lets."""
        self._room = room

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection of its own to the source, which the rest is handed. Raises DatabaseUnavailable."""
        connection = await connect(self._url, command_timeout=_COMMAND_TIMEOUT)
        try:
            yield connection
        except Exception as error:
            if is_unavailable(error):
                raise DatabaseUnavailable(f"the source database went away ({error})") from error
            raise
        finally:
            await _close(connection)

    async def alone(self, connection: Connection) -> None:
        """Be the only one who says rows again, for as long as the connection lives.

        Raises HeadwaterError when somebody else does.
        """
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ALONE):
            raise HeadwaterError(
                "another republish is under way", hint="wait for its end, or end it and use --resume"
            )
        # A checkpoint lost in a crash of the server costs one page said again.
        await connection.execute(f"SET idle_session_timeout = '{_IDLE}'; SET synchronous_commit = off")

    async def now(self, connection: Connection) -> datetime:
        """By the clock that says when a row was published."""
        found: datetime = await connection.fetchval(load(__file__, "republish_clock"))
        return found

    async def plan(self, connection: Connection, span: Span) -> Plan:
        """How much a span holds; changes nothing."""
        streams = msgspec.json.encode(span.streams).decode()
        row = await connection.fetchrow(load(__file__, "republish_plan"), span.since, span.until, streams)
        return Plan(**dict(row or {}))

    async def covered(self, connection: Connection, span: Span, plan: Plan) -> list[Missing]:
        """What applications miss now that a span brings back whole."""
        wanted = await repairs.asked(self._broker, self._outgoing.catalogue)
        return [one for one in wanted if await self._covers(connection, span, plan, one)]

    async def _covers(self, connection: Connection, span: Span, plan: Plan, one: Missing) -> bool:
        needed, there = repairing([one], span.until), span.streams.get(one.stream)
        if there is None or not there.covers(needed.streams[one.stream]):
            return False
        if not kept(needed.since, plan.removed):
            return False
        earlier = msgspec.structs.replace(needed, until=span.since)
        return needed.since >= span.since or not (await self.plan(connection, earlier)).rows

    async def unfinished(self, connection: Connection, by: str) -> int | None:
        """The last run of somebody that was not taken to its end."""
        found: int | None = await connection.fetchval(load(__file__, "republish_unfinished"), by)
        return found

    async def begin(
        self, connection: Connection, span: Span, plan: Plan, *, by: str, asked: Iterable[Missing] = ()
    ) -> Run:
        """Write a new run down. `asked`: the open gaps that it repairs."""
        wanted = tuple(asked)
        about = (by, _json(span), _json(wanted), plan.rows, plan.first - 1, plan.last)
        number = await connection.fetchval(load(__file__, "republish_begin"), *about)
        return await self.find(connection, number)

    async def find(self, connection: Connection, run: int) -> Run:
        """A run by its number. Raises HeadwaterError when there is none."""
        row = await connection.fetchrow(load(__file__, "republish_show"), run)
        if row is None:
            raise HeadwaterError(f"there is no republish {run}", hint="leave --resume out to begin one")
        progress = Progress(
            position=row["position"],
            rows=row["rows_said"],
            entries=row["entries"],
            skipped=row["skipped"],
            refused=row["refused"],
            reached=msgspec.json.decode(row["reached"], type=_REACHED),
            refusing=tuple(row["refusing"]),
        )
        return Run(
            id=row["id"],
            state=row["state"],
            by=row["asked_by"],
            span=msgspec.json.decode(row["span"], type=Span),
            asked=msgspec.json.decode(row["asked"], type=tuple[Missing, ...]),
            found=row["rows_found"],
            last=row["last"],
            progress=progress,
        )

    async def counted(self, connection: Connection, span: Span, plan: Plan) -> dict[str, int]:
        """Entries that would be appended to each stream; changes nothing."""
        found: dict[str, int] = {}
        position = plan.first - 1
        while page := await self._page(connection, span, position, plan.last):
            for stream, _ in page.appends:
                found[stream] = found.get(stream, 0) + 1
            position = page.position
        return found

    async def go(self, connection: Connection, run: Run) -> Run:
        """Say what is left of a run, and answer its gaps.

        Raises BrokerUnavailable, DatabaseUnavailable: then it can be taken up again from its last page.
        """
        await self._provision()
        while page := await self._page(connection, run.span, run.progress.position, run.last):
            progress = advanced(run.progress, page, await self._append(connection, run, page.appends))
            failpoints.reached("republish.appended")
            run = msgspec.structs.replace(run, progress=progress)
            await self._checkpoint(connection, run)
            failpoints.reached("republish.checkpointed")
        answered = await self._answer(connection, run)
        await connection.execute(load(__file__, "republish_end"), run.id)
        log.info("republish.done", run=run.id, rows=run.progress.rows, refused=run.progress.refused)
        return msgspec.structs.replace(run, state="done", answered=answered)

    async def _provision(self) -> None:
        try:
            await provision.apply(self._broker, self._outgoing.catalogue)
        except BrokerRefused as error:  # one foreign key must not keep events from all other streams
            log.error("republish.not_provisioned", error=str(error))

    async def _page(self, connection: Connection, span: Span, after: int, last: int) -> Page | None:
        streams = msgspec.json.encode(span.streams).decode()
        about = (span.since, span.until, streams, after, last, self._size)
        rows = await connection.fetch(load(__file__, "republish_page"), *about)
        fit = [row for row in rows if row["event_id"] is not None]
        enabled = await self._rows.enabled(connection, {row["tenant"] for row in fit}) if fit else {}
        return Page(rows[-1]["id"], [self._portion(row, span, enabled) for row in fit]) if rows else None

    def _portion(self, row: Any, span: Span, enabled: dict[str, set[str]]) -> Portion:
        found = self._rows.appends(row, enabled)
        streams = went(row["entries"], span.streams)
        if isinstance(found, str):
            return Portion(streams, [], found)
        return Portion(streams, span.again(row["entries"], found))

    async def _append(self, connection: Connection, run: Run, appends: Appends) -> list[Any]:
        if appends and self._room is not None:

            async def keep() -> None:
                await connection.execute("SELECT 1")

            await self._room({stream for stream, _ in appends}, len(appends), keep)
        replies = await self._broker.append(appends)
        for problem in [one for one in replies if isinstance(one, HeadwaterError)][:3]:
            log.error("republish.refused", run=run.id, error=str(problem))
        return list(replies)

    async def _checkpoint(self, connection: Connection, run: Run) -> None:
        p = run.progress
        counts = (p.position, p.rows, p.entries, p.skipped, p.refused)
        about = (run.id, *counts, _json(p.reached), list(p.refusing))
        if await connection.fetchval(load(__file__, "republish_checkpoint"), *about) is None:
            raise HeadwaterError(f"republish {run.id} has ended already")

    async def _answer(self, connection: Connection, run: Run) -> tuple[Missing, ...]:
        # Asked now: rows may have been removed while this ran, or while it stood still before it was resumed.
        removed: datetime | None = await connection.fetchval(load(__file__, "republish_floor"))
        answered = []
        for one in run.asked:
            done = await self._done(run, one)
            if done is not None and kept(repairing([one], run.span.until).since, removed):
                await repairs.answer(self._broker, self._outgoing.catalogue.keys, one, done)
                answered.append(one)
        return tuple(answered)

    async def _done(self, run: Run, one: Missing) -> Repaired | None:
        reach = run.progress.reached.get(one.stream)
        if one.stream in run.progress.refusing:
            return None
        about = Repaired(
            incarnation=one.incarnation,
            gap=one.gap,
            rows=0,
            until=str(START),
            by=f"republish {run.id}",
            since=one.since,
            upto=one.upto,
        )
        if reach is None:
            # The outbox never put anything there since: what is lost for certain came from elsewhere.
            return None if one.sure else about
        if not await self._broker.range(one.stream, start=reach.first, end=reach.first, count=1):
            log.warning("republish.lost_again", run=run.id, stream=one.stream)
            return None
        return msgspec.structs.replace(about, rows=reach.entries, until=reach.last)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=2.0)
    except (OSError, TimeoutError) as error:
        log.debug("republish.closing", error=str(error))
        connection.terminate()
