"""Which event types and versions are known, and how an old version becomes the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from headwater.errors import DeclarationError, EventError
from headwater.event.base import Event

ENVELOPE_NAMES = frozenset(
    [
        *("eventType", "eventId", "tenantId", "entityId", "timestamp", "source", "schemaVersion", "op"),
        *("version", "key", "target", "hist", "job", "data", "metadata"),
        *("streamId", "messageId", "sourceApp", "entityType", "action"),
    ]
)
"""Names of the envelope; an event's own data uses none, because old readers spread it over the top level."""

Upcast = Callable[[Any], Event]


class EventType(msgspec.Struct, frozen=True):
    """One type and version: how its `data` is read."""

    decoder: msgspec.json.Decoder[Any]
    upcast: Upcast | None = None


class Registry:
    """All events of a system. Built once, handed down; never a global."""

    def __init__(
        self,
        events: Iterable[type[Event]],
        upcasts: dict[tuple[str, int], tuple[type[msgspec.Struct], Upcast]] | None = None,
    ) -> None:
        """`upcasts` maps (type, old version) to its struct and the way to the current event."""
        self._events: dict[str, type[Event]] = {}
        self._known: dict[tuple[str, int], EventType] = {}
        for event in events:
            self._declare(event)
        for (name, version), (struct, upcast) in (upcasts or {}).items():
            self._known[name, version] = EventType(msgspec.json.Decoder(struct), upcast)

    def _declare(self, event: type[Event]) -> None:
        if event.type in self._events:
            raise DeclarationError(f"two events share one type ({event.type!r})")
        clash = ENVELOPE_NAMES & set(event.__struct_encode_fields__)
        if clash:
            raise DeclarationError(f"{event.__name__} uses names of the envelope ({sorted(clash)})")
        self._events[event.type] = event
        self._known[event.type, event.schema_version] = EventType(msgspec.json.Decoder(event))

    def __iter__(self) -> Any:
        return iter(self._events.values())

    def __contains__(self, event_type: object) -> bool:
        return event_type in self._events

    def current(self) -> Iterator[tuple[type[Event], Callable[[bytes], Any]]]:
        """Each event with the decoder of its current version's data."""
        for event in self._events.values():
            known = self._known[event.type, event.schema_version]
            if known.upcast is None:
                yield event, known.decoder.decode

    def event(self, event_type: str) -> type[Event]:
        """The class of a type. Raises EventError `unknown_event`."""
        try:
            return self._events[event_type]
        except KeyError:
            raise EventError(
                "unknown_event",
                f"unknown event {event_type[:80]!r}",
                hint=f"declared: {', '.join(sorted(self._events)) or 'nothing'}",
            ) from None

    def read(self, event_type: str, version: int, data: bytes | str) -> Event:
        """An event from its JSON. Raises EventError; msgspec's errors pass through."""
        known = self._known.get((event_type, version))
        if known is None:
            self.event(event_type)
            raise EventError("unknown_version", f"unknown version {version} of {event_type!r}")
        value = known.decoder.decode(data)
        return known.upcast(value) if known.upcast else value
