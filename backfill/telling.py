"""A job's progress as server-sent events, for whoever watches without asking again and again."""

from __future__ import annotations

import asyncio
import contextlib
import time

import msgspec
from aiohttp import web

from backfill.reports import standing_report
from headwater import telemetry
from headwater.admin import stands
from headwater.errors import ServerUnavailable
from headwater.replay import History, Job

log = telemetry.logger(__name__)
LOOK = 0.5
"""Seconds between looks."""
SILENCE = 15.0
"""Seconds after which something is said to keep the connection open."""
UNREAD = 30.0
"""Seconds that a reader may leave what it is told unread, before its connection is closed."""


async def tell(
    request: web.Request, history: History, job: Job, closing: asyncio.Event
) -> web.StreamResponse:
    """Events `progress` with the job as JSON at each change, and `end` with it once it has ended.

    While a server is away nothing is told but comments. Ends too when `closing` is set, the key expires,
    or nobody listens any more.
    """
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await answer.prepare(request)
    try:
        await _tell(request, answer, _Told(history, job), closing)
        await answer.write_eof()
    except (ConnectionResetError, TimeoutError) as error:
        log.debug("progress.not_read", job=job.id, reason=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    return answer


async def _tell(
    request: web.Request, answer: web.StreamResponse, told: _Told, closing: asyncio.Event
) -> None:
    while not closing.is_set() and stands(request) and _listens(request):
        some = await told.next()
        if some:
            async with asyncio.timeout(UNREAD):
                await answer.write(some)
        if told.job.finished:
            break
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), LOOK)


class _Told:
    """What is known of a job, and what of it was said."""

    def __init__(self, history: History, job: Job) -> None:
        self._history, self.job = history, job
        self._report, self._last = b"", 0.0

    async def next(self) -> bytes:
        """What is to be said now; nothing where nothing is new."""
        report = await self._look()
        if self.job.finished:
            return _event(b"end", report)
        now, silent = time.monotonic(), time.monotonic() - self._last > SILENCE
        if report == self._report and not silent:
            return b""
        said = _event(b"progress", report) if report != self._report else b": nothing new\n\n"
        self._report, self._last = report, now
        return said

    async def _look(self) -> bytes:
        try:
            job = await self._history.jobs.get(self.job.id) or self.job
            report = msgspec.json.encode(standing_report(job, await self._history.standing(job)))
        except ServerUnavailable:
            return self._report
        self.job = job
        return report


def _listens(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)
