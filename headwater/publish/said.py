"""What a producer says, and the envelope it becomes."""

from __future__ import annotations

from typing import Any, Required, TypedDict, Unpack
from uuid import UUID

import msgspec

from headwater import clock
from headwater.errors import EventError
from headwater.event import Envelope, Event, event_id, unique_id

REALM = "00000000-0000-4000-8000-000000000001"
"""Stands where a tenant would, for subjects that belong to the whole realm."""


class About(TypedDict, total=False):
    """What a producer adds to an event."""

    tenant: Required[str | UUID]
    """Whose fact this is; a UUID as asyncpg reads it is spelled out."""
    version: int | None
    """The row's headwater_version, from RETURNING."""
    operation_id: str | None
    """Identity of a fact without a version: the same one always gives the same event id."""
    correlation: str
    metadata: dict[str, Any] | None


class Past(TypedDict, total=False):
    """What a historical event has beside a live one."""

    target: str
    """The application that catches up."""
    job: str


class Said(msgspec.Struct, frozen=True):
    """An event and what is known about it."""

    event: Event
    tenant: str | UUID
    version: int | None = None
    operation_id: str | None = None
    correlation: str = ""
    metadata: dict[str, Any] | None = None

    @property
    def text_of_tenant(self) -> str:
        """Raises EventError `malformed` for what is neither text nor a UUID."""
        found = self.tenant
        if found.__class__ is str or isinstance(found, UUID):
            return str(found)
        raise EventError("malformed", f"a tenant is text or a UUID, not a {type(found).__name__}")

    def envelope(self, source: str, *, realm: str = REALM, **history: Unpack[Past]) -> Envelope:
        """The envelope; its id is deterministic where the fact has a version or an operation id.

        Raises EventError `missing_version` for a state without a version.
        """
        event, version = self.event, self.version
        subject = event.subject
        if version is None and subject.state:
            raise EventError(
                "missing_version",
                f"a state event needs the version of its row ({event.type!r}, {event.key!r})",
                hint="pass version=row['headwater_version'], read by RETURNING in the same statement",
            )
        key, tenant = event.key, self.text_of_tenant if subject.tenanted else realm
        if key.__class__ is not str:
            raise EventError(
                "malformed",
                f"the key of {event.type!r} is a {type(key).__name__}, not text",
                hint="asyncpg reads uuid columns as UUID: pass str(row[...])",
            )
        identity = self.operation_id or version
        return Envelope(
            id=unique_id() if identity is None else event_id(event.type, tenant, key, identity),
            event=event,
            tenant=tenant,
            time=clock.present(),
            source=source,
            version=version,
            op=event.op,
            target=history.get("target") or event.target,
            historical=bool(history),
            job=history.get("job", ""),
            correlation=self.correlation,
            metadata=self.metadata or {},
        )
