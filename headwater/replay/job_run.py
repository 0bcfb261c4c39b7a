"""Run one backfill job: group before read, chunks by key, a checkpoint behind every append.

    queued → running → catching_up → verifying → verified | diverged | partial | failed | cancelled

Chunks are appended directly and then checkpointed; a crash in between appends them again, which
the gate drops. The job is done when the application has *applied* everything it appended and the
digests agree, not when the last append returned. What still differs is repaired once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import asyncpg
import msgspec

from headwater import failpoints, telemetry
from headwater.broker import EntryId, provision
from headwater.broker.protocol import Append
from headwater.database import Database, load
from headwater.errors import BrokerRefused, JobRefused, ServerUnavailable
from headwater.replay import agreeing
from headwater.replay.backfill import Backfill
from headwater.replay.behind import Behind
from headwater.replay.beside import Beside
from headwater.replay.clearing import Clearing
from headwater.replay.examining import Finding, examined
from headwater.replay.jobs import DETAILS, Ahead, Cancelled, Fenced, Job, Jobs, Part, Paused, Step
from headwater.replay.kinds import Kind
from headwater.replay.pacing import Pacer, slower
from headwater.replay.pages import Pages
from headwater.replay.progress import parked
from headwater.replay.sides import Sides
from headwater.replay.telling import Telling
from headwater.replay.ways import Ways
from headwater.replay.window import Window
from headwater.replay.writers import version_past_writers

log = telemetry.logger(__name__)
PATIENCE = 10.0
"""Seconds a comparison waits, at each look, for an application that lags behind live traffic."""


class JobRun:
    """One job in one runner's hands."""

    def __init__(self, ways: Ways, jobs: Jobs, job: Job, holder: str) -> None:
        self._ways = ways
        self._jobs = jobs
        self._holder = holder
        self._kept = time.monotonic() - ways.lease
        self._pacer = Pacer(Window(ways.broker, ways.window), slower(ways.rate, job.rate), ways.quiet)
        self._ahead: dict[str, Ahead] = {}
        self._clearing = Clearing(ways.broker, ways.outgoing.catalogue, job.app)
        self._open = ""
        self._telling = Telling(ways, job)
        self.job = job

    async def run(self) -> str:
        """Take the job to its end; its final state.

        Raises Fenced, or ServerUnavailable: then somebody takes the job up again.
        """
        try:
            return await self._run()
        except (Cancelled, Paused) as asked:
            return await self.give_way(asked)
        except (Fenced, ServerUnavailable, BrokerRefused):
            raise
        except Exception as error:  # the edge of a job: a defect ends this one, and no other
            log.exception("backfill.job_failed", job=self.job.id)
            return await self._end("failed", f"{type(error).__name__}: {error}"[:500])

    async def give_way(self, asked: Cancelled | Paused) -> str:
        """End or let go of the job as was asked; its state. Raises Fenced."""
        if isinstance(asked, Cancelled):
            try:
                return await self._end("cancelled")
            except JobRefused:  # it ended by itself in that moment
                return (await self._jobs.get(self.job.id) or self.job).state
        state = await self._jobs.let_go(self.job)
        await self._jobs.record(self.job.id, self._holder, state)
        return state

    async def _run(self) -> str:
        job = self.job
        group = self._ways.outgoing.catalogue.group(job.app)
        await provision.ensure(self._ways.broker, self._ways.outgoing.catalogue.keys_of(job.app), group.name)
        if job.state in {"queued", "running"}:
            log.info("backfill.started", job=job.id, tenant=job.tenant, application=job.app)
            await self._jobs.move(job, "running")
            await self._look_ahead()
            failed = [part.subject for part in job.parts if not await self._subject(part)]
            if failed:
                return await self._end("failed", f"failed: {', '.join(failed)}")
        if job.state != "verifying":
            await self._jobs.move(job, "catching_up")
        unread = await self._applied()
        failpoints.reached("backfill.caught_up")
        if job.since is not None:
            return await self._end(
                "partial", f"nobody reads {', '.join(unread)} any more" if unread else None
            )
        await self._jobs.move(job, "verifying")
        return await self._verify()

    async def _end(self, state: Any, error: str | None = None) -> str:
        await self._jobs.move(self.job, state, error)
        await self._jobs.record(self.job.id, self._holder, state, error or "")
        job = await self._jobs.get(self.job.id) or self.job
        counts = {part.subject: part.published for part in job.parts}
        where = {"job": job.id, "tenant": job.tenant, "application": job.app}
        event = "backfill.failed" if state == "failed" else "backfill.completed"
        log.info(event, **where, state=state, counts=counts, error=error)
        return str(state)

    async def _look_ahead(self) -> None:
        """Count every subject before the first is said, and bind its last key: so the time left can be told.

        A row behind the bound was committed after this look, or by a transaction that was open then. The
        application was enabled and its groups were made before: such a row reaches it live.
        """
        job = self.job
        for part in job.parts:
            if part.expected is not None or part.state != "queued":
                continue
            try:
                self._ahead[part.subject] = await self._look_at(self._ways.backfill(part.subject))
            except asyncpg.PostgresError as error:  # its own turn will say so, and end that subject only
                log.warning("backfill.not_counted", job=job.id, subject=part.subject, error=str(error))
        await self._jobs.expect(job, self._ahead)

    async def _look_at(self, backfill: Backfill) -> Ahead:
        job, source = self.job, self._ways.source
        last = await source.fetchrow(backfill.bound, job.tenant, job.app)
        rows = await source.fetchval(backfill.count, job.tenant, job.app, job.since)
        return Ahead(rows, backfill.position(last) if last else [])

    async def _subject(self, part: Part) -> bool:
        if part.state in {"done", "failed"}:
            return part.state == "done"
        backfill = self._ways.backfill(part.subject)
        try:
            await self._rows(backfill)
            await self._tombstones(backfill)
            failpoints.reached("backfill.subject")
        except (Fenced, Cancelled, Paused, ServerUnavailable, BrokerRefused):
            raise
        except Exception as error:  # a subject that can not be read or said must not stop the others
            log.exception("backfill.subject_failed", job=self.job.id, subject=part.subject)
            text = f"{type(error).__name__}: {error}"
            await self._jobs.finish_part(self.job, part.subject, "failed", text)
            return False
        await self._jobs.finish_part(self.job, part.subject, "done")
        return True

    async def _rows(self, backfill: Backfill) -> None:
        job, ways = self.job, self._ways
        if (ahead := self._ahead.get(backfill.subject)) is None:
            ahead = await self._look_at(backfill)
        part = await self._jobs.start_part(job, backfill.subject, ahead)
        reported, size = len(part.details), max(1, ways.window // 2)

        async def write(step: Step) -> None:
            await self._jobs.checkpoint(job, backfill.subject, step)
            failpoints.reached("backfill.checkpointed")

        async def say(appends: list[Append], step: Step) -> None:
            appended = await self._append(appends)
            failpoints.reached("backfill.appended")
            await behind.take(msgspec.structs.replace(step, appended=appended))

        pages = Pages(ways.source, backfill, job, ways.chunk)
        async with aclosing(pages.of(part)) as reading, Behind(write) as behind, Beside() as saying:
            async for rows in reading:
                for start in range(0, len(rows), size):
                    some = rows[start : start + size]
                    appends, step = self._telling.rows(backfill, some, report=reported < DETAILS)
                    details = step.details[: DETAILS - reported]
                    reported += len(details)
                    position = backfill.position(some[-1])
                    step = msgspec.structs.replace(step, checkpoint=position, details=details)
                    # While these wait for room, the next are made.
                    await saying.begin(say(appends, step))
            await saying.end()
            await behind.end()

    async def _append(self, appends: list[Append]) -> dict[str, str]:
        if not appends:
            return {}
        failpoints.reached("backfill.appending")
        await self._pacer.wait_for({stream for stream, _ in appends}, len(appends), self._keep)
        await self._sure()
        replies = await self._ways.broker.append(appends)
        last: dict[str, str] = {}
        for (stream, _), reply in zip(appends, replies, strict=True):
            if not isinstance(reply, str):
                raise reply
            last[stream] = reply
        await self._clearing.appended(last, len(appends))
        return last

    async def _sure(self) -> None:
        """Before an append, that the job is still this runner's: Redis knows no token."""
        if time.monotonic() - self._kept > self._ways.lease / 4:
            await self._keep()

    async def _keep(self) -> None:
        await self._jobs.renew(self.job)
        self._kept = time.monotonic()

    async def _tombstones(self, backfill: Backfill) -> None:
        """Say again what was deleted: it may have been while the application was away."""
        after = ""
        while True:
            rows = await self._ways.source.fetch(
                load(__file__, "tombstones"),
                *(backfill.subject, self.job.tenant, self.job.since, after, max(1, self._ways.window // 2)),
            )
            if not rows:
                return
            appends = [
                one
                for row in rows
                for one in self._telling.entries(backfill.gone(row["key"]), row["version"])
            ]
            appended = await self._append(appends)
            await self._jobs.checkpoint(self.job, backfill.subject, Step(appended=appended))
            after = rows[-1]["key"]

    async def _applied(self) -> list[str]:
        """Wait until the application's group has applied everything this job appended.

        Returns streams that it does not read any more. Comparing finds what is missing of those.
        """
        upto = (await self._jobs.get(self.job.id) or self.job).upto()
        unread = self._clearing.unread(upto)
        for stream, entry in upto.items():
            if stream not in unread:
                await self._until_passed(stream, entry)
        await self._clearing.applied(upto)
        return unread

    async def _until_passed(self, stream: str, entry: str) -> None:
        group = self._ways.outgoing.catalogue.group(self.job.app).name
        await self._until(lambda: self._passed(stream, group, entry))

    async def _until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        pause = 0.01
        while not await reached():
            await asyncio.sleep(pause)
            pause = min(0.25, pause * 1.5)
            if pause >= 0.1:
                await self._keep()

    async def _caught_up(self) -> bool:
        """Wait until the application has applied what was said before; whether it did within PATIENCE."""
        try:
            async with asyncio.timeout(PATIENCE):
                newest = await self._ways.source.fetchval("SELECT coalesce(max(id), 0) FROM headwater.outbox")
                await self._until(lambda: self._relayed(newest))
                for stream in self._ways.outgoing.catalogue.keys_of(self.job.app):
                    found = await self._ways.broker.stream(stream)
                    if found is not None:
                        await self._until_passed(stream, found.last_id)
        except TimeoutError:
            log.info("backfill.application_lags", job=self.job.id, application=self.job.app)
            return False
        return True

    async def _relayed(self, newest: int) -> bool:
        return not await self._ways.source.fetchval(load(__file__, "outbox_waits"), newest)

    async def _passed(self, stream: str, group: str, entry: str) -> bool:
        state = next((one for one in await self._ways.broker.groups(stream) if one.name == group), None)
        if state is None:
            raise BrokerRefused(f"the group {group!r} on {stream!r} vanished while a backfill ran")
        # Of a stream that was lost or trimmed nothing is left to give out: comparing finds what is missing.
        due = EntryId.parse(state.last_delivered) < EntryId.parse(entry)
        if due and await self._ways.broker.range(
            stream, start=f"({state.last_delivered}", end=entry, count=1
        ):
            return False
        return not await self._ways.broker.pending_upto(stream, group, entry)

    async def _verify(self) -> str:
        sink = self._ways.sinks.get(self.job.app)
        if sink is None:
            return await self._end(
                "partial", "the application's database is not known here, so nothing was compared"
            )
        compared = await self._compare(sink, repair=True)
        failpoints.reached("backfill.compared")
        if all(one.agreed for one in compared):
            return await self._end("verified")
        await self._applied()
        differing = [one.subject for one in await self._compare(sink, repair=False) if not one.agreed]
        if not differing:
            return await self._end("verified")
        letters = await parked(sink, self.job)
        why = f"; {letters} of this job's entries are parked" if letters else ""
        why = f"source and application differ: {', '.join(differing)}{why}{self._open}"
        return await self._end("diverged", why)

    async def _compare(self, sink: Database, *, repair: bool) -> list[Finding]:
        found = []
        for part in self.job.parts:
            mirrored = self._ways.mirrored[self.job.app].get(part.subject)
            if mirrored is None:
                continue
            backfill, tenant = self._ways.backfill(part.subject), self.job.tenant
            before = await agreeing.signals(self._ways.source, sink, self.job.app)
            sides = Sides(self._ways.source, sink, backfill, mirrored, tenant)
            one = await examined(sides, self._caught_up, partial(self._repair, sides) if repair else None)
            if one.agreed:
                await agreeing.agreed(self._ways.source, tenant, mirrored, before)
            else:
                await agreeing.differs(self._ways.source, tenant, one, (self.job.app, before))
            found.append(one)
            await self._keep()
        return found

    async def _repair(self, sides: Sides, found: Mapping[Kind, Sequence[str]]) -> None:
        """Say what differs once more; what only the application has, once the source confirmed it gone."""
        backfill, subject = sides.backfill, sides.mirrored.subject
        # A parked row is said again, too: what parked it may have been mended, and a retried job starts here.
        missing = [*found.get("missing", ()), *found.get("quarantined", ())]
        orphans = found.get("orphan", ())
        await self._jobs.record(self.job.id, self._holder, "repair", _summary(subject, found))
        # Drawn before the source is asked: a row that comes back meanwhile gets a larger version.
        version = await self._version() if orphans else None
        orphans = () if version is None else orphans
        rows = await sides.rows([*missing, *found.get("stale", ()), *orphans])
        wanted = set(missing)
        await sides.reopen({row["key"]: row["version"] for row in rows if row["key"] in wanted})
        size = max(1, self._ways.window // 2)
        for start in range(0, len(rows), size):
            appends, step = self._telling.rows(backfill, rows[start : start + size], report=False)
            appended = await self._append(appends)
            again = Step(appended=appended, refused=step.refused)  # rows counted before
            await self._jobs.checkpoint(self.job, subject, again)
        gone = sorted(set(orphans) - {row["key"] for row in rows})
        for start in range(0, len(gone), size):
            some = gone[start : start + size]
            appends = [one for key in some for one in self._telling.entries(backfill.gone(key), version)]
            step = Step(appended=await self._append(appends))
            await self._jobs.checkpoint(self.job, subject, step)

    async def _version(self) -> int | None:
        """A version for deletions; None: somebody's transaction stays open, and one wait for it is enough."""
        if self._open:
            return None
        drawn = await version_past_writers(self._ways.source, within=self._ways.patience)
        if drawn.open:
            self._open = f"; nothing was removed: {drawn.open}"
            await self._jobs.record(self.job.id, self._holder, "waited", drawn.open)
        return drawn.version


def _summary(subject: str, found: Mapping[Kind, Sequence[str]]) -> str:
    return f"{subject}: " + ", ".join(f"{len(keys)} {kind}" for kind, keys in found.items())
