"""What an event is, what travels round it, and how it stands on the wire. Pure: no server, no clock."""

from headwater.event.base import Event, Operation, Subject
from headwater.event.codec import Codec, Fields
from headwater.event.envelope import Envelope, event_id, unique_id
from headwater.event.registry import Registry

__all__ = [
    "Codec",
    "Envelope",
    "Event",
    "Fields",
    "Operation",
    "Registry",
    "Subject",
    "event_id",
    "unique_id",
]
