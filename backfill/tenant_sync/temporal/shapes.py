"""What goes between caller, workflow and activities. Histories keep it for weeks: nothing secret is in it."""

from __future__ import annotations

from dataclasses import dataclass, field

ESSENTIAL, ABANDON, BACKGROUND, FINISH = (
    "tenant_sync.essential",
    "tenant_sync.abandon",
    "tenant_sync.background",
    "tenant_sync.finish",
)
"""Names of the activities."""
FENCED = "FENCED"
"""Type of the error of a run whose lease another one took."""
FINAL = ("AUTH_ERROR", "VALIDATION_ERROR", FENCED)
"""Types of errors that the next attempt would meet again."""


def workflow_id(tenant: str) -> str:
    """One a tenant, never one an attempt: whoever comes while it runs meets the same."""
    return f"tenant-sync:{tenant}"


def background_tasks(tasks: str) -> str:
    """The task queue of what nobody waits for, so that it never stands before what somebody does."""
    return f"{tasks}-background"


@dataclass(frozen=True)
class Asked:
    """One sync, as a caller wants it."""

    tenant: str
    correlation: str
    triggered_by: str = "login"
    force: bool = False
    """Sync again what is there."""
    limit: float = 60.0
    """Seconds that one attempt at the essential data may take."""
    silence: float = 10.0
    """Seconds without a heartbeat after which an attempt is taken for dead; three times that behind."""


@dataclass(frozen=True)
class Begun:
    """The essential data is in."""

    token: int = 0
    """Of the lease that the background goes on under; 0: another run has it, or nothing is left."""
    left: list[str] = field(default_factory=list)
    """Collections of the background."""
    correlation: str = ""
    """Of the run that did it, which may be another one's."""


@dataclass(frozen=True)
class Part:
    """One collection of the background, or all of them with an empty name."""

    tenant: str
    correlation: str
    token: int
    collection: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a run gave up."""

    tenant: str
    correlation: str
    type: str
    message: str
