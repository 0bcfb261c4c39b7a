"""The caller's side: one round trip that starts or finds the workflow and waits for essential data."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from backfill.tenant_sync.errors import NotInTime, NoWorker, TemporalAway
from backfill.tenant_sync.temporal.errors import brought_back
from backfill.tenant_sync.temporal.shapes import Asked, workflow_id
from backfill.tenant_sync.temporal.workflow import TenantSync
from headwater.config.seeds import TenantSyncSettings

ASKED_LATELY = 120.0
"""Seconds since a worker that lives asked for work, at most: two long polls. It is listed for longer."""
CONNECT = timedelta(seconds=5)
"""Longest wait for a server to be there."""
LATE = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
PASSING = (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.NOT_FOUND)
"""Too many wait for one workflow, or it ended under the update: whoever looks again sees how it stands.

Not FAILED_PRECONDITION: the steps of that workflow fail, and will until somebody mends it.
"""


class TemporalWay:
    """Syncs of one process through Temporal. Connects when first asked."""

    def __init__(self, settings: TenantSyncSettings, *, silence: float = Asked.silence) -> None:
        """`silence`: seconds without a heartbeat after which an attempt is taken for dead."""
        self._settings = settings
        self._silence = silence
        self._client: Client | None = None
        self._connecting: asyncio.Task[Client] | None = None

    async def essential(self, asked: Asked, *, timeout: float) -> str | None:
        """The id of the run that has the essential data in; None: look how the row stands, and ask again.

        None also where a sync was forced, and the run that was met had begun for somebody else.
        Raises a SyncError: that of the activity, in its class, or TemporalAway, NoWorker, NotInTime, after
        which the workflow may still run.
        """
        with told(timeout):
            async with asyncio.timeout(timeout):
                if not await self._worked_for(client := await self._connected()):
                    # Started now, it would run when a worker comes, long after.
                    raise NoWorker(f"no worker asks for {self._settings.temporal_workflows}")
                return await self._waited(client, asked, timeout)

    async def has_workers(self) -> bool:
        """Whether a worker asked for work within the last minutes. Raises TemporalAway, NotInTime."""
        with told(CONNECT.total_seconds()):
            return await self._worked_for(await self._connected())

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._client = None

    async def _waited(self, client: Client, asked: Asked, timeout: float) -> str | None:
        start = WithStartWorkflowOperation(
            TenantSync.run,
            dataclasses.replace(asked, silence=self._silence),
            id=workflow_id(asked.tenant),
            task_queue=self._settings.temporal_workflows,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo={"correlation": asked.correlation},
            static_summary=f"tenant {asked.tenant}",
            priority=Priority(fairness_key=asked.tenant[:64]),
        )
        found = asyncio.ensure_future(start.workflow_handle())
        found.add_done_callback(lambda one: one.cancelled() or one.exception())  # the call below raises it
        try:
            begun = await client.execute_update_with_start_workflow(
                TenantSync.wait_essential,
                start_workflow_operation=start,
                id=asked.correlation,
                rpc_timeout=timedelta(seconds=timeout),
            )
        except RPCError as error:
            if error.status in PASSING:
                return None
            raise
        else:
            other = asked.force and begun.correlation != asked.correlation
            return None if other else (await found).first_execution_run_id or ""
        finally:
            found.cancel()

    async def _connected(self) -> Client:
        """Whoever comes while a connection is tried has its answer: nobody waits for one after another."""
        if self._client is not None:
            return self._client
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect(), name="temporal")
            self._connecting.add_done_callback(lambda one: one.cancelled() or one.exception())  # told below
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Client:
        kept = self._settings
        try:
            async with asyncio.timeout(CONNECT.total_seconds()):
                self._client = await Client.connect(kept.temporal_address, namespace=kept.temporal_namespace)
        except TimeoutError as error:
            raise TemporalAway(f"no answer from Temporal at {kept.temporal_address}") from error
        return self._client

    async def _worked_for(self, client: Client) -> bool:
        about = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=self._settings.temporal_workflows),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            ),
            timeout=CONNECT,
        )
        oldest = time.time() - ASKED_LATELY
        return any(one.last_access_time.ToSeconds() > oldest for one in about.pollers)


@contextlib.contextmanager
def told(timeout: float) -> Iterator[None]:
    """Whatever Temporal says, in the classes of a sync."""
    try:
        yield
    except WorkflowUpdateFailedError as error:
        raise brought_back(error) from error
    except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError) as error:
        raise NotInTime(f"the essential data was not in after {timeout:g}s, the workflow goes on") from error
    except RPCError as error:
        if error.status in LATE:
            raise NotInTime(f"Temporal did not answer within {timeout:g}s") from error
        raise TemporalAway(f"Temporal refused ({error.status.name}: {error.message})") from error
    except RuntimeError as error:  # what a connection that fails raises
        raise TemporalAway(f"Temporal is not there ({error})") from error
