"""Envelope to entry and back: flat, readable fields; `data` and `metadata` one JSON text each.

Reading never trusts: whatever is wrong with an entry becomes an EventError with a reason code,
so that one bad entry costs only itself. Writing reads back what it wrote, so that a publisher
hears of a bad event at once and not its consumers an hour later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from headwater.errors import EventError
from headwater.event.base import Operation
from headwater.event.envelope import Envelope
from headwater.event.limits import (
    IDENTITY_LIMIT,
    KEY_LIMIT,
    SIZE_LIMIT,
    TENANT_LIMIT,
    VERSION_LIMIT,
    Fields,
)
from headwater.event.plain import PlainReader, may_hide
from headwater.event.registry import Registry
from headwater.event.spelling import dump, habits, headline, spell_metadata, spell_version

__all__ = ["SIZE_LIMIT", "Codec", "Fields", "Foreign", "Headers", "headers"]

Foreign = Callable[[Fields], Envelope]
"""Reads an entry of another dialect; raises EventError."""

_OPERATIONS: dict[bytes, Operation] = {b"u": "u", b"d": "d", b"x": "x"}


class Headers(msgspec.Struct, frozen=True):
    """What routing needs, read without touching JSON."""

    own: bool
    """True when the entry is of our dialect, so that target and hist can be trusted."""
    target: bytes
    historical: bool

    def concerns(self, application: bytes) -> bool:
        """Whether an application has to look at this entry at all."""
        return not self.own or self.target in {b"*", application} or application in self.target.split(b",")


def headers(fields: Mapping[bytes, bytes]) -> Headers:
    """The routing headers of an entry."""
    return Headers(b"op" in fields, fields.get(b"target", b"*"), fields.get(b"hist") == b"1")


class Codec:
    """Writes our dialect; reads ours and, by the decoder handed in, everybody else's."""

    def __init__(self, registry: Registry, foreign: Foreign | None = None) -> None:
        """`foreign` reads entries that are not of our dialect."""
        self.registry = registry
        self._foreign = foreign
        self._plain = PlainReader(registry)
        self._usual = {
            event: decode
            for event, decode in registry.current()
            if not (event.read_only or habits(event).unusual)
        }

    def encode(self, envelope: Envelope) -> Fields:
        """The fields of an entry, in constant order.

        Raises EventError: the event is too large, breaks its own contract, or holds text that
        Postgres can not (NUL, lone surrogates, NaN).
        """
        if envelope.event.read_only:
            raise EventError("unknown_event", f"{envelope.type!r} is only read, never published")
        if not envelope.tenant:
            raise EventError("missing_tenant", f"{envelope.type!r} needs a tenant")
        try:
            fields = self._write(envelope)
        except (ValueError, TypeError, RecursionError) as error:
            raise explained(error) from error
        self._check(envelope, fields)
        return fields

    def plain(self, envelope: Envelope) -> bytes | None:
        """`data` of an event whose entry holds only what every entry holds, checked as `encode` checks it.

        None for any other, and whenever something is doubtful: what it is, `encode` finds out.
        """
        if envelope.metadata or envelope.correlation or envelope.historical or envelope.job:
            return None
        return self._plain_data(envelope, "")

    def past(self, envelope: Envelope) -> tuple[bytes, bytes] | None:
        """`data` and `metadata` of a historical event; None as `plain` says it of a live one."""
        if envelope.metadata or not envelope.historical:
            return None
        data = self._plain_data(envelope, f"{envelope.correlation}{envelope.job}")
        if data is None:
            return None
        try:
            metadata = spell_metadata(envelope, labelled=False)
        except Exception:
            return None
        small = 2 * (len(data) + len(metadata)) < SIZE_LIMIT
        return (data, metadata) if small and not may_hide(metadata) else None

    def _plain_data(self, envelope: Envelope, more: str) -> bytes | None:
        event = envelope.event
        read = self._usual.get(type(event))
        if read is None or not envelope.tenant or envelope.op != event.op:
            return None
        try:
            data, key = dump(event), event.key
            text = (
                f"{envelope.id}{envelope.tenant}{key}{envelope.source}{envelope.target}{envelope.time}{more}"
            )
            small = 2 * (len(data) + len(text)) < SIZE_LIMIT and len(key) <= KEY_LIMIT
            if not small or not text.isascii() or "\x00" in text or may_hide(data):
                return None
            read(data)
            _bounded(envelope)
        except Exception:
            return None
        return data

    def _check(self, envelope: Envelope, fields: Fields) -> None:
        """Refuse what `decode` would refuse, without making a second envelope."""
        text = b"".join(fields.values())
        check_size(fields, len(text))
        if b"\x00" in text:
            raise EventError("nul", "a field holds a NUL character, which Postgres can not store")
        event = envelope.event
        if envelope.op != event.op:
            raise EventError("malformed", f"{envelope.type!r} means {event.op!r}, not {envelope.op!r}")
        data = fields[b"data"]
        try:
            guard(data, envelope.tenant)
            guard(fields[b"metadata"], envelope.tenant)
            self.registry.read(event.type, event.schema_version, data)
        except EventError:
            raise
        except Exception as error:  # whatever a reader would stumble over
            raise explained(error, text) from error
        _bounded(envelope)

    def _write(self, envelope: Envelope) -> Fields:
        event = envelope.event
        key = event.key.encode()
        has = habits(type(event))
        return {
            b"eventId": envelope.id.encode(),
            b"eventType": has.type,
            b"tenantId": envelope.tenant.encode(),
            b"entityId": event.entity.encode() if has.entity else key,
            **(headline(event) if has.headline else {}),
            b"timestamp": envelope.time.encode(),
            b"source": envelope.source.encode(),
            b"schemaVersion": has.version,
            b"op": envelope.op.encode(),
            b"version": spell_version(envelope.version).encode(),
            b"key": key,
            b"target": envelope.target.encode(),
            b"hist": b"1" if envelope.historical else b"0",
            **({b"job": envelope.job.encode()} if envelope.job else {}),
            b"data": dump(event),
            b"metadata": spell_metadata(envelope, labelled=has.labels),
        }

    def decode(self, fields: Fields) -> Envelope:
        """The envelope of an entry, of whichever dialect. Raises EventError."""
        try:
            envelope = self._plain.read(fields)
        except Exception:  # something is unusual, or wrong; what it is, the long way finds out
            envelope = None
        return envelope or self.decode_with_care(fields)

    def decode_with_care(self, fields: Fields) -> Envelope:
        """The same by the long way, which looks at everything. Raises EventError."""
        text = _bounded_text(fields)
        try:
            if b"op" in fields:
                return _bounded(self._decode_own(fields, text))
            if self._foreign is None:
                raise EventError("malformed", "an entry without the field 'op' is not of our dialect")
            return _bounded(self._foreign(fields))
        except EventError:
            raise
        except Exception as error:  # the edge of trust: whatever a stranger wrote costs only itself
            raise explained(error, text) from error

    def _decode_own(self, fields: Fields, text: bytes) -> Envelope:
        try:
            data = fields[b"data"]
            event_type = fields[b"eventType"].decode()
            tenant = fields.get(b"tenantId", b"").decode()
            op = _OPERATIONS[fields[b"op"]]
            identity = fields[b"eventId"].decode()
        except KeyError as error:
            raise EventError(
                "malformed", f"an entry lacks a field or has a bad one ({error.args[0]!r})"
            ) from None
        if not tenant:
            raise EventError("missing_tenant", f"an entry of {event_type!r} names no tenant")
        metadata = fields.get(b"metadata", b"{}")
        if _suspicious(text):
            guard(data, tenant)
            guard(metadata, tenant)
        event = self.registry.read(event_type, int(fields.get(b"schemaVersion", b"1")), data)
        if op != event.op:
            raise EventError("malformed", f"{event_type!r} means {event.op!r} here, not {op!r}")
        labels = _METADATA.decode(metadata)
        correlation = labels.get("correlationId")
        return Envelope(
            id=identity,
            event=event,
            tenant=tenant,
            time=fields.get(b"timestamp", b"").decode(),
            source=fields.get(b"source", b"").decode(),
            version=read_integer(fields.get(b"version", b"")),
            op=op,
            target=fields.get(b"target", b"*").decode(),
            historical=fields.get(b"hist") == b"1",
            job=fields.get(b"job", b"").decode(),
            correlation=correlation if isinstance(correlation, str) else "",
            metadata=labels,
        )


