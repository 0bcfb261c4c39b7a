"""A job's progress as server-sent events, for whoever watches without asking again and again."""

from __future__ import annotations

import asyncio
import contextlib
import time

import msgspec
from aiohttp import web

from backfill.reports import standing_report
from headwater.admin import stands
from headwater.errors import ServerUnavailable
from headwater.replay import History, Job

LOOK = 0.5
"""Seconds between looks."""
SILENCE = 15.0
"""Seconds after which something is said to keep the connection open."""


async def tell(
    request: web.Request, history: History, job: Job, closing: asyncio.Event
) -> web.StreamResponse:
    """Events `progress` with the job as JSON at each change, and `end` with it once it has ended.

    While a server is away nothing is told but comments. Ends too when `closing` is set, or the key expires.
    """
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await answer.prepare(request)
    told, last = b"", 0.0
    while not closing.is_set() and stands(request):
        try:
            job = await history.jobs.get(job.id) or job
            report = msgspec.json.encode(standing_report(job, await history.standing(job)))
        except ServerUnavailable:
            report = told
        if job.finished:
            await answer.write(_event(b"end", report))
            break
        if report != told:
            await answer.write(_event(b"progress", report))
            told, last = report, time.monotonic()
        elif time.monotonic() - last > SILENCE:
            await answer.write(b": nothing new\n\n")
            last = time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), LOOK)
    await answer.write_eof()
    return answer


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)
