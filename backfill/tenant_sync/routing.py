"""Which way a sync goes, and what is done when Temporal did not bring it to its end. Pure.

    USE_TEMPORAL_FOR_AUTH and TEMPORAL_ENABLED, the tenant in TEMPORAL_TENANTS (or that empty), and where
    TEMPORAL_BY_SIZE is set, the tenant large or slow: then Temporal; else directly.

Of an error of the Temporal way the direct one makes up only what it may do better: an outage, a time-out.
Who we are, and what is wrong with the data, is the same on both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, NamedTuple, Protocol

import msgspec

from backfill.tenant_sync.errors import SyncError
from backfill.tenant_sync.temporal.shapes import Asked
from headwater.config.seeds import TenantSyncSettings

Method = Literal["auto", "direct", "temporal"]
Then = Literal["fail", "join", "fallback", "steal"]
"""Tell the caller; wait for the run that goes on; do it directly; take it from a run that does not move."""
STILL = 20.0
"""Seconds without progress, two heartbeats of the essential data, after which a run is not waited for."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a tenant."""

    users: int = 0
    organizations: int = 0
    seconds: float = 0.0
    """How long its last sync took."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way, and why."""

    temporal: bool
    why: str


class Routing(NamedTuple):
    """What decides about syncs that begin now, and the way they may take."""

    flags: Callable[[], TenantSyncSettings]
    way: Way


class Way(Protocol):
    """The Temporal way, as a process uses it."""

    async def essential(self, asked: Asked, *, timeout: float) -> str | None:
        """The id of the run that has it in; None: look how the row stands. Raises a SyncError."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


def allowed(tenant: str, flags: TenantSyncSettings) -> bool:
    """Whether Temporal may have this tenant, whatever its size."""
    return flags.use_temporal and flags.temporal_enabled and _listed(tenant, flags.temporal_tenants)


def route(tenant: str, asked: Method, flags: TenantSyncSettings, size: Size) -> Route:
    """The way of a sync that begins now; `size` counts only where the flags ask for it."""
    if asked == "direct" or (asked == "temporal" and flags.temporal_enabled):
        return Route(temporal=asked == "temporal", why="asked for")
    if asked == "temporal" or not allowed(tenant, flags):
        return Route(temporal=False, why=_missing(tenant, asked, flags))
    if not flags.temporal_by_size:
        return Route(temporal=True, why="USE_TEMPORAL_FOR_AUTH is on")
    large = _large(flags, size)
    return Route(temporal=bool(large), why=large or "neither large nor slow")


def after(error: SyncError, *, busy: bool, idle: float) -> Then:
    """What follows an error of the Temporal way.

    `busy`: a run holds the tenant's lease; `idle`: seconds since it last came further.
    """
    if not error.retryable:
        return "fail"
    if not busy:
        return "fallback"
    return "join" if idle < STILL else "steal"


def _listed(tenant: str, some: Collection[str]) -> bool:
    return not some or tenant.lower() in {one.strip().lower() for one in some}


def _missing(tenant: str, asked: Method, flags: TenantSyncSettings) -> str:
    if asked == "auto" and not flags.use_temporal:
        return "USE_TEMPORAL_FOR_AUTH is off"
    return "not in TEMPORAL_TENANTS" if flags.temporal_enabled else "TEMPORAL_ENABLED is off"


def _large(flags: TenantSyncSettings, size: Size) -> str:
    """The threshold that a tenant is past; empty for none."""
    past = (
        (flags.temporal_users, size.users, "users"),
        (flags.temporal_organizations, size.organizations, "organizations"),
        (flags.temporal_seconds, size.seconds, "seconds"),
    )
    return next((f"{has:g} {what}" for most, has, what in past if most and has > most), "")
