"""Take up queued and abandoned backfill jobs, a few at a time, and keep their leases."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from headwater import telemetry
from headwater.errors import BrokerRefused, ServerUnavailable
from headwater.replay.job_run import JobRun
from headwater.replay.jobs import Cancelled, Fenced, Job, Jobs, Paused
from headwater.replay.ways import Ways

log = telemetry.logger(__name__)
LOOK = 0.25
"""Seconds between looks whether a pause or the end of a job is asked for."""


class Runner:
    """Takes up queued and abandoned jobs, a few at a time."""

    def __init__(self, ways: Ways, *, holder: str, at_once: int = 2) -> None:
        """`holder` names this process in leases and audit trails."""
        self._ways = ways
        self._holder = holder
        self._at_once = at_once
        self._stopping = asyncio.Event()
        self._hands: dict[str, Job] = {}
        self.jobs = Jobs(ways.source, lease=ways.lease)

    def stop(self) -> None:
        """Take no further job; the ones in hand stop behind their last checkpoint, for others. Idempotent."""
        self._stopping.set()

    async def run(self, *, poll: float = 0.2) -> None:
        """Run jobs until stopped; outages of a server only delay them."""
        tasks = [asyncio.create_task(self._lane(poll), name=f"backfill-{n}") for n in range(self._at_once)]
        await self._stopping.wait()
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()  # again and again: before Python 3.12 a wait that just ended drops a cancel
            await asyncio.wait(tasks, timeout=0.5)
        for job in list(self._hands.values()):
            await self._give_back(job)

    async def _lane(self, poll: float) -> None:
        while True:
            try:
                job = await self.claim()
                if job is None:
                    await asyncio.sleep(poll)
                else:
                    self._hands[job.id] = job
                    await self.one(job)
                    del self._hands[job.id]
            except (ServerUnavailable, BrokerRefused) as error:
                log.warning("backfill.waiting", error=str(error))
                await asyncio.sleep(1.0)
            except Exception:  # the edge of a lane: one that ends would leave its jobs lying, unseen
                log.exception("backfill.lane_failed")
                await asyncio.sleep(1.0)

    async def claim(self, *, only: str | None = None) -> Job | None:
        """Take a job, unless as many are in hands as may be; None when there is none."""
        return await self.jobs.claim(self._holder, only=only, at_once=self._ways.jobs_at_once)

    async def one(self, job: Job) -> str:
        """Run one claimed job until it ends or pauses; its state, or `fenced`.

        What is asked meanwhile cuts it off wherever it is; as after a crash it goes on behind its last chunk.
        """
        run = JobRun(self._ways, self.jobs, job, self._holder)
        working = asyncio.create_task(run.run(), name="job")
        watching = asyncio.create_task(self._watch(job), name="lease")
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            await _cut(working)
            if not working.cancelled():
                return working.result()
            asked = watching.result()
            return await run.give_way(asked)
        except Fenced as error:
            log.warning("backfill.fenced", job=job.id, error=str(error))
            return "fenced"
        except (ServerUnavailable, BrokerRefused):
            await self._give_back(job)
            raise
        finally:
            await _cut(working)
            await _cut(watching)

    async def _give_back(self, job: Job) -> None:
        """Let whoever reaches the servers first go on; without the source the lease runs out by itself."""
        try:
            async with asyncio.timeout(2.0):
                await self.jobs.let_go(job)
        except (Fenced, ServerUnavailable, TimeoutError) as error:
            log.warning("backfill.not_given_back", job=job.id, error=str(error))

    async def _watch(self, job: Job) -> Cancelled | Paused:
        """Keep the lease until something is asked. Raises Fenced."""
        renew_at = time.monotonic() + self._ways.lease / 3
        while True:
            await asyncio.sleep(min(LOOK, self._ways.lease / 6))
            try:
                if time.monotonic() < renew_at:
                    await self.jobs.asked(job)
                else:
                    await self.jobs.renew(job)
                    renew_at = time.monotonic() + self._ways.lease / 3
            except (Cancelled, Paused) as asked:
                return asked
            except ServerUnavailable as error:
                log.warning("backfill.lease_not_renewed", job=job.id, error=str(error))


async def _cut(task: asyncio.Task[Any]) -> None:
    while not task.done():
        task.cancel()  # again and again: before Python 3.12 a wait that just ended drops a cancel
        await asyncio.wait({task}, timeout=0.5)
