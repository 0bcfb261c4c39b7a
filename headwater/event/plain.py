"""The short way through an entry: for the many of our own dialect in which nothing is unusual.

Always holds: what it reads, the long way reads the same; of anything else it says nothing, and the
long way finds out what is wrong. So a stranger's entry costs more time and gets no other answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from headwater.event.base import Event, Operation
from headwater.event.envelope import Envelope
from headwater.event.limits import IDENTITY_LIMIT, KEY_LIMIT, SIZE_LIMIT, TENANT_LIMIT, VERSION_LIMIT, Fields
from headwater.event.registry import Registry

REPEATED = 256
"""Metadata up to these bytes is worth remembering: most entries of a stream carry the same."""
_BACKSLASH, _QUOTE = b'\\"'
_METADATA = msgspec.json.Decoder(dict[str, Any])


class _Kind(NamedTuple):
    """What the type and version of an entry say about the rest."""

    decode: Callable[[bytes], Event]
    op: Operation | None
    """None: only the event itself knows."""
    state: bool


class PlainReader:
    """Reads entries in which nothing is unusual."""

    def __init__(self, registry: Registry) -> None:
        self._kinds = {
            (event.type.encode(), b"%d" % event.schema_version): _Kind(
                decode, event.operation if event.op is Event.op else None, event.subject.state
            )
            for event, decode in registry.current()
        }

    def read(self, fields: Fields) -> Envelope | None:
        """The envelope; None, or any error, when the entry has to go the long way."""
        kind = self._kinds[fields[b"eventType"], fields[b"schemaVersion"]]
        data, version = fields[b"data"], fields[b"version"]
        labels = _labels(fields[b"metadata"])
        if labels is None or _unusual(fields, data):
            return None
        event = kind.decode(data)
        op = kind.op or event.op
        if op.encode() != fields[b"op"]:
            return None
        envelope = Envelope(
            id=fields[b"eventId"].decode(),
            event=event,
            tenant=fields[b"tenantId"].decode(),
            time=fields[b"timestamp"].decode(),
            source=fields[b"source"].decode(),
            version=int(version.strip(b'"') if version[0] == _QUOTE else version) if version else None,
            op=op,
            target=fields[b"target"].decode(),
            historical=fields[b"hist"] == b"1",
            job=fields[b"job"].decode() if b"job" in fields else "",
            correlation=labels[1],
            metadata=labels[0],
        )
        # A key comes from the data: where that is short, so is the key.
        if len(data) > KEY_LIMIT and len(event.key) > KEY_LIMIT:
            return None
        return envelope if _within(envelope, kind.state) else None


def _unusual(fields: Fields, data: bytes) -> bool:
    text = b"".join((*fields, *fields.values()))
    # One byte is looked for as a number: that is a tenth of looking for a text of one character.
    return len(text) > SIZE_LIMIT or 0 in text or may_hide(data)


def may_hide(json: bytes) -> bool:
    """Whether it may hold what has to be looked for in decoded JSON: NUL, or a tenant's name."""
    return (_BACKSLASH in json and b"\\u00" in json) or b'"tenantId"' in json


def _within(envelope: Envelope, state: bool) -> bool:
    version = envelope.version
    return (
        0 < len(envelope.id) <= IDENTITY_LIMIT
        and 0 < len(envelope.tenant) <= TENANT_LIMIT
        and (not state if version is None else 0 <= version < VERSION_LIMIT)
    )


def _labels(metadata: bytes) -> tuple[Mapping[str, Any], str] | None:
    return _known_labels(metadata) if len(metadata) <= REPEATED else _read_labels(metadata)


def _read_labels(metadata: bytes) -> tuple[Mapping[str, Any], str] | None:
    if may_hide(metadata):
        return None
    labels = _METADATA.decode(metadata)
    correlation = labels.get("correlationId")
    return labels, correlation if isinstance(correlation, str) else ""


_known_labels = lru_cache(maxsize=512)(_read_labels)
