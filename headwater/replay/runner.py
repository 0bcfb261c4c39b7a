"""Take up queued and abandoned backfill jobs, a few at a time, and keep their leases."""

from __future__ import annotations

import asyncio

from headwater import telemetry
from headwater.errors import BrokerRefused, ServerUnavailable
from headwater.replay.job_run import JobRun, Ways
from headwater.replay.jobs import LEASE, Cancelled, Fenced, Job, Jobs

log = telemetry.logger(__name__)


class Runner:
    """Takes up queued and abandoned jobs, a few at a time."""

    def __init__(self, ways: Ways, *, holder: str, at_once: int = 2) -> None:
        """`holder` names this process in leases and audit trails."""
        self._ways = ways
        self._holder = holder
        self._at_once = at_once
        self._stopping = asyncio.Event()
        self.jobs = Jobs(ways.source)

    def stop(self) -> None:
        """Take no further job; the ones in hand stop behind their last checkpoint. Idempotent."""
        self._stopping.set()

    async def run(self, *, poll: float = 0.2) -> None:
        """Run jobs until stopped; outages of a server only delay them."""
        tasks = [asyncio.create_task(self._lane(poll), name=f"backfill-{n}") for n in range(self._at_once)]
        await self._stopping.wait()
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()  # again and again: before Python 3.12 a wait that just ended drops a cancel
            await asyncio.wait(tasks, timeout=0.5)

    async def _lane(self, poll: float) -> None:
        while True:
            try:
                job = await self.jobs.claim(self._holder)
                if job is None:
                    await asyncio.sleep(poll)
                else:
                    await self.one(job)
            except (ServerUnavailable, BrokerRefused) as error:
                log.warning("backfill.waiting", error=str(error))
                await asyncio.sleep(1.0)
            except Exception:  # the edge of a lane: one that ends would leave its jobs lying, unseen
                log.exception("backfill.lane_failed")
                await asyncio.sleep(1.0)

    async def one(self, job: Job) -> str:
        """Run one claimed job to its end; its final state, or `fenced`."""
        run = JobRun(self._ways, self.jobs, job, self._holder)
        keeping = asyncio.create_task(self._keep(job), name="lease")
        try:
            return await run.run()
        except Fenced as error:
            log.warning("backfill.fenced", job=job.id, error=str(error))
            return "fenced"
        finally:
            keeping.cancel()

    async def _keep(self, job: Job) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                await self.jobs.renew(job)
            except (Fenced, Cancelled):
                return  # the run itself hears of it at its next checkpoint
            except ServerUnavailable as error:
                log.warning("backfill.lease_not_renewed", job=job.id, error=str(error))
