"""The six classes of errors as Temporal carries them, and back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from backfill.tenant_sync.errors import CLASSES, Superseded, SyncError, UnknownError, classified
from backfill.tenant_sync.retrying import worth_it
from backfill.tenant_sync.temporal.shapes import FENCED

_BY_TYPE = {kind.type: kind for kind in CLASSES}


def carried(error: Exception, wait: Callable[[float], float]) -> ApplicationError:
    """What an activity raises for an error: its class as type, and when the next attempt is worth it.

    `wait`: seconds until then, of those that the other side asked for.
    """
    if isinstance(error, Superseded):
        return ApplicationError(
            str(error), type=FENCED, non_retryable=True, category=ApplicationErrorCategory.BENIGN
        )
    found = classified(error)
    again = worth_it(found)
    return ApplicationError(
        str(found),
        type=found.type,
        non_retryable=not again,
        next_retry_delay=timedelta(seconds=wait(found.after)) if again else None,
    )


def brought_back(error: WorkflowUpdateFailedError) -> SyncError:
    """The error of the activity, in its class; tried already, as often as is worth it."""
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return UnknownError(f"the workflow failed ({cause})", tried=True)
    return error_of(cause.type or "", cause.message)


def error_of(kind: str, text: str) -> SyncError:
    """The error of a class by its type; UnknownError for any other type."""
    return _BY_TYPE.get(kind, UnknownError)(text, tried=True)
