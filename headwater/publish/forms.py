"""Entries of the usual kind, packed from a form: most of their fields are the same for a type and tenant.

A form is made by encoding the first event in full, so that both ways give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from headwater.broker.protocol import Append, append_form
from headwater.event import Codec, Envelope
from headwater.event.spelling import spell_version

VARYING = (b"eventId", b"entityId", b"timestamp", b"version", b"key", b"data")
"""In the order in which an entry has them."""
_LABELS = b"\r\n$8\r\nmetadata\r\n$%d\r\n%b\r\n"
FORMS = 4096
"""Forms that are kept: with more tenants than that, some are made again."""

Aims = Callable[[Envelope, Iterable[str]], Sequence[tuple[str, str]]]
"""Streams that an event goes to, and its target on each."""
_Form = tuple[str, bytes, bytes]
"""A stream, the head of an append to it as a template, and what follows the data."""


class Forms:
    """Forms by all that an entry has in common with others, and by who is enabled."""

    def __init__(self, codec: Codec, aims: Aims) -> None:
        self._codec = codec
        self._aims = aims
        self._known: dict[tuple[object, ...], list[_Form]] = {}

    def packed(self, envelope: Envelope, enabled: Iterable[str]) -> list[Append] | None:
        """Appends of an event to every stream it goes to; None when it is not of the usual kind."""
        event = envelope.event
        who = frozenset(enabled)
        job = envelope.job if envelope.historical else None
        # `op`: of some events it is their state that says whether the thing is there or gone.
        asked = (type(event), envelope.op, envelope.tenant, envelope.source, envelope.target, job, who)
        forms = self._known.get(asked)
        if forms is not None and not forms:
            return []
        texts = self._texts(envelope)
        if texts is None:
            return None
        data, labels = texts
        if forms is None:
            forms = self._remember(asked, envelope, enabled)
        known, key, time = envelope.id.encode(), event.key.encode(), envelope.time.encode()
        version, size = spell_version(envelope.version).encode(), len(key)
        values = (len(known), known, size, key, len(time), time, len(version), version, size, key, len(data))
        return [(stream, head % values + data + (labels or tail)) for stream, head, tail in forms]

    def _texts(self, envelope: Envelope) -> tuple[bytes, bytes] | None:
        """The data, and what follows it in place of what the form has: labels of history differ by event."""
        if not envelope.historical:
            data = self._codec.plain(envelope)
            return None if data is None else (data, b"")
        past = self._codec.past(envelope)
        return None if past is None else (past[0], _LABELS % (len(past[1]), past[1]))

    def _remember(self, asked: tuple[object, ...], envelope: Envelope, enabled: Iterable[str]) -> list[_Form]:
        if len(self._known) >= FORMS:
            self._known.clear()
        found = [self._new(envelope, *aim) for aim in self._aims(envelope, enabled)]
        self._known[asked] = found
        return found

    def _new(self, envelope: Envelope, stream: str, target: str) -> _Form:
        fields = self._codec.encode(msgspec.structs.replace(envelope, target=target))
        return stream, *append_form(stream.encode(), fields, VARYING)