def check_size(fields: Fields, values: int) -> None:
    """Refuse an entry that is too large; `values` is the bytes of its values. Raises EventError."""
    _refuse_oversize(values + sum(map(len, fields)))


def _refuse_oversize(size: int) -> None:
    if size > SIZE_LIMIT:
        raise EventError("oversize", f"an entry has at most {SIZE_LIMIT} bytes ({size})")


def _bounded_text(fields: Fields) -> bytes:
    """All names and values in one text. Raises EventError when it is too large or holds a NUL."""
    text = b"".join((*fields, *fields.values()))
    _refuse_oversize(len(text))
    if b"\x00" in text:
        raise EventError("nul", "a field holds a NUL character, which Postgres can not store")
    return text


def _bounded(envelope: Envelope) -> Envelope:
    if not 0 < len(envelope.id) <= IDENTITY_LIMIT:
        raise EventError("malformed", f"an event's id has 1 to {IDENTITY_LIMIT} characters")
    if len(envelope.key) > KEY_LIMIT:
        raise EventError("malformed", f"an event's key has at most {KEY_LIMIT} characters")
    if len(envelope.tenant) > TENANT_LIMIT:
        raise EventError("missing_tenant", f"a tenant's id has at most {TENANT_LIMIT} characters")
    if envelope.version is None:
        if envelope.event.subject.state:
            raise EventError("missing_version", f"a state event needs a version ({envelope.type!r})")
    elif not 0 <= envelope.version < VERSION_LIMIT:
        raise EventError("malformed", "a version is a positive bigint")
    return envelope


