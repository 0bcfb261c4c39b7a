"""The workflow: essential data, for which callers wait in an update; then each collection of the background.

It decides nothing about data. What was done stands in the application's own database, written there by the
activities under their lease; a history holds some thirty events, whatever the size of the tenant.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from backfill.tenant_sync.temporal import shapes
    from backfill.tenant_sync.temporal.shapes import Asked, Begun, Failure, Part

LOGIN = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
    maximum_attempts=5,
    non_retryable_error_types=shapes.FINAL,
)
BEHIND = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=60),
    non_retryable_error_types=shapes.FINAL,
)
"""Without end: an attempt ends by itself after five of its own, so another is made when a worker died."""


@workflow.defn(name="TenantSync")
class TenantSync:
    """One tenant's sync."""

    @workflow.init
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._begun: Begun | None = None
        self._failed: Failure | None = None

    @workflow.run
    async def run(self, asked: Asked) -> str:
        """`completed`, or `superseded` where another run took over. Fails with the class of its error."""
        try:
            self._begun = await self._essential()
            ended = await self._behind(self._begun) if self._begun.token else "completed"
        except ActivityError as error:
            failure = _failure(asked, error)
            if self._begun is None:
                self._failed = failure
            await self._abandon(failure)
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise _as_error(failure) from error
        await workflow.wait_condition(workflow.all_handlers_finished)
        return ended

    @workflow.update
    async def wait_essential(self) -> Begun:
        """Once the essential data is in. Fails with the class of error that kept it out."""
        await workflow.wait_condition(lambda: self._begun is not None or self._failed is not None)
        if self._failed is not None:
            raise _as_error(self._failed)
        return self._begun or Begun()

    async def _essential(self) -> Begun:
        while True:
            try:
                begun: Begun = await workflow.execute_activity(
                    shapes.ESSENTIAL,
                    self._asked,
                    result_type=Begun,
                    start_to_close_timeout=timedelta(seconds=self._asked.limit),
                    heartbeat_timeout=timedelta(seconds=self._asked.silence),
                    retry_policy=LOGIN,
                )
            except ActivityError as error:
                if not _is_fenced(error):
                    raise
            else:
                return begun  # where another run took over, the next attempt has waited for that one

    async def _behind(self, begun: Begun) -> str:
        """Every collection on its own and all at once, then the word that it ended."""
        try:
            await asyncio.gather(*(self._part(begun, name) for name in begun.left))
            await self._do(shapes.FINISH, self._of(begun, ""))
        except ActivityError as error:
            if not _is_fenced(error):
                raise
            return "superseded"
        return "completed"

    async def _part(self, begun: Begun, name: str) -> None:
        await self._do(shapes.BACKGROUND, self._of(begun, name))

    async def _abandon(self, failure: Failure) -> None:
        """Say so in the row; where that can not be done in a minute, its lease runs out by itself."""
        try:
            await self._do(shapes.ABANDON, failure, schedule_to_close_timeout=timedelta(seconds=60))
        except ActivityError:
            workflow.logger.warning("tenant_sync.not_told")

    def _of(self, begun: Begun, name: str) -> Part:
        return Part(self._asked.tenant, begun.correlation, begun.token, name)

    async def _do(self, activity: str, given: Any, **more: Any) -> None:
        await workflow.execute_activity(
            activity,
            given,
            task_queue=shapes.background_tasks(workflow.info().task_queue),
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=3 * self._asked.silence),
            retry_policy=BEHIND,
            **more,
        )


def _is_fenced(error: ActivityError) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.type == shapes.FENCED


def _failure(asked: Asked, error: ActivityError) -> Failure:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        kind, message = cause.type or "UNKNOWN_ERROR", cause.message
    else:  # no heartbeat, or not in time: the worker died, or stands still
        kind, message = "TIMEOUT_ERROR", f"no answer from the worker ({cause})"
    return Failure(asked.tenant, asked.correlation, kind, message)


def _as_error(failure: Failure) -> ApplicationError:
    return ApplicationError(failure.message, type=failure.type, non_retryable=True)
