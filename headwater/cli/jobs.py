"""Backfill jobs on the command line: shown, followed, and run to their end."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from collections.abc import Iterable, Mapping
from typing import Any

from headwater.cli.loops import cut_off
from headwater.cli.output import Output, Progress, Table, cell
from headwater.cli.wiring import Wiring
from headwater.errors import BrokerUnavailable, HeadwaterError, SettingsError
from headwater.replay import Job, Jobs, Runner, Standing
from headwater.replay.jobs import Part
from headwater.replay.progress import standing

_LOOK = 0.2


def asked_by() -> str:
    """Who runs this command, for audit trails."""
    try:
        return f"cli {getpass.getuser()}"
    except (KeyError, OSError, ImportError):  # a container without that user
        return "cli"


def as_data(job: Job, *, details: bool = False) -> dict[str, Any]:
    """A job for JSON."""
    names = (
        "id",
        "tenant",
        "app",
        "state",
        "since",
        "asked_by",
        "reason",
        "cancelled",
        "paused",
        "created_at",
    )
    head = {
        name: getattr(job, name)
        for name in (*names, "started_at", "finished_at", "error", "priority", "rate")
    }
    return {**head, "parts": [_part(part, details=details) for part in job.parts]}


def _part(part: Part, *, details: bool) -> dict[str, Any]:
    names = ("subject", "state", "expected", "read", "published", "failed", "error")
    return {name: getattr(part, name) for name in (*names, *(["details"] if details else []))}


async def far(wiring: Wiring, job: Job) -> Standing | None:
    """How far a job is; None while Redis does not answer, which is no reason not to show it."""
    try:
        return await standing(await wiring.open_source(), wiring.broker, wiring.outgoing, job)
    except (BrokerUnavailable, SettingsError):
        return None


def as_text(job: Job, events: Iterable[Mapping[str, Any]] = (), found: Standing | None = None) -> str:
    """A job for people."""
    left = found.eta if found else None
    head = {
        "job": job.id,
        "application": job.app,
        "tenant": job.tenant,
        "state": f"{job.state}: {job.error}" if job.error else job.state,
        "since": job.since,
        "asked by": f"{job.asked_by} ({job.reason})",
        "created": job.created_at,
        "finished": job.finished_at,
        **({} if left is None or job.finished else {"left": f"about {left:.0f} s"}),
    }
    lines = [f"{name:12} {cell(value)}" for name, value in head.items()]
    known = {one.subject: one for one in found.subjects} if found else {}
    columns = ("subject", "state", "expected", "read", "published", "delivered", "applied", "failed", "error")
    rows = []
    for part in job.parts:
        one = known.get(part.subject)
        taken = (one.delivered, one.applied) if one else (None, None)
        counts = (part.expected, part.read, part.published, *taken, part.failed)
        rows.append((part.subject, part.state, *counts, part.error))
    trail = [
        f"{cell(one['at'])}  {cell(one['actor'])}  {one['what']}  {cell(one['detail'])}" for one in events
    ]
    return "\n".join([*lines, "", Table(columns, rows).plain(), *([""] if trail else []), *trail])


class Follower:
    """Watches one job, with a bar for the subject it is at."""

    def __init__(self, out: Output, wiring: Wiring, job: str) -> None:
        self._out = out
        self._wiring = wiring
        self._job = job
        self._bar: Progress | None = None
        self._subject = ""
        self._shown: set[str] = set()

    async def watch(self) -> Job:
        """Look until the job has ended; the job then."""
        return await self._follow(None)

    async def run_to_end(self) -> Job:
        """Run the job here, unless or until another process has it; the job when it has ended."""
        return await self._follow(await self._wiring.runner())

    async def _follow(self, runner: Runner | None) -> Job:
        jobs = Jobs(await self._wiring.open_source())
        running: asyncio.Task[str] | None = None
        with contextlib.ExitStack() as bars:
            try:
                while not (job := await self._look(jobs, bars)).finished:
                    if runner is not None and (running is None or running.done()):
                        running = await self._claim(jobs, runner, running)
                    await asyncio.sleep(_LOOK)
            finally:
                if running is not None:
                    await cut_off([running])
        return job

    async def _claim(
        self, jobs: Jobs, runner: Runner, before: asyncio.Task[str] | None
    ) -> asyncio.Task[str] | None:
        if before is not None:
            before.result()  # a server that went away ends this command; the job waits for the next runner
        claimed = await runner.claim(only=self._job)
        return asyncio.create_task(runner.one(claimed), name="backfill") if claimed else None

    async def _look(self, jobs: Jobs, bars: contextlib.ExitStack) -> Job:
        job = await jobs.get(self._job)
        if job is None:
            raise HeadwaterError(f"the backfill was removed ({self._job})")
        for part in job.parts:
            if part.state != "queued" and part.subject not in self._shown:
                self._show(part, bars)
        return job

    def _show(self, part: Part, bars: contextlib.ExitStack) -> None:
        if part.subject != self._subject:
            bars.close()  # a terminal shows one live bar at a time
            self._bar = bars.enter_context(self._out.progress(part.subject, part.expected))
            self._subject = part.subject
        if self._bar is not None:
            self._bar.update(part.read, part.expected)
        if part.state in {"done", "failed"}:
            self._shown.add(part.subject)
            bars.close()
            self._subject = ""
