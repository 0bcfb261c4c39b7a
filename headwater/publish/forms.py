"""Entries of the usual kind, packed from a form: most of their fields are the same for a type and tenant.

A form is made by encoding the first event in full, so that both ways give the same bytes.
"""

from __future__ import annotations

import msgspec

from headwater.broker.protocol import append_form, fill_append
from headwater.event import Codec, Envelope
from headwater.event.spelling import spell_version

VARYING = (b"eventId", b"entityId", b"timestamp", b"version", b"key", b"data")
"""In the order in which an entry has them."""
FORMS = 4096
"""Forms that are kept: with more tenants than that, some are made again."""


class Forms:
    """Forms by type, operation, tenant, source, target and stream."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._known: dict[tuple[object, ...], list[bytes]] = {}

    def packed(self, envelope: Envelope, data: bytes, stream: str, target: str) -> bytes:
        """An append of an event whose `data` is plain."""
        event = envelope.event
        # `op`: of some events it is their state that says whether the thing is there or gone.
        asked = (type(event), envelope.op, envelope.tenant, envelope.source, target, stream)
        form = self._known.get(asked)
        if form is None:
            form = self._known[asked] = self._new(envelope, stream, target)
        key = event.key.encode()
        version = spell_version(envelope.version)
        return fill_append(form, (envelope.id.encode(), key, envelope.time.encode(), version, key, data))

    def _new(self, envelope: Envelope, stream: str, target: str) -> list[bytes]:
        if len(self._known) >= FORMS:
            self._known.clear()
        fields = self._codec.encode(msgspec.structs.replace(envelope, target=target))
        return append_form(stream.encode(), fields, VARYING)
