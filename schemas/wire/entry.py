"""The three envelope families of the older writers, read into one shape.

1. flat credit: everything at top level, details in `metadata`
2. `crm:sync`: `streamId, messageId, sourceApp, …`; no event id
3. assignments and roles: `eventId, eventType, data`, with a dotted `version` or `publishedBy`
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from headwater.errors import EventError
from headwater.event import Fields
from headwater.event.codec import guard_value
from schemas.wire.spelling import our_application, our_type
from schemas.wire.values import UUID, instant, json_object, text

_JSON = (b"data", b"metadata")
_NOT_OURS = {
    b"acknowledgmentId": "a receipt of a consumer",
    b"acknowledgmentData": "a receipt of a consumer",
    b"eventData": "an event from one application to another",
}
_TIMES = ("updatedAt", "deletedAt", "deactivatedAt", "unassignedAt", "assignedAt", "createdAt")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an older writer, its envelope understood, its facts not yet."""

    type: str
    """Our name of the event type."""
    tenant: str
    id: str
    """Empty when the writer gave none."""
    moment: datetime | None
    source: str
    target: str
    historical: bool
    head: dict[str, Any]
    data: dict[str, Any]
    metadata: dict[str, Any]

    def find(self, *names: str) -> Any:
        """The first value that one of the names has, in data, at top level or in the metadata."""
        for name in names:
            for place in (self.data, self.head, self.metadata):
                value = place.get(name)
                if value is not None and value != "":
                    return value
        return None

    @property
    def values(self) -> dict[str, Any]:
        """What is said of the fact: `data` over the top level, as the older readers do it."""
        return {**self.head, **self.data}


def read_entry(fields: Fields) -> Entry:
    """Understand an entry's envelope. Raises EventError; JSON and Unicode errors pass through."""
    for name, meaning in _NOT_OURS.items():
        if name in fields:
            raise EventError("unknown_event", f"{meaning} is no fact of ours (field {name.decode()!r})")
    head = _head(fields)
    data = json_object(fields.get(b"data"), "data")
    metadata = json_object(fields.get(b"metadata"), "metadata")
    event_type = _type(head, data, metadata)
    tenant = _tenant(head, data)
    guard_value([head, data, metadata], tenant)
    target = _first("targetApplication", metadata, head, data)
    return Entry(
        type=event_type,
        tenant=tenant.lower() if UUID.fullmatch(tenant) else tenant,
        id=head.get("eventId") or head.get("messageId") or "",
        moment=_moment(head, data, metadata),
        source=head.get("source") or head.get("sourceApp") or head.get("sourceApplication") or "",
        target=our_application(target) if target else "*",
        historical=str(metadata.get("isHistoricalSync", False)).lower() == "true",
        head=head,
        data=data,
        metadata=metadata,
    )


def _head(fields: Fields) -> dict[str, Any]:
    scalars = ((name.decode(), text(value)) for name, value in fields.items() if name not in _JSON)
    return {name: value for name, value in scalars if value is not None}


def _first(name: str, *places: dict[str, Any]) -> str:
    for place in places:
        value = place.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _type(head: dict[str, Any], data: dict[str, Any], metadata: dict[str, Any]) -> str:
    spelling = head.get("eventType")
    if spelling:
        return our_type(spelling)
    if _first("reason", head, data, metadata) == "application_allocation":
        return "credit.allocated"
    raise EventError("unknown_event", "an entry names no event type")


def _tenant(head: dict[str, Any], data: dict[str, Any]) -> str:
    tenant = _first("tenantId", head, data)
    if not tenant:
        raise EventError("missing_tenant", "an entry names no tenant")
    return tenant


def _moment(head: dict[str, Any], data: dict[str, Any], metadata: dict[str, Any]) -> datetime | None:
    said = head.get("timestamp") or metadata.get("sourceTimestamp")
    return instant(said or next((data[name] for name in _TIMES if data.get(name)), None))
