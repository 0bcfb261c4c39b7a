"""What travels round an event: who, when, for whom, in which order."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from headwater.event.base import Event, Operation


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event on its way. All texts are as they stand on the wire."""

    id: str
    """Deterministic where the fact has one, so that saying it twice gives the same id."""
    event: Event
    tenant: str
    time: str
    """When the fact was said: ISO 8601 with zone. A label, never an order."""
    source: str
    version: int | None = None
    """The source row's version; None only for log events and for increments of old producers."""
    op: Operation = "u"
    target: str = "*"
    """The application this is for; `*` for every one."""
    historical: bool = False
    job: str = ""
    """The backfill job that said this, empty for live events."""
    correlation: str = ""
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Further labels. Never changed: events that were read share it."""

    @property
    def type(self) -> str:
        """The event's type."""
        return self.event.type

    @property
    def key(self) -> str:
        """The event's key within tenant and subject."""
        return self.event.key

    @property
    def subject(self) -> str:
        """The subject's name."""
        return self.event.subject.name


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The two bits that make it a UUID of RFC 9562."""


def event_id(event_type: str, tenant: str, key: str, version: int | str) -> str:
    """The id of a fact: the same type, tenant, thing and version always give the same UUID."""
    digest = hashlib.sha256(f"{event_type}\x1f{tenant}\x1f{key}\x1f{version}".encode()).hexdigest()
    variant = _VARIANT[digest[16]]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def unique_id() -> str:
    """A new UUIDv7, for facts without an identity of their own."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (noise >> 68) << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | noise & (1 << 62) - 1))
