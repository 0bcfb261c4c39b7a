"""Keep many applications' databases in step with one source of truth, through Redis Streams.

Only the names here are public. They are imported when first used, so that the command line and
services that only declare events do not pay for servers' clients.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.broker import Broker
    from headwater.database import Database, Tx
    from headwater.database.attach import Attached, Moves
    from headwater.delivery import Consumer, Context, Done, Limits, Pace, Worker, wait_applied
    from headwater.errors import (
        BrokerRefused,
        BrokerUnavailable,
        DatabaseUnavailable,
        DeclarationError,
        EventError,
        EventParked,
        GroupMissing,
        HeadwaterError,
        JobRefused,
        NotApplied,
        Reject,
        Retry,
        ServerUnavailable,
        SettingsError,
    )
    from headwater.event import Codec, Envelope, Event, Registry, Subject
    from headwater.publish import (
        DirectProducer,
        Enablement,
        Outgoing,
        Producer,
        Published,
        Receipt,
        Relay,
        Said,
    )
    from headwater.replay import Backfill, History, Job, Mirrored, Runner, Ways
    from headwater.telemetry import Metrics
    from headwater.topology import Catalogue, Group, Stream

_HOMES = {
    "headwater.broker": ("Broker",),
    "headwater.database": ("Database", "Tx"),
    "headwater.database.attach": ("Attached", "Moves"),
    "headwater.delivery": ("Consumer", "Context", "Done", "Limits", "Pace", "Worker", "wait_applied"),
    "headwater.errors": (
        *("BrokerRefused", "BrokerUnavailable", "DatabaseUnavailable", "DeclarationError", "EventError"),
        *(
            "EventParked",
            "GroupMissing",
            "HeadwaterError",
            "JobRefused",
            "NotApplied",
            "Reject",
            "Retry",
            "ServerUnavailable",
            "SettingsError",
        ),
    ),
    "headwater.event": ("Codec", "Envelope", "Event", "Registry", "Subject"),
    "headwater.publish": (
        *("DirectProducer", "Enablement", "Published", "Outgoing", "Producer", "Receipt", "Relay", "Said"),
    ),
    "headwater.replay": ("Backfill", "History", "Job", "Mirrored", "Runner", "Ways"),
    "headwater.telemetry": ("Metrics",),
    "headwater.topology": ("Catalogue", "Group", "Stream"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Attached",
    "Backfill",
    "Broker",
    "BrokerRefused",
    "BrokerUnavailable",
    "Catalogue",
    "Codec",
    "Consumer",
    "Context",
    "Database",
    "DatabaseUnavailable",
    "DeclarationError",
    "DirectProducer",
    "Done",
    "Enablement",
    "Envelope",
    "Event",
    "EventError",
    "EventParked",
    "Group",
    "GroupMissing",
    "HeadwaterError",
    "History",
    "Job",
    "JobRefused",
    "Limits",
    "Metrics",
    "Mirrored",
    "Moves",
    "NotApplied",
    "Outgoing",
    "Pace",
    "Producer",
    "Published",
    "Receipt",
    "Registry",
    "Reject",
    "Relay",
    "Retry",
    "Runner",
    "Said",
    "ServerUnavailable",
    "SettingsError",
    "Stream",
    "Subject",
    "Tx",
    "Ways",
    "Worker",
    "wait_applied",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'headwater' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
