"""The worker process: workflows and essential data on one task queue, the background on another."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from backfill.tenant_sync.errors import TemporalAway
from backfill.tenant_sync.run import Ways
from backfill.tenant_sync.temporal import shapes
from backfill.tenant_sync.temporal.activities import Activities
from backfill.tenant_sync.temporal.workflow import TenantSync
from headwater import telemetry
from headwater.config.seeds import TenantSyncSettings

log = telemetry.logger(__name__)
AT_ONCE, BEHIND = 4, 3
"""Activities that one process runs at the same time: for callers that wait, and for nobody."""
ANSWER = 10.0
"""Seconds that a server has to answer."""
STICKY = timedelta(seconds=1)
"""How long a step waits for the worker that knows its workflow: another reads it in no time."""


async def connect(settings: TenantSyncSettings) -> Client:
    """A client. Raises TemporalAway, within seconds also where a server accepts and says nothing."""
    try:
        async with asyncio.timeout(ANSWER):
            return await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)
    except (RuntimeError, TimeoutError) as error:
        why = str(error) or "no answer"
        raise TemporalAway(f"no Temporal at {settings.temporal_address} ({why})") from error


class TemporalWorker:
    """Both task queues of one process."""

    def __init__(self, client: Client, ways: Ways, settings: TenantSyncSettings, *, drain: float) -> None:
        """`drain`: seconds that what is in hand has at a stop; what is not done then, another one does."""
        activities, tasks = Activities(ways), settings.temporal_workflows
        grace = timedelta(seconds=drain)
        self._stopping = asyncio.Event()
        self._workers = [
            Worker(
                client,
                task_queue=tasks,
                workflows=[TenantSync],
                activities=[activities.essential],
                # The sandbox (tests run in it) loads the module anew for each workflow: a third of the CPU.
                workflow_runner=UnsandboxedWorkflowRunner(),
                max_concurrent_activities=AT_ONCE,
                sticky_queue_schedule_to_start_timeout=STICKY,
                graceful_shutdown_timeout=grace,
            ),
            Worker(
                client,
                task_queue=shapes.background_tasks(tasks),
                activities=[activities.background, activities.finish, activities.abandon],
                max_concurrent_activities=BEHIND,
                graceful_shutdown_timeout=grace,
            ),
        ]

    def stop(self) -> None:
        """Take nothing more, end what is in hand. Idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Until stopped; raises what ends a worker for good."""
        running = [asyncio.create_task(worker.run()) for worker in self._workers]
        stop = asyncio.create_task(self._stopping.wait())
        log.info("temporal.working", tasks=[worker.task_queue for worker in self._workers])
        try:
            await asyncio.wait([*running, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            await asyncio.gather(*(worker.shutdown() for worker in self._workers))
            await asyncio.gather(*running)