_NOT_FINITE = re.compile(rb"[\[:,\s]-?(NaN|Infinity)\b")
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_METADATA = msgspec.json.Decoder(dict[str, Any])
_ANYTHING = msgspec.json.Decoder()


def guard(json: bytes, tenant: str) -> None:
    """Refuse JSON that Postgres can not hold or that names another tenant. Raises EventError.

    The fast path is two substring searches; only a hit is looked at closely. Escaped ASCII counts
    as a hit, since a name can hide in it.
    """
    if _suspicious(json):
        guard_value(_ANYTHING.decode(json), tenant)


def _suspicious(text: bytes) -> bool:
    return b'"tenantId"' in text or b"\\u00" in text


def guard_value(value: Any, tenant: str) -> None:
    """The same for JSON that is decoded already."""
    if _holds_nul(value):
        raise EventError("nul", "text holds a NUL character, which Postgres can not store")
    if _tenants(value) - {tenant}:
        raise EventError("foreign_tenant", f"an entry of tenant {tenant!r} names another one inside")


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))


def _tenants(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_tenants, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    here = {value["tenantId"]} if isinstance(value.get("tenantId"), str) else set()
    return here.union(*map(_tenants, value.values()))


def read_integer(text: bytes) -> int | None:
    """An integer as it stands on the wire, quoted or not; None for an empty field. Raises ValueError."""
    return int(text.strip(b'"')) if text else None


def finite(value: Decimal) -> Decimal:
    """A Decimal that is a number. Raises ValueError for NaN and the infinities."""
    if not value.is_finite():
        raise ValueError(f"not a finite number ({value})")
    return value


def explained(error: Exception, json: bytes = b"") -> EventError:
    """The EventError that says what was wrong with `json`."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return EventError("invalid_utf8", f"text is not UTF-8 (byte {error.start})")
    if isinstance(error, UnicodeEncodeError):
        return EventError("surrogate", "text holds a lone surrogate, which is no character")
    if isinstance(error, RecursionError):
        return EventError("nesting", "JSON is nested too deeply")
    if "finite" in text or _NOT_FINITE.search(json):
        return EventError("not_finite", f"NaN and infinities are no JSON numbers ({text[:200]})")
    if _LONE_SURROGATE.search(json):
        return EventError("surrogate", f"text holds a lone surrogate ({text[:200]})")
    return EventError("malformed", text[:300])
